/**
 * The own screen, window or tab, while it is shared. Owns the capture.
 *
 * A browser asks each time, and forgets the capture with the page.
 */

/** Phones have no such thing. */
export function canShareScreen(): boolean {
  return navigator.mediaDevices?.getDisplayMedia !== undefined;
}

export class ScreenCapture {
  readonly #changed: () => void;
  #track: MediaStreamTrack | undefined;

  /** changed: called when the browser ended the capture, by its own "Stop sharing". */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  get track(): MediaStreamTrack | null {
    return this.#track ?? null;
  }

  /** Ask which one to share; needs a gesture. False when the person thought better of it. */
  async start(): Promise<boolean> {
    this.stop();
    let track: MediaStreamTrack | undefined;
    try {
      const stream = await navigator.mediaDevices.getDisplayMedia({
        // A page that is scrolled or a slide that changes needs no more.
        video: { frameRate: { ideal: 15, max: 30 } },
        audio: false,
      });
      [track] = stream.getVideoTracks();
    } catch {
      return false;
    }
    if (track === undefined) return false;
    // Text has to stay sharp; frames may wait.
    track.contentHint = "detail";
    track.addEventListener("ended", () => {
      if (this.#track !== track) return;
      this.#track = undefined;
      this.#changed();
    });
    this.#track = track;
    return true;
  }

  stop(): void {
    const track = this.#track;
    this.#track = undefined;
    track?.stop();
  }
}
