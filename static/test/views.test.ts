import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { inPixels, Views } from "../src/room/views";
import type { View } from "../src/signaling/protocol";

const view = (width: number): View => ({
  participant_id: "maya",
  source: "camera",
  width,
  height: 100,
});

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

describe("what the page shows", () => {
  test("is told once it has settled, and only the last of it", () => {
    const told = vi.fn();
    const views = new Views(told);
    for (const width of [100, 200, 300]) views.are([view(width)]);
    expect(told).not.toHaveBeenCalled();
    vi.advanceTimersByTime(200);
    expect(told.mock.calls).toEqual([[[view(300)]]]);
  });

  test("is told while it never settles", () => {
    const told = vi.fn();
    const views = new Views(told);
    for (let width = 0; width < 40; width++) {
      views.are([view(width)]);
      vi.advanceTimersByTime(50);
    }
    expect(told.mock.calls.length).toBeGreaterThan(5);
  });

  test("is not told twice, but again to a server that was joined anew", () => {
    const told = vi.fn();
    const views = new Views(told);
    views.are([view(100)]);
    vi.advanceTimersByTime(200);
    views.are([view(100)]);
    vi.advanceTimersByTime(200);
    expect(told).toHaveBeenCalledTimes(1);
    views.again();
    expect(told).toHaveBeenCalledTimes(2);
  });

  test("is measured in device pixels, within what the protocol takes", () => {
    expect(inPixels(320.4, 240, 2)).toEqual({ width: 641, height: 480 });
    expect(inPixels(320, 240, 0)).toEqual({ width: 0, height: 0 });
    expect(inPixels(9_000, 1, 3).width).toBe(16_384);
  });
});
