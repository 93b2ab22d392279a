import { expect, test } from "vitest";
import { wasAway } from "../src/account/address";
import { problemWords } from "../src/account/words";
import { grouped, joinable, type Row } from "../src/dashboard/sessions";
import { confirmedWords, endWords, stateWords, untilWords } from "../src/dashboard/words";
import { parts } from "../src/mail/links";
import { Refused, Unreachable } from "../src/signaling/errors";

const NOON = new Date(2026, 10, 24, 12).getTime();
const HOUR = 3_600_000;

function row(id: string, startsInHours: number, more: Partial<Row> = {}): Row {
  const at = (hours: number) => new Date(NOON + hours * HOUR).toISOString();
  return {
    id,
    title: "Session",
    starts_at: at(startsInHours),
    ends_at: at(startsInHours + 1),
    opens_at: at(startsInHours - 0.25),
    status: "scheduled",
    role: "therapist",
    with: [{ participant_id: "maya", name: "Maya Lind", role: "client", guest: false }],
    ended: null,
    confirmable: false,
    attendance: null,
    ...more,
  };
}

function over(id: string, startedInHours: number, more: Partial<NonNullable<Row["ended"]>> = {}) {
  const ended = {
    cause: "therapist" as const,
    ended_by: "lena",
    name: "Dr. Lena Hart",
    ended_at: new Date(NOON).toISOString(),
    duration_s: 2880,
    overlap_s: 2800,
    confirmed_at: null,
    ...more,
  };
  return row(id, startedInHours, { status: "ended", ended });
}

test("sessions are today's, coming by their start, and past with the last one first", () => {
  const rows = [row("later", 30), over("old", -50), row("next", 2), over("newer", -2)];
  const ids = (of: Row[]) => of.map(({ id }) => id);
  const { today, coming, past } = grouped(rows, NOON);
  expect([ids(today), ids(coming), ids(past)]).toEqual([["next"], ["later"], ["newer", "old"]]);
});

test("one that goes on over midnight is still today's", () => {
  expect(grouped([row("late", -13)], NOON).today).toHaveLength(1);
});

test("one may join from the opening on, and not after the end", () => {
  const next = row("next", 1);
  expect(joinable(next, NOON + 0.75 * HOUR - 1)).toBe(false);
  expect(joinable(next, NOON + 0.75 * HOUR)).toBe(true);
  expect(joinable(over("old", -2), NOON)).toBe(false);
  expect(stateWords(next, NOON)).toBe("Booked");
  expect(stateWords(next, NOON + HOUR)).toBe("Room is open");
});

test.each([
  [0.2, "0:01"],
  [249, "4:09"],
  [7_500, "2 h 05 min"],
  [86_400, "24 h 00 min"],
  [260_000, "3 days"],
])("%d seconds ahead is %s", (seconds, words) => {
  expect(untilWords(seconds)).toBe(words);
});

test("who ended it is oneself where it is none of the others", () => {
  expect(endWords(over("a", -1))).toMatch(/^You ended it at .* It took 48 minutes\.$/);
  const client = {
    ...over("a", -1),
    with: [
      { participant_id: "lena", name: "Dr. Lena Hart", role: "therapist" as const, guest: false },
    ],
  };
  expect(endWords(client)).toMatch(/^Dr\. Lena Hart ended it at/);
  expect(endWords(over("b", -1, { cause: "timeout", ended_by: null }))).toMatch(/by itself/);
  expect(endWords(over("c", -1, { cause: "no_show", ended_by: null }))).not.toMatch(/took/);
});

test("a confirmed session says that it was ended late, and by whose word", () => {
  expect(confirmedWords(over("a", -1))).toBeUndefined();
  const confirmed = over("a", -1, { cause: "timeout", confirmed_at: new Date(NOON).toISOString() });
  expect(confirmedWords(confirmed)).toMatch(/^Ended late: You confirmed on/);
});

test("a fault of ours carries its reference, and an unreachable server is no fault of the person", () => {
  const fault = new Refused({ code: "internal", message: "", id: "1a2b3c4d" });
  expect(problemWords(fault)).toContain("1a2b3c4d");
  expect(problemWords(new Unreachable("no answer"))).toMatch(/cannot reach the server/);
});

test("whoever was signed out for being away is told so", () => {
  expect(wasAway("?next=%2Fdashboard&away")).toBe(true);
  expect(wasAway("?next=%2Fdashboard")).toBe(false);
});

test("of a mail's links only those of this site lead anywhere", () => {
  const text = "Here:\nhttp://here.example/reset#abc\nnot http://here.example.evil/x";
  expect(parts(text, "http://here.example").filter(({ href }) => href !== undefined)).toEqual([
    { text: "http://here.example/reset#abc", href: "http://here.example/reset#abc" },
  ]);
  expect(
    parts(text, "http://here.example")
      .map((part) => part.text)
      .join(""),
  ).toBe(text);
});
