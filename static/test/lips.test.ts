import { describe, expect, test } from "vitest";
import { type Played, playedBySection, soundTarget } from "../src/media/lips";

/** capturedAt in ms; 50 samples a second that each wait 60 ms. */
function played(capturedAt: number, second = 1): Played {
  return { capturedAt, waited: 3 * second, emitted: 50 * second };
}

describe("the wait of sound", () => {
  const before = played(0, 0);

  test("grows by half of what it is ahead of the picture", () => {
    expect(soundTarget(before, played(1080), played(1000), null)).toBe(100);
  });

  test("shrinks again when the picture waits no longer", () => {
    expect(soundTarget(before, played(1000), played(1060), 100)).toBe(30);
    expect(soundTarget(before, played(1000), played(1110), 100)).toBe(null);
  });

  test("is left alone where both are near, or sound is late by itself", () => {
    expect(soundTarget(before, played(1010), played(1000), 100)).toBe(100);
    expect(soundTarget(before, played(1000), played(1080), null)).toBe(null);
  });

  test("has a limit", () => {
    expect(soundTarget(before, played(9000), played(1000), null)).toBe(500);
  });

  test("says nothing while nothing is played", () => {
    expect(soundTarget(before, { ...before, capturedAt: 2000 }, played(1000), 40)).toBe(40);
  });
});

test("only what comes in and is played is looked at", () => {
  const report = new Map<string, unknown>([
    ["a", { type: "inbound-rtp", mid: "1", estimatedPlayoutTimestamp: 7 }],
    ["b", { type: "inbound-rtp", mid: "2" }],
    ["c", { type: "outbound-rtp", mid: "3", estimatedPlayoutTimestamp: 7 }],
  ]);
  expect([...playedBySection(report)]).toEqual([["1", { capturedAt: 7, waited: 0, emitted: 0 }]]);
});
