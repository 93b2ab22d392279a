/**
 * Sound and picture of one person together. Browsers do so within 30 ms and slowly; where pictures
 * are held back because packets are lost, that leaves sound ahead. Pure.
 */

/** What a browser says of one thing that it plays. */
export interface Played {
  /** When what is played now was captured, ms. */
  capturedAt: number;
  /** Seconds that all samples so far waited, and how many there were. */
  waited: number;
  emitted: number;
}

interface InboundEntry {
  type: string;
  mid?: string;
  estimatedPlayoutTimestamp?: number;
  jitterBufferDelay?: number;
  jitterBufferEmittedCount?: number;
}

// Less is not noticed, and measured no better.
const NEAR_MS = 15;
// So much of what is missing at a time: the browser takes a while to get there.
const STEP = 0.5;
const MOST_MS = 500;

/** What is played, by section. */
export function playedBySection(report: ReadonlyMap<string, unknown>): Map<string, Played> {
  const played = new Map<string, Played>();
  for (const entry of report.values() as Iterable<InboundEntry>) {
    const { type, mid, estimatedPlayoutTimestamp: capturedAt } = entry;
    if (type !== "inbound-rtp" || mid === undefined || !capturedAt) continue;
    const { jitterBufferDelay: waited = 0, jitterBufferEmittedCount: emitted = 0 } = entry;
    played.set(mid, { capturedAt, waited, emitted });
  }
  return played;
}

/**
 * How long sound is to wait, ms, so that it comes with the picture; null: as short as the browser
 * finds right. before: of the sound, a second or so earlier. target: what was asked for so far.
 */
export function soundTarget(
  before: Played,
  sound: Played,
  picture: Played,
  target: number | null,
): number | null {
  const ahead = sound.capturedAt - picture.capturedAt;
  const emitted = sound.emitted - before.emitted;
  if (Math.abs(ahead) < NEAR_MS || emitted <= 0) return target;
  const waits = ((sound.waited - before.waited) / emitted) * 1000;
  const wanted = Math.min(waits + STEP * ahead, MOST_MS);
  // Behind by itself: nothing that was asked for holds it back.
  if (ahead < 0 && target === null) return null;
  return wanted < NEAR_MS ? null : Math.round(wanted);
}
