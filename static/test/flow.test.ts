import { describe, expect, test } from "vitest";
import { type FlowSample, moved, StallWatch, sampleFlow } from "../src/media/flow";

function sample(change: Partial<FlowSample> & { mids?: Record<string, number> } = {}): FlowSample {
  const { mids = {}, ...rest } = change;
  return {
    at: 0,
    packetsSent: 0,
    bytesReceived: 0,
    progress: new Map(Object.entries(mids)),
    rttMs: undefined,
    silentMs: undefined,
    ...rest,
  };
}

describe("a sample of the statistics", () => {
  const report = new Map<string, unknown>([
    ["out", { type: "outbound-rtp", packetsSent: 7 }],
    ["a", { type: "inbound-rtp", kind: "audio", mid: "2", packetsReceived: 50, packetsLost: 1 }],
    ["v", { type: "inbound-rtp", kind: "video", mid: "3", packetsReceived: 90, framesDecoded: 30 }],
    ["old", { type: "candidate-pair", nominated: false, bytesReceived: 10 }],
    [
      "pair",
      {
        type: "candidate-pair",
        timestamp: 1_000,
        nominated: true,
        bytesReceived: 90,
        currentRoundTripTime: 0.04,
        lastPacketReceivedTimestamp: 970,
      },
    ],
    ["codec", { type: "codec" }],
  ]);

  test("sums what is sent and received and keeps each section's progress", () => {
    expect(sampleFlow(report, 5, true)).toEqual(
      sample({
        at: 5,
        packetsSent: 7,
        bytesReceived: 100,
        rttMs: 40,
        silentMs: 30,
        mids: { "2": 50, "3": 30 },
      }),
    );
  });

  test("counts packets instead of pictures while the page is hidden", () => {
    expect(sampleFlow(report, 5, false).progress.get("3")).toBe(90);
  });
});

describe("whether media moved", () => {
  test("needs progress in every section that is expected", () => {
    const before = sample({ mids: { "2": 5, "3": 5 } });
    const now = sample({ mids: { "2": 6, "3": 5 } });
    expect(moved(before, now, ["2"])).toBe(true);
    expect(moved(before, now, ["2", "3"])).toBe(false);
    expect(moved(before, now, ["9"])).toBe(false);
  });

  test("is doubted when the relay answers nothing to what we send", () => {
    expect(moved(sample(), sample({ packetsSent: 10 }), [])).toBe(false);
    expect(moved(sample(), sample({ packetsSent: 10, bytesReceived: 1 }), [])).toBe(true);
  });

  test("is not doubted when nobody sends anything", () => {
    expect(moved(sample(), sample(), [])).toBe(true);
  });
});

describe("the stall watch", () => {
  const second = (n: number, received: number) =>
    sample({ at: n * 1_000, packetsSent: n * 50, bytesReceived: received });

  /** So long after the last packet came. */
  const silence = (ms: number, change: Partial<FlowSample>) =>
    sample({ at: 1_000 + ms, packetsSent: 100 + ms, bytesReceived: 500, silentMs: ms, ...change });

  test("notices within 350 ms and a round trip that nothing is answered any more", () => {
    for (const rttMs of [40, 300]) {
      const watch = new StallWatch();
      expect(watch.observe(silence(0, { rttMs }), true)).toBe(false);
      expect(watch.doubtful).toBe(false);
      expect(watch.observe(silence(350 + rttMs, { rttMs }), true)).toBe(false);
      expect(watch.doubtful).toBe(true);
      expect(watch.observe(silence(351 + rttMs, { rttMs }), true)).toBe(true);
    }
  });

  test("is not alarmed by 300 ms of nothing that a round trip of 300 makes longer", () => {
    const watch = new StallWatch();
    const rttMs = 300;
    watch.observe(silence(0, { rttMs }), true);
    expect(watch.observe(silence(550, { rttMs }), true)).toBe(false);
    expect(watch.observe(silence(600, { rttMs, bytesReceived: 501, silentMs: 0 }), true)).toBe(
      false,
    );
    expect(watch.doubtful).toBe(false);
  });

  test("waits longer where so little is sent that it may have been lost", () => {
    const watch = new StallWatch();
    const few = { rttMs: 40, packetsSent: 107 };
    watch.observe(silence(0, { rttMs: 40 }), true);
    expect(watch.observe(silence(2_500, few), true)).toBe(false);
    expect(watch.observe(silence(2_501, few), true)).toBe(true);
  });

  test("notices when a connection that worked falls silent for more than 2.5 s", () => {
    const watch = new StallWatch();
    expect([0, 1, 2].map((n) => watch.observe(second(n, n * 100), true))).not.toContain(true);
    expect([3, 4, 5].map((n) => watch.observe(second(n, 200), true))).toEqual([false, false, true]);
  });

  test("is not alarmed by a pause that ends", () => {
    const watch = new StallWatch();
    watch.observe(second(0, 0), true);
    watch.observe(second(2, 0), true);
    expect(watch.observe(second(3, 50), true)).toBe(false);
    expect(watch.observe(second(5, 50), true)).toBe(false);
  });

  test("gives a new connection 8 s to come up", () => {
    const watch = new StallWatch();
    watch.observe(second(0, 0), false);
    expect(watch.observe(second(8, 0), false)).toBe(false);
    expect(watch.observe(second(9, 0), false)).toBe(true);
  });

  test("notices a transport that the browser calls lost", () => {
    const watch = new StallWatch();
    watch.observe(second(0, 0), true);
    expect(watch.observe(second(3, 900), false)).toBe(true);
  });
});
