/**
 * The layers a camera is sent in, and which of them are encoded.
 *
 * A camera is sent as simulcast so that the relay can give each viewer the layer that fits: q, h
 * and f are about 320, 640 and 1280 pixels wide. The server says which of them somebody watches;
 * the others rest. What it said outlives the connection: the next one starts with it.
 */

/** The smallest first, as the protocol wants them. */
export const RIDS: readonly string[] = ["q", "h", "f"];

// Chromium encodes only the first two layers of a picture below 960 × 540, and only the first
// below 480 × 270, whatever is asked for: the upper ones are what a small camera lacks. Seen at
// 640 × 480; the limits themselves are taken from libwebrtc's table of simulcast formats.
const THREE_LAYERS_FROM = 960 * 540;
const TWO_LAYERS_FROM = 480 * 270;

// Bits a second that show a talking head well in VP8, by the picture's pixels. A browser would
// take up to 2.5 Mbit/s for 1280 × 720, which a still room does not need.
const RATES: readonly [pixels: number, bitsPerSecond: number][] = [
  [160 * 120, 100_000],
  [320 * 240, 250_000],
  [640 * 480, 800_000],
  [1280 * 720, 1_800_000],
];
const HIGHEST_RATE = 2_500_000;

export interface Size {
  width: number;
  height: number;
}

export interface LayerSettings {
  active: boolean;
  scaleResolutionDownBy: number;
  maxBitrate: number;
}

/** How many layers a camera's picture is worth. Pure. */
function layerCount({ width, height }: Size): number {
  const pixels = width * height;
  return pixels >= THREE_LAYERS_FROM ? 3 : pixels >= TWO_LAYERS_FROM ? 2 : 1;
}

/**
 * What one layer of a camera's picture is to be; one that nobody watches rests. Pure.
 * among: the rids the connection has.
 */
export function layerSettings(
  rid: string,
  among: readonly string[],
  size: Size,
  watched: ReadonlySet<string> | undefined,
): LayerSettings {
  const above = Math.min(layerCount(size), among.length) - 1 - among.indexOf(rid);
  const scale = 2 ** Math.max(0, above);
  const pixels = (size.width * size.height) / scale ** 2;
  return {
    active: above >= 0 && (watched?.has(rid) ?? true),
    scaleResolutionDownBy: scale,
    maxBitrate: RATES.find(([upTo]) => pixels <= upTo)?.[1] ?? HIGHEST_RATE,
  };
}

/** The encodings of a section for a camera of this size; a small one is not sent in layers. Pure. */
export function cameraEncodings(size: Size): RTCRtpEncodingParameters[] {
  const rids = RIDS.slice(0, layerCount(size));
  if (rids.length === 1) return [{}];
  return rids.map((rid) => ({ rid, ...layerSettings(rid, rids, size, undefined) }));
}

/** The size of a track's picture, once it is known. */
export function pictureSize(track: MediaStreamTrack | null): Size | undefined {
  const { width, height } = track?.getSettings() ?? {};
  return width && height ? { width, height } : undefined;
}

/** Keeps one sender's encodings as they ought to be, whatever changes meanwhile. */
export class LayerSwitch {
  readonly #sender: RTCRtpSender;
  #watched: ReadonlySet<string> | undefined;
  #settled: Promise<void> = Promise.resolve();

  constructor(sender: RTCRtpSender, watched: ReadonlySet<string> | undefined) {
    this.#sender = sender;
    this.#watched = watched;
  }

  /** The server said which layers somebody watches. */
  watch(watched: ReadonlySet<string>): Promise<void> {
    this.#watched = watched;
    return this.settle();
  }

  /** Bring the encodings in line with what is known now: after a change of the track as well. */
  settle(): Promise<void> {
    // One after the other: a setParameters under way makes what getParameters said out of date.
    this.#settled = this.#settled.then(() => this.#apply());
    return this.#settled;
  }

  async #apply(): Promise<void> {
    const size = pictureSize(this.#sender.track);
    if (size === undefined) return; // Nothing is sent, and the next track settles it.
    const parameters = this.#sender.getParameters();
    const rids = parameters.encodings.flatMap(({ rid }) => rid ?? []);
    let changed = false;
    for (const encoding of parameters.encodings) {
      // Without rids there are no layers: the one encoding stays as it is.
      if (encoding.rid === undefined) continue;
      const settings = layerSettings(encoding.rid, rids, size, this.#watched);
      changed ||= Object.entries(settings).some(
        ([name, value]) => encoding[name as keyof LayerSettings] !== value,
      );
      Object.assign(encoding, settings);
    }
    // In the same task as getParameters: a later one would find these out of date. Refused for a
    // connection that is being closed; the next one is told all the same.
    if (changed) await this.#sender.setParameters(parameters).catch(() => {});
  }
}
