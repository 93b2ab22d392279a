import { describe, expect, test } from "vitest";
import { cameraEncodings, LayerSwitch, layerSettings } from "../src/media/layers";

const HD = { width: 1280, height: 720 };
const VGA = { width: 640, height: 480 };
const SMALL = { width: 320, height: 240 };
const RIDS = ["q", "h", "f"];

/** A sender as browsers have it: parameters are good for one setParameters, in the same task. */
class Sender {
  encodings: RTCRtpEncodingParameters[];
  track: object | null;
  sets = 0;
  #transaction: string | undefined;

  constructor(size = HD) {
    this.encodings = cameraEncodings(size);
    this.track = { getSettings: () => size };
  }

  getParameters() {
    this.#transaction = `${this.sets}`;
    queueMicrotask(() => (this.#transaction = undefined));
    return {
      transactionId: this.#transaction,
      encodings: this.encodings.map((encoding) => ({ ...encoding })),
    };
  }

  async setParameters(parameters: { transactionId: string; encodings: [] }): Promise<void> {
    if (parameters.transactionId !== this.#transaction) throw new Error("out of date");
    this.sets += 1;
    await Promise.resolve();
    this.encodings = parameters.encodings;
  }

  get active() {
    return this.encodings.filter(({ active }) => active).map(({ rid }) => rid);
  }
}

function switchOf(sender: Sender, watched?: string[]): LayerSwitch {
  return new LayerSwitch(sender as unknown as RTCRtpSender, watched && new Set(watched));
}

describe("the layers of a camera", () => {
  test("are as many as Chromium encodes of its picture, the smallest first", () => {
    expect(cameraEncodings(HD).map(({ rid }) => rid)).toEqual(["q", "h", "f"]);
    expect(cameraEncodings({ width: 720, height: 1280 })).toHaveLength(3);
    expect(cameraEncodings(VGA).map(({ rid }) => rid)).toEqual(["q", "h"]);
    expect(cameraEncodings(SMALL)).toEqual([{}]);
  });

  test("end with the whole picture", () => {
    const scales = (size: typeof HD) =>
      cameraEncodings(size).map(({ scaleResolutionDownBy }) => scaleResolutionDownBy);
    expect(scales(HD)).toEqual([4, 2, 1]);
    expect(scales(VGA)).toEqual([2, 1]);
  });

  test("take more bits the larger they are", () => {
    const rates = cameraEncodings(HD).map(({ maxBitrate = 0 }) => maxBitrate);
    expect(rates).toEqual([...rates].sort((one, other) => one - other));
    expect(rates[0]).toBeLessThan(300_000);
  });

  test("rest where a smaller camera lacks them or nobody watches", () => {
    const active = (rid: string, size: typeof HD, watched?: string[]) =>
      layerSettings(rid, RIDS, size, watched && new Set(watched)).active;
    expect(RIDS.map((rid) => active(rid, HD))).toEqual([true, true, true]);
    expect(RIDS.map((rid) => active(rid, VGA))).toEqual([true, true, false]);
    expect(RIDS.map((rid) => active(rid, HD, ["h"]))).toEqual([false, true, false]);
    expect(RIDS.map((rid) => active(rid, VGA, ["f"]))).toEqual([false, false, false]);
  });
});

describe("the switch of the layers", () => {
  test("rests what nobody watches and wakes it again", async () => {
    const sender = new Sender();
    const layers = switchOf(sender);
    await layers.watch(new Set(["q"]));
    expect(sender.active).toEqual(["q"]);
    await layers.watch(new Set());
    expect(sender.active).toEqual([]);
    await layers.watch(new Set(RIDS));
    expect(sender.active).toEqual(RIDS);
  });

  test("does one thing after the other, and the last one holds", async () => {
    const sender = new Sender();
    const layers = switchOf(sender);
    await Promise.all([
      layers.watch(new Set(["f"])),
      layers.settle(),
      layers.watch(new Set(["h"])),
      layers.watch(new Set(["q", "h"])),
    ]);
    expect(sender.active).toEqual(["q", "h"]);
  });

  test("starts with what the server said of the connection before", async () => {
    const sender = new Sender();
    await switchOf(sender, ["h"]).settle();
    expect(sender.active).toEqual(["h"]);
  });

  test("sets nothing that is as it ought to be", async () => {
    const sender = new Sender();
    await switchOf(sender).settle();
    expect(sender.sets).toBe(0);
  });

  test("follows a camera of another size", async () => {
    const sender = new Sender();
    sender.track = { getSettings: () => VGA };
    await switchOf(sender).settle();
    expect(sender.active).toEqual(["q", "h"]);
    expect(sender.encodings.map((each) => each.scaleResolutionDownBy)).toEqual([2, 1, 1]);
  });

  test("leaves a camera alone that is not sent in layers", async () => {
    const sender = new Sender(SMALL);
    await switchOf(sender).watch(new Set());
    expect(sender.sets).toBe(0);
  });
});
