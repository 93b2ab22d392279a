/**
 * The own microphone and camera: opened, muted, let go. Owns their tracks.
 */

import { chosenDevice, type Device, type DeviceProblem, NO_DEVICE, openDevices } from "./devices";

export class LocalMedia {
  readonly #changed: (source: Device) => void;
  readonly #tracks = new Map<Device, MediaStreamTrack>();
  readonly #problems = new Map<Device, DeviceProblem>();
  /** Sources that are to be open; one let go while the browser still asks is closed on arrival. */
  readonly #wanted = new Set<Device>();
  readonly #opening = new Set<Device>();
  #preview: MediaStream | undefined;

  /** changed: called when a source's track or problem is another. */
  constructor(changed: (source: Device) => void) {
    this.#changed = changed;
  }

  track(source: Device): MediaStreamTrack | null {
    return this.#tracks.get(source) ?? null;
  }

  /** What is the matter, by source. */
  get problems(): Partial<Record<Device, DeviceProblem>> {
    return Object.fromEntries(this.#problems);
  }

  problem(source: Device): DeviceProblem | undefined {
    return this.#problems.get(source);
  }

  opening(source: Device): boolean {
    return this.#opening.has(source);
  }

  /** The own picture; the same stream for as long as the track is the same. */
  get picture(): MediaStream | undefined {
    return this.#preview;
  }

  /** Open what is not open yet. Never throws: what went wrong is the source's problem. */
  async open(sources: readonly Device[]): Promise<void> {
    const asked = sources.filter(
      (source) =>
        !this.#tracks.has(source) &&
        !this.#opening.has(source) &&
        chosenDevice(source) !== NO_DEVICE,
    );
    for (const source of sources) this.#wanted.add(source);
    if (asked.length === 0) return;
    for (const source of asked) {
      this.#opening.add(source);
      this.#problems.delete(source);
      this.#changed(source);
    }
    const opened = await openDevices(asked);
    for (const source of asked) {
      this.#opening.delete(source);
      const result = opened[source] ?? { problem: "failed" as const };
      if ("problem" in result) this.#problems.set(source, result.problem);
      else if (this.#wanted.has(source)) this.#take(source, result.track);
      else result.track.stop();
      this.#changed(source);
    }
  }

  /** Let the device go; its light goes out. */
  release(source: Device): void {
    this.#wanted.delete(source);
    this.#problems.delete(source);
    this.#drop(source);
    this.#changed(source);
  }

  /** Open the source again from the device that is now picked. */
  async reopen(source: Device): Promise<void> {
    this.release(source);
    await this.open([source]);
  }

  /** Silence at once, before anyone else is told. */
  enable(source: Device, enabled: boolean): void {
    const track = this.#tracks.get(source);
    if (track !== undefined) track.enabled = enabled;
  }

  #take(source: Device, track: MediaStreamTrack): void {
    track.contentHint = source === "microphone" ? "speech" : "motion";
    track.addEventListener("ended", () => {
      if (this.#tracks.get(source) !== track) return;
      this.#drop(source);
      this.#problems.set(source, "unplugged");
      this.#changed(source);
    });
    this.#tracks.set(source, track);
    if (source === "camera") this.#preview = new MediaStream([track]);
  }

  #drop(source: Device): void {
    const track = this.#tracks.get(source);
    this.#tracks.delete(source);
    track?.stop();
    if (source === "camera") this.#preview = undefined;
  }
}
