import { describe, expect, test } from "vitest";
import { type Action, RELOAD_SPACING_MS, RefreshLadder } from "../src/media/refresh";

const button = { type: "begin", cause: "button" } as const;
const stall = { type: "begin", cause: "stall" } as const;
const tick = { type: "tick" } as const;
const moved = { type: "moved" } as const;
const failed = { type: "failed" } as const;
const server = (reachable: boolean) => ({ type: "server", reachable }) as const;

/** Let time pass in tenths of a second, as the page does; what the ladder asked for, and when. */
function pass(ladder: RefreshLadder, from: number, to: number): [number, Action][] {
  const asked: [number, Action][] = [];
  for (let now = from; now <= to; now += 100) {
    const action = ladder.handle(tick, now);
    if (action !== undefined) asked.push([now, action]);
  }
  return asked;
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
      [1_500, "new-connection"],
      [7_500, "reload"],
    ]);
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
    expect(ladder.handle(stall, 0)).toBe("ice-restart");
    expect(pass(ladder, 0, 20_000).map(([, action]) => action)).toEqual([
      "new-connection",
      "reload",
    ]);
  });

  test("does not reload for a stall where media never came since the page was loaded", () => {
    const ladder = new RefreshLadder();
    ladder.handle(stall, 0);
    expect(pass(ladder, 0, 20_000).at(-1)).toEqual([7_500, "give-up"]);
    expect(ladder.handle(button, 90_000)).toBe("ice-restart");
    expect(pass(ladder, 90_000, 110_000).at(-1)?.[1]).toBe("reload");
  });

  test("reloads for a stall again after media has come back", () => {
    const ladder = new RefreshLadder(0);
    const minutes = 5 * 60_000;
    ladder.handle(stall, minutes);
    ladder.handle(moved, minutes + 100);
    ladder.handle(stall, minutes + 200);
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
    expect(pass(ladder, 2_000, 20_000).at(-1)).toEqual([9_500, "give-up"]);
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
    ladder.handle(stall, 0);
    ladder.handle(failed, 10);
    expect(ladder.handle(failed, 20)).toBe("give-up");
    expect(ladder.handle(stall, 1_000)).toBeUndefined();
    expect(ladder.handle(button, 1_000)).toBe("ice-restart");
  });

  test("waits for the server before the first step", () => {
    const ladder = new RefreshLadder();
    ladder.handle(server(false), 0);
    expect(ladder.handle(button, 100)).toBeUndefined();
    expect(pass(ladder, 100, 30_000)).toEqual([]);
    expect(ladder.handle(server(true), 30_000)).toBe("ice-restart");
  });

  test("begins anew when the server was away in the middle", () => {
    const ladder = new RefreshLadder();
    ladder.handle(button, 0);
    expect(pass(ladder, 0, 2_000)).toEqual([[1_500, "new-connection"]]);
    ladder.handle(server(false), 2_100);
    expect(pass(ladder, 2_100, 30_000)).toEqual([]);
    expect(ladder.handle(server(true), 30_000)).toBe("ice-restart");
    expect(pass(ladder, 30_000, 40_000)).toEqual([
      [31_500, "new-connection"],
      [37_500, "reload"],
    ]);
  });

  test("does not reload when the server turns out to be away", () => {
    const ladder = new RefreshLadder();
    ladder.handle(button, 0);
    expect(pass(ladder, 0, 7_500).at(-1)).toEqual([7_500, "reload"]);
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
