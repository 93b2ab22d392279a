import { describe, expect, test } from "vitest";
import { delayMs } from "../src/signaling/backoff";
import { SnapshotGate } from "../src/signaling/versions";

describe("the wait before reconnecting", () => {
  test("doubles from a quarter of a second to five seconds", () => {
    expect([0, 1, 2, 3, 4, 5, 20].map((attempt) => delayMs(attempt, 1))).toEqual([
      250, 500, 1_000, 2_000, 4_000, 5_000, 5_000,
    ]);
  });

  test("is half random", () => {
    expect(delayMs(2, 0)).toBe(500);
    expect(delayMs(2, 0.5)).toBe(750);
  });

  test("is none for the first fifteen attempts that nothing answered", () => {
    expect([0, 14, 15].map((attempt) => delayMs(attempt, 1, true))).toEqual([0, 0, 5_000]);
  });
});

describe("the gate for room snapshots", () => {
  test("drops what is not newer", () => {
    const gate = new SnapshotGate();
    expect([3, 3, 2, 4].map((version) => gate.accept(version))).toEqual([true, false, false, true]);
  });

  test("knows when a version the server spoke of has not come", () => {
    const gate = new SnapshotGate();
    gate.accept(3);
    expect(gate.behind(4)).toBe(true);
    expect(gate.behind(3)).toBe(false);
  });

  test("takes a lower version on a new socket, because a restarted server counts anew", () => {
    const gate = new SnapshotGate();
    gate.accept(90);
    gate.reset();
    expect(gate.accept(1)).toBe(true);
  });
});
