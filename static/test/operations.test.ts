import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  flows,
  type Line,
  loss,
  type Relay,
  type Report,
  relayRates,
  seatKey,
} from "../src/operations/figures";
import { type Tile, tiles } from "../src/operations/tiles";
import { Watch } from "../src/operations/watch";
import { ageWords, delayWords, goneWords, rateWords, shareWords } from "../src/operations/words";
import { Refused, Unreachable } from "../src/signaling/errors";

const RELAY: Relay = {
  packets_in: 0,
  bytes_in: 0,
  packets_out: 0,
  bytes_out: 0,
  dropped_receive_buffer: 0,
  dropped_send: 0,
  busy_s: 0,
};

const MAYA: Line = {
  participant: "maya",
  connection: "connected",
  quality: "good",
  bytes_in: 0,
  bytes_out: 0,
  received: 0,
  lost: 0,
  loss_down: 0,
  round_trip_ms: 8,
};

function report(clock_s: number, more: Partial<Report> = {}): Report {
  return {
    clock_s,
    refusing: [],
    sockets: 2,
    rooms: 1,
    participants: 2,
    qualities: { good: 2 },
    worst_rooms: [],
    loop_lag: { p50_s: 0, p99_s: 0.001, max_s: 0.002 },
    relays: [RELAY],
    outbox: { pending: 0, oldest_s: null, parked: [] },
    ...more,
  };
}

function room(...lines: Line[]): Partial<Report> {
  return { worst_rooms: [{ session_id: "s1", lines }] };
}

test("rates are told by the server's clock between two reports", () => {
  const before = report(100, { relays: [RELAY] });
  const after = report(102, {
    relays: [{ ...RELAY, bytes_in: 250_000, packets_in: 300, packets_out: 100, busy_s: 0.5 }],
  });
  expect(relayRates(before, after)).toEqual([
    { inBits: 1_000_000, outBits: 0, packets: 200, dropped: 0, busy: 0.25 },
  ]);
  expect(relayRates(undefined, after)).toEqual([]);
});

test("a server that was started anew has no rates until it reported twice", () => {
  const before = report(100, { relays: [{ ...RELAY, packets_in: 5_000 }] });
  const after = report(102, { relays: [{ ...RELAY, packets_in: 10 }], ...room(MAYA) });
  expect(relayRates(before, after)).toEqual([]);
  expect(flows(before, after).size).toBe(0);
});

test("a seat's flow is what its totals grew by", () => {
  const then = { ...MAYA, bytes_in: 1_000, bytes_out: 1_000, received: 100, lost: 5 };
  const now = { ...MAYA, bytes_in: 251_000, bytes_out: 126_000, received: 195, lost: 10 };
  const found = flows(report(100, room(then)), report(102, room(now)));
  const flow = found.get(seatKey("s1", now));
  expect(flow).toEqual({ inBits: 1_000_000, outBits: 500_000, received: 95, lost: 5 });
  expect(loss(found.values())).toBeCloseTo(0.05);
});

test("a connection that is new, or was made anew, has no flow yet", () => {
  const anew = { ...MAYA, bytes_in: 10 };
  const before = report(100, room({ ...MAYA, bytes_in: 9_000 }));
  expect(flows(before, report(102, room(anew))).size).toBe(0);
  expect(flows(report(100), report(102, room(MAYA))).size).toBe(0);
  expect(loss([])).toBeUndefined();
});

function tile(title: string, before: Report | undefined, after: Report): Tile {
  const found = tiles(before, after).find((one) => one.title === title);
  if (found === undefined) throw new Error(`no tile ${title}`);
  return found;
}

test("a healthy server asks for nothing", () => {
  expect(new Set(tiles(report(100), report(102)).map(({ level }) => level))).toEqual(
    new Set(["fine"]),
  );
});

test.each([
  [0.02, "fine"],
  [0.03, "watch"],
  [0.06, "act"],
])("an event loop that is %d s late is %s", (p99_s, level) => {
  const late = report(102, { loop_lag: { p50_s: 0, p99_s, max_s: p99_s } });
  expect(tile("Event loop late, p99", undefined, late).level).toBe(level);
});

test("a server that refuses newcomers says why", () => {
  const { detail, level } = tile("Rooms in use", undefined, report(102, { refusing: ["relay"] }));
  expect(detail).toBe("2 participants, 2 sockets; newcomers are refused: the relay is busy");
  expect(level).toBe("act");
});

test("a relay thread that drops packets is an alarm, however idle it is", () => {
  const after = report(102, { relays: [{ ...RELAY, dropped_receive_buffer: 20 }] });
  const { detail, level } = tile("Relay thread", report(100), after);
  expect([detail, level]).toEqual(["0 packets/s, 10 more dropped", "act"]);
});

test("parked deliveries are told with the hooks that gave up", () => {
  const outbox = { pending: 3, oldest_s: 95, parked: [{ hook: "mail", number: 2 }] };
  const found = report(102, { outbox });
  expect(tile("Parked deliveries", undefined, found)).toMatchObject({
    value: "2",
    detail: "mail 2: see plumm deliver",
    level: "act",
  });
  expect(tile("In the outbox", undefined, found)).toMatchObject({ value: "3", level: "watch" });
});

test("a database that does not answer is told in the outbox's place", () => {
  expect(tile("Outbox", undefined, report(102, { outbox: null })).level).toBe("act");
});

test("many poor connections are an alarm, one that is not known is none", () => {
  const poor = report(102, { qualities: { good: 7, poor: 3, unknown: 50 } });
  expect(tile("Good connections", undefined, poor)).toMatchObject({ value: "70 %", level: "act" });
  const unknown = report(102, { qualities: { unknown: 2 } });
  expect(tile("Good connections", undefined, unknown)).toMatchObject({ value: "–", level: "fine" });
});

test("figures are said in the unit that fits", () => {
  expect([0, 64_400, 999_000, 1_250_000, 96e6, 1.25e9, undefined].map(rateWords)).toEqual([
    "0 kbit/s",
    "64 kbit/s",
    "999 kbit/s",
    "1.3 Mbit/s",
    "96 Mbit/s",
    "1.3 Gbit/s",
    "–",
  ]);
  expect([0, 0.004, 0.125, null].map(shareWords)).toEqual(["0 %", "0.4 %", "13 %", "–"]);
  expect([0.25, 31.4, null].map(delayWords)).toEqual(["0.3 ms", "31 ms", "–"]);
  expect([8, 119, 300, 10_800].map(ageWords)).toEqual(["8 s", "119 s", "5 min", "3 h"]);
});

test("what went wrong is said with the server's reference", () => {
  expect(goneWords(new Unreachable("no"))).toContain("does not answer");
  const fault = new Refused({ code: "internal", message: "", id: "4f08" });
  expect(goneWords(fault)).toContain("reference 4f08");
});

const ME = { id: "u", name: "Root", email: "root@example.org", role: "admin" };

let answer: () => Response;
let asked = 0;

beforeEach(() => {
  vi.useFakeTimers();
  asked = 0;
  answer = () => Response.json(report(asked));
  vi.stubGlobal("document", { hidden: false });
  vi.stubGlobal("fetch", async (path: string) => {
    if (path === "/api/me") return Response.json(ME);
    asked += 1;
    return answer();
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function refusal(code: string, status: number): () => Response {
  return () => Response.json({ error: { code, message: "" } }, { status });
}

test("the server is asked every two seconds, and the report before is kept for the rates", async () => {
  const watch = new Watch();
  watch.start();
  await vi.advanceTimersByTimeAsync(2_100);
  expect(asked).toBe(2);
  expect([watch.before?.clock_s, watch.report?.clock_s]).toEqual([1, 2]);
  watch.stop();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(asked).toBe(2);
});

test("a server that is gone is asked on, its last report stays, and no rate spans the gap", async () => {
  const watch = new Watch();
  watch.start();
  await vi.advanceTimersByTimeAsync(100);
  answer = () => {
    throw new TypeError("network");
  };
  await vi.advanceTimersByTimeAsync(10_000);
  expect(watch.problem).toBeInstanceOf(Unreachable);
  expect(watch.report?.clock_s).toBe(1);
  answer = () => Response.json(report(50));
  await vi.advanceTimersByTimeAsync(2_000);
  expect([watch.problem, watch.report?.clock_s, watch.before]).toEqual([undefined, 50, undefined]);
  watch.stop();
});

test.each([
  ["sign_in.required", 401, "signedOut"],
  ["role.forbidden", 403, "forbidden"],
] as const)("after %s the server is asked no more", async (code, status, state) => {
  answer = refusal(code, status);
  const watch = new Watch();
  watch.start();
  await vi.advanceTimersByTimeAsync(10_000);
  expect([asked, watch[state]]).toEqual([1, true]);
});

test("a page that nobody uses lets the sign-in run out, and goes on when it is used", async () => {
  const watch = new Watch();
  watch.start();
  await vi.advanceTimersByTimeAsync(16 * 60_000);
  expect(watch.paused).toBe(true);
  const before = asked;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toBe(before);
  watch.used();
  await vi.advanceTimersByTimeAsync(2_100);
  expect(asked).toBe(before + 2);
  expect(watch.paused).toBe(false);
  watch.stop();
});
