/** The figures of the whole server, each with how much it asks for attention. Pure. */

import { flows, loss, parkedIn, type RelayRates, type Report, relayRates } from "./figures";
import { ageWords, countWords, delayWords, numberWords, rateWords, shareWords } from "./words";

export type Level = "fine" | "watch" | "act";

export interface Tile {
  title: string;
  value: string;
  detail: string;
  level: Level;
}

// Above the first it is worth a look, above the second somebody is to act (docs/metrics.md).
const LAG_MS = [20, 50] as const;
const BUSY = [0.6, 0.8] as const;
// Speech concealment begins to be heard near 2 % and hurts past 8 % (media/quality.py).
const LOSS = [0.02, 0.08] as const;
const POOR = [0.1, 0.2] as const;
const OLDEST_S = [60, 300] as const;

const REASONS = {
  loop: "the event loop is late",
  relay: "the relay is busy",
  people: "the most are here",
};

export function tiles(before: Report | undefined, report: Report): Tile[] {
  return [
    people(report),
    quality(report),
    lost(before, report),
    lag(report),
    carried(before, report),
    ...relays(before, report),
    ...outbox(report),
  ];
}

function people({ refusing, rooms, participants, sockets }: Report): Tile {
  const there = `${countWords(participants, "participant")}, ${countWords(sockets, "socket")}`;
  const because = refusing.map((reason) => REASONS[reason]).join(", ");
  return {
    title: "Rooms in use",
    value: numberWords(rooms),
    detail: refusing.length === 0 ? there : `${there}; newcomers are refused: ${because}`,
    level: refusing.length === 0 ? "fine" : "act",
  };
}

function quality({ qualities }: Report): Tile {
  const { good = 0, fair = 0, poor = 0, unknown = 0 } = qualities;
  const known = good + fair + poor;
  return {
    title: "Good connections",
    value: known === 0 ? "–" : shareWords(good / known),
    detail: `${good} good, ${fair} fair, ${poor} poor, ${unknown} not known`,
    level: known === 0 ? "fine" : level(poor / known, POOR),
  };
}

function lost(before: Report | undefined, report: Report): Tile {
  const share = loss(flows(before, report).values());
  return {
    title: "Loss from publishers",
    value: shareWords(share),
    detail: "of what the rooms below send, before repair",
    level: level(share ?? 0, LOSS),
  };
}

function lag({ loop_lag }: Report): Tile {
  const [p50, p99, max] = [loop_lag.p50_s, loop_lag.p99_s, loop_lag.max_s].map((s) => 1e3 * s) as [
    number,
    number,
    number,
  ];
  return {
    title: "Event loop late, p99",
    value: delayWords(p99),
    detail: `median ${delayWords(p50)}, at most ${delayWords(max)}, in 10 s`,
    level: level(p99, LAG_MS),
  };
}

function carried(before: Report | undefined, report: Report): Tile {
  const rates = relayRates(before, report);
  const sum = (of: (rate: RelayRates) => number) =>
    rates.length === 0 ? undefined : rates.reduce((total, rate) => total + of(rate), 0);
  return {
    title: "Media carried",
    value: rateWords(sum(({ inBits, outBits }) => inBits + outBits)),
    detail: `${rateWords(sum(({ inBits }) => inBits))} in, ${rateWords(sum(({ outBits }) => outBits))} out`,
    level: "fine",
  };
}

function relays(before: Report | undefined, report: Report): Tile[] {
  const rates = relayRates(before, report);
  return report.relays.map((_, thread) => {
    const title = report.relays.length === 1 ? "Relay thread" : `Relay thread ${thread + 1}`;
    const rate = rates[thread];
    if (rate === undefined) return { title, value: "–", detail: "measuring", level: "fine" };
    const { busy, packets, dropped } = rate;
    const flow = `${numberWords(packets)} packets/s`;
    return {
      title,
      value: `${shareWords(busy)} busy`,
      detail: dropped === 0 ? flow : `${flow}, ${numberWords(dropped)} more dropped`,
      level: dropped > 0 ? "act" : level(busy, BUSY),
    };
  });
}

function outbox({ outbox }: Report): Tile[] {
  if (outbox === null) {
    const detail = "the database does not answer";
    return [{ title: "Outbox", value: "–", detail, level: "act" }];
  }
  const { pending, oldest_s, parked } = outbox;
  const given = parkedIn(outbox);
  const hooks = parked.map(({ hook, number }) => `${hook} ${numberWords(number)}`).join(", ");
  return [
    {
      title: "In the outbox",
      value: numberWords(pending),
      detail: oldest_s === null ? "nothing waits" : `the oldest waits for ${ageWords(oldest_s)}`,
      level: level(oldest_s ?? 0, OLDEST_S),
    },
    {
      title: "Parked deliveries",
      value: numberWords(given),
      detail: given === 0 ? "no hook has given up" : `${hooks}: see plumm deliver`,
      level: given === 0 ? "fine" : "act",
    },
  ];
}

function level(value: number, [watch, act]: readonly [number, number]): Level {
  if (value > act) return "act";
  return value > watch ? "watch" : "fine";
}
