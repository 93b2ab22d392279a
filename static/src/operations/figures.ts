/** What the server tells of itself, and the rates between two such reports. Pure. */

import type { Quality } from "../signaling/protocol";

export type Connection = "none" | "connecting" | "connected" | "lost";

/** One participant's connection; counts are totals since it was made. */
export interface Line {
  participant: string;
  connection: Connection;
  quality: Quality | null;
  bytes_in: number;
  bytes_out: number;
  received: number;
  lost: number;
  /** Share of what is sent to it that is lost, 0..1. */
  loss_down: number | null;
  round_trip_ms: number | null;
}

/** Totals since the server started. */
export interface Relay {
  packets_in: number;
  bytes_in: number;
  packets_out: number;
  bytes_out: number;
  /** Packets that the kernel had no room for, on the way in and out. */
  dropped_receive_buffer: number;
  dropped_send: number;
  /** How long its thread was at work. */
  busy_s: number;
}

export interface Outbox {
  pending: number;
  oldest_s: number | null;
  parked: { hook: string; number: number }[];
}

/** The answer to `GET /api/operations`. */
export interface Report {
  /** On the server's own clock, to tell rates by. */
  clock_s: number;
  /** Why newcomers are refused; empty while they are not. */
  refusing: ("loop" | "relay" | "people")[];
  sockets: number;
  rooms: number;
  participants: number;
  qualities: Partial<Record<Quality | "unknown", number>>;
  worst_rooms: { session_id: string; lines: Line[] }[];
  loop_lag: { p50_s: number; p99_s: number; max_s: number };
  relays: Relay[];
  /** null: the database does not answer. */
  outbox: Outbox | null;
}

/** What flowed between two reports: bits a second, and media packets that came and did not. */
export interface Flow {
  inBits: number;
  outBits: number;
  received: number;
  lost: number;
}

/** One relay thread's, a second. */
export interface RelayRates {
  inBits: number;
  outBits: number;
  packets: number;
  /** Packets a second that it did not take or send. */
  dropped: number;
  /** Share of the time that it was at work, 0..1. */
  busy: number;
}

/** Of each relay thread, in the server's order; empty before there are two reports of one run. */
export function relayRates(before: Report | undefined, after: Report): RelayRates[] {
  const seconds = elapsed(before, after);
  if (before === undefined || seconds === undefined) return [];
  return after.relays.flatMap((now, thread) => {
    const then = before.relays[thread];
    if (then === undefined) return [];
    const rate = (of: (relay: Relay) => number) => Math.max(0, of(now) - of(then)) / seconds;
    return {
      inBits: 8 * rate(({ bytes_in }) => bytes_in),
      outBits: 8 * rate(({ bytes_out }) => bytes_out),
      packets: rate(({ packets_in, packets_out }) => packets_in + packets_out),
      dropped: rate((relay) => relay.dropped_receive_buffer + relay.dropped_send),
      busy: Math.min(
        1,
        rate(({ busy_s }) => busy_s),
      ),
    };
  });
}

/** Of each seat that is in both reports, by `seatKey`. */
export function flows(before: Report | undefined, after: Report): Map<string, Flow> {
  const seconds = elapsed(before, after);
  const found = new Map<string, Flow>();
  if (before === undefined || seconds === undefined) return found;
  const earlier = new Map(seats(before));
  for (const [key, now] of seats(after)) {
    const then = earlier.get(key);
    // A connection that was made anew counts from the start.
    if (then === undefined || now.bytes_in < then.bytes_in) continue;
    found.set(key, {
      inBits: (8 * (now.bytes_in - then.bytes_in)) / seconds,
      outBits: (8 * Math.max(0, now.bytes_out - then.bytes_out)) / seconds,
      received: Math.max(0, now.received - then.received),
      lost: Math.max(0, now.lost - then.lost),
    });
  }
  return found;
}

/** The share of media packets that did not come, 0..1; undefined where none was sent. */
export function loss(of: Iterable<Flow>): number | undefined {
  let [sent, lost] = [0, 0];
  for (const flow of of) {
    sent += flow.received + flow.lost;
    lost += flow.lost;
  }
  return sent === 0 ? undefined : lost / sent;
}

export function seatKey(session: string, { participant }: Line): string {
  return `${session}/${participant}`;
}

function seats({ worst_rooms }: Report): [string, Line][] {
  return worst_rooms.flatMap(({ session_id, lines }) =>
    lines.map((line): [string, Line] => [seatKey(session_id, line), line]),
  );
}

export function parkedIn({ parked }: Outbox): number {
  return parked.reduce((sum, { number }) => sum + number, 0);
}

function elapsed(before: Report | undefined, after: Report): number | undefined {
  const seconds = before === undefined ? 0 : after.clock_s - before.clock_s;
  // A server that was started anew begins its totals, and perhaps its clock, anew.
  const anew = before?.relays.some(
    ({ packets_in }, thread) => packets_in > (after.relays[thread]?.packets_in ?? 0),
  );
  return seconds > 0 && !anew ? seconds : undefined;
}
