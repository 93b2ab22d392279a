import { describe, expect, test } from "vitest";
import { type Action, RELOAD_SPACING_MS, RefreshLadder } from "../src/media/refresh";

const button = { type: "begin", cause: "button" } as const;
const stall = { type: "begin", cause: "stall" } as const;
// The first tick after the ICE restart's 2 s, and after the new connection's 6 s, each from its answer.
const LAST_STEP = 8_000;
const tick = { type: "tick" } as const;
const moved = { type: "moved" } as const;
const failed = { type: "failed" } as const;
const answered = { type: "answered" } as const;
const server = (reachable: boolean) => ({ type: "server", reachable }) as const;

/**
 * Let time pass in tenths of a second, as the page does, on a server that answers at once; what
 * the ladder asked for, and when.
 */
function pass(ladder: RefreshLadder, from: number, to: number): [number, Action][] {
  const asked: [number, Action][] = [];
  for (let now = from; now <= to; now += 100) {
    const action = ladder.handle(tick, now);
    if (action !== undefined) asked.push([now, action]);
    ladder.handle(answered, now);
  }
  return asked;
}

/** A stall, and a server that says that it is there. */
function stalls(ladder: RefreshLadder, now: number): Action | undefined {
  expect(ladder.handle(stall, now)).toBe("probe");
  return ladder.handle(server(true), now);
}

describe("the refresh ladder", () => {
  test("begins with an ICE restart and stops there when media is back", () => {
    const ladder = new RefreshLadder();
    expect(ladder.handle(button, 0)).toBe("ice-restart");
    expect(ladder.climbing).toBe("button");
    expect(ladder.handle(moved, 200)).toBe("done");
    expect(ladder.climbing).toBeUndefined();
    expect(pass(ladder, 200, 60_000)).toEqual([]);
  });

  test("takes each step only after the one before brought nothing back in its time", () => {
    const ladder = new RefreshLadder();
    ladder.handle(button, 0);
    expect(pass(ladder, 0, 20_000)).toEqual([
      [2_000, "new-connection"],
      [LAST_STEP, "reload"],
    ]);
  });

  test("counts a step's time from the server's answer", () => {
    const ladder = new RefreshLadder();
    ladder.handle(button, 0);
    expect(ladder.handle(tick, 60_000)).toBeUndefined();
    ladder.handle(answered, 60_000);
    expect(ladder.handle(tick, 61_900)).toBeUndefined();
    expect(ladder.handle(tick, 62_000)).toBe("new-connection");
    expect(ladder.handle(tick, 90_000)).toBeUndefined();
  });

  test("goes on at once when a step cannot be carried out", () => {
    const ladder = new RefreshLadder();
    ladder.handle(button, 0);
    expect(ladder.handle(failed, 10)).toBe("new-connection");
    expect(ladder.handle(failed, 20)).toBe("reload");
  });

  test("climbs by itself when media stalls, with the same steps", () => {
    const ladder = new RefreshLadder();
    ladder.handle(moved, 0);
    expect(stalls(ladder, 0)).toBe("ice-restart");
    expect(pass(ladder, 0, 20_000).map(([, action]) => action)).toEqual([
      "new-connection",
      "reload",
    ]);
  });

  test("leaves a connection alone that comes back while the server is not there yet", () => {
    const ladder = new RefreshLadder();
    expect(ladder.handle(stall, 0)).toBe("probe");
    ladder.handle(server(false), 3_000);
    expect(pass(ladder, 0, 10_000)).toEqual([]);
    expect(ladder.handle(moved, 10_000)).toBe("done");
    expect(ladder.handle(server(true), 11_000)).toBeUndefined();
  });

  test("does not reload for a stall where media never came since the page was loaded", () => {
    const ladder = new RefreshLadder();
    stalls(ladder, 0);
    expect(pass(ladder, 0, 20_000).at(-1)).toEqual([LAST_STEP, "give-up"]);
    expect(ladder.handle(button, 90_000)).toBe("ice-restart");
    expect(pass(ladder, 90_000, 110_000).at(-1)?.[1]).toBe("reload");
  });

  test("reloads for a stall again after media has come back", () => {
    const ladder = new RefreshLadder(0);
    const minutes = 5 * 60_000;
    stalls(ladder, minutes);
    ladder.handle(moved, minutes + 100);
    stalls(ladder, minutes + 200);
    expect(pass(ladder, minutes + 200, minutes + 20_000).at(-1)?.[1]).toBe("reload");
  });

  test("does not start again while it climbs, and the press joins the climb", () => {
    const ladder = new RefreshLadder();
    ladder.handle(stall, 0);
    expect(ladder.handle(stall, 100)).toBeUndefined();
    expect(ladder.handle(button, 200)).toBeUndefined();
    expect(ladder.climbing).toBe("button");
  });

  test("gives up instead of reloading twice within a minute", () => {
    const ladder = new RefreshLadder(1_000);
    ladder.handle(button, 2_000);
    expect(pass(ladder, 2_000, 20_000).at(-1)).toEqual([2_000 + LAST_STEP, "give-up"]);
    expect(ladder.climbing).toBeUndefined();
  });

  test("reloads again once the last reload is long ago", () => {
    const ladder = new RefreshLadder(0);
    ladder.handle(button, RELOAD_SPACING_MS);
    const last = pass(ladder, RELOAD_SPACING_MS, RELOAD_SPACING_MS + 20_000).at(-1);
    expect(last?.[1]).toBe("reload");
  });

  test("rests after giving up before a stall starts it again; a press need not wait", () => {
    const ladder = new RefreshLadder(0);
    stalls(ladder, 0);
    ladder.handle(failed, 10);
    expect(ladder.handle(failed, 20)).toBe("give-up");
    expect(ladder.handle(stall, 1_000)).toBeUndefined();
    expect(ladder.handle(button, 1_000)).toBe("ice-restart");
  });

  test("waits for the server before the first step", () => {
    const ladder = new RefreshLadder();
    ladder.handle(server(false), 0);
    expect(ladder.handle(button, 100)).toBe("probe");
    expect(ladder.waiting).toBe(true);
    expect(pass(ladder, 100, 30_000)).toEqual([]);
    expect(ladder.handle(server(true), 30_000)).toBe("ice-restart");
  });

  test("begins anew when the server was away in the middle", () => {
    const ladder = new RefreshLadder();
    ladder.handle(button, 0);
    expect(pass(ladder, 0, 2_500)).toEqual([[2_000, "new-connection"]]);
    ladder.handle(server(false), 2_600);
    expect(pass(ladder, 2_600, 30_000)).toEqual([]);
    expect(ladder.handle(server(true), 30_000)).toBe("ice-restart");
    expect(pass(ladder, 30_000, 40_000)).toEqual([
      [32_000, "new-connection"],
      [30_000 + LAST_STEP, "reload"],
    ]);
  });

  test("does not reload when the server turns out to be away", () => {
    const ladder = new RefreshLadder();
    ladder.handle(button, 0);
    expect(pass(ladder, 0, LAST_STEP).at(-1)).toEqual([LAST_STEP, "reload"]);
    ladder.handle(server(false), 9_000);
    expect(ladder.handle(server(true), 20_000)).toBe("ice-restart");
  });

  test("takes nothing for granted while the server is away", () => {
    const ladder = new RefreshLadder();
    ladder.handle(server(false), 0);
    ladder.handle(button, 0);
    expect(ladder.handle(moved, 100)).toBeUndefined();
    expect(ladder.handle(failed, 100)).toBeUndefined();
    expect(ladder.climbing).toBe("button");
  });
});
