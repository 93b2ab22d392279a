import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Call } from "../src/room/call";

class Connection {
  readonly state = "connected";
  readonly established = true;
  stats = (): Promise<Map<string, object>> => Promise.resolve(report(0));

  constructor() {
    connections.push(this);
  }

  readonly restartIce = vi.fn(async (_: RTCIceServer[]) => {});
  readonly seekPath = vi.fn(async () => {});
  readonly resume = vi.fn(async () => {});
  unanswered = false;

  async connect(): Promise<void> {}

  async send(): Promise<void> {}

  take(): void {}

  keepLips(): void {}

  received(): [] {
    return [];
  }

  close(): void {}
}

const connections: Connection[] = [];
const doubtful = vi.fn();

vi.mock("../src/media/connection", () => ({
  // A constructor, which an arrow function is not.
  MediaConnection: function MediaConnection() {
    return new Connection();
  },
}));

const NO_SECTIONS = { audios: 0, videos: 0, tracks: [] };

/** silentMs: how long ago the last packet came. */
function report(
  packetsSent: number,
  bytesReceived = packetsSent,
  silentMs = 0,
): Map<string, object> {
  const times = { timestamp: 1e9, lastPacketReceivedTimestamp: 1e9 - silentMs };
  const pair = { type: "candidate-pair", nominated: true, currentRoundTripTime: 0.05, ...times };
  return new Map<string, object>([
    ["sent", { type: "outbound-rtp", packetsSent }],
    ["pair", { ...pair, bytesReceived }],
  ]);
}

let packets = 0;

function more(): number {
  packets += 10;
  return packets;
}

function call(): Call {
  const nothing = () => {};
  const listener = {
    changed: nothing,
    doubtful,
    reload: nothing,
    gaveUp: nothing,
    recovered: nothing,
    offerRefused: nothing,
  };
  return new Call(
    () => new Promise(() => {}),
    () => null,
    listener,
    undefined,
  );
}

function connection(): Connection {
  const last = connections.at(-1);
  if (last === undefined) throw new Error("no connection was made");
  return last;
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("navigator", { hardwareConcurrency: 2 });
  vi.stubGlobal("document", { visibilityState: "visible" });
  doubtful.mockClear();
});

afterEach(() => vi.useRealTimers());

describe("the watch over a call", () => {
  test("goes on after statistics that could not be had", async () => {
    const watched = call();
    watched.joined([], NO_SECTIONS, false);
    const stats = vi.fn(() => Promise.reject(new Error("closing")));
    connection().stats = stats;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(stats).toHaveBeenCalledTimes(4);
    watched.close();
  });

  test("asks whether the server is there before anything is done about a stall", async () => {
    const watched = call();
    watched.joined([], NO_SECTIONS, false);
    connection().stats = async () => report(more(), 100, performance.now());
    await vi.advanceTimersByTimeAsync(1_000);
    expect(doubtful).toHaveBeenCalledOnce();
    expect(connection().restartIce).not.toHaveBeenCalled();
    watched.serverAnswered();
    expect(connection().restartIce).toHaveBeenCalledOnce();
    watched.close();
  });

  test("does nothing more about a stall that is over before the server has answered", async () => {
    const watched = call();
    watched.joined([], NO_SECTIONS, false);
    connection().stats = async () => report(more(), 100, performance.now());
    await vi.advanceTimersByTimeAsync(1_000);
    watched.serverGone();
    connection().stats = async () => report(more());
    await vi.advanceTimersByTimeAsync(1_000);
    expect(watched.refreshing).toBeUndefined();
    watched.serverAnswered();
    expect(connection().restartIce).not.toHaveBeenCalled();
    watched.close();
  });

  test("seeks a path at once, and makes the offer of it when media is back", async () => {
    const watched = call();
    watched.joined([], NO_SECTIONS, false);
    connection().stats = async () => report(more(), 100, performance.now());
    await vi.advanceTimersByTimeAsync(1_000);
    expect(connection().seekPath).toHaveBeenCalledOnce();
    connection().unanswered = true;
    expect(connection().resume).not.toHaveBeenCalled();
    connection().stats = async () => report(more());
    await vi.advanceTimersByTimeAsync(1_000);
    expect(watched.refreshing).toBeUndefined();
    expect(connection().resume).toHaveBeenCalledOnce();
    watched.close();
  });

  test("does not compare a connection with the one before it", async () => {
    const watched = call();
    watched.joined([], NO_SECTIONS, false);
    let late: (statistics: Map<string, object>) => void = () => {};
    connection().stats = () => new Promise((resolve) => (late = resolve));
    await vi.advanceTimersByTimeAsync(1_000);

    watched.joined([], NO_SECTIONS, false);
    let packets = 0;
    connection().stats = async () => report(++packets);
    late(report(0, 1_000_000));
    await vi.advanceTimersByTimeAsync(5_000);
    expect(packets).toBeGreaterThan(3);
    expect(connection().restartIce).not.toHaveBeenCalled();
    watched.close();
  });
});

describe("a refresh", () => {
  test("asks TURN servers with the credentials of the latest join", async () => {
    const refreshed = call();
    refreshed.joined([{ urls: "turn:a.test", username: "old" }], NO_SECTIONS, false);
    const renewed = [{ urls: "turn:a.test", username: "new" }];
    refreshed.joined(renewed, NO_SECTIONS, true);
    refreshed.refresh();
    expect(connection().restartIce).toHaveBeenCalledWith(renewed);
    refreshed.close();
  });
});
