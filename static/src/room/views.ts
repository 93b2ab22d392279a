/**
 * Which pictures the page shows, and how large: what the server is to send of each.
 *
 * Sizes change with every pixel a window is dragged, so a change is told once it has settled, and
 * what is told is whole; the same list is not told twice to one server.
 */

import type { View } from "../signaling/protocol";

const SETTLED_MS = 200;

export class Views {
  readonly #tell: (views: View[]) => void;
  #now: View[] | undefined;
  #told: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** tell: send the list to the server, and whoever else wants to know. */
  constructor(tell: (views: View[]) => void) {
    this.#tell = tell;
  }

  /** The page shows this now. */
  are(views: View[]): void {
    this.#now = views;
    this.#timer ??= setTimeout(() => this.#settled(), SETTLED_MS);
  }

  /** A server that we have just joined has not heard it. */
  again(): void {
    this.#told = undefined;
    if (this.#now !== undefined) this.#settled();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#now = this.#told = undefined;
  }

  #settled(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const views = this.#now ?? [];
    const text = JSON.stringify(views);
    if (text === this.#told) return;
    this.#told = text;
    this.#tell(views);
  }
}

/** A picture's size in device pixels, as the protocol takes it. */
export function inPixels(width: number, height: number, ratio: number) {
  const pixels = (length: number) => Math.min(16_384, Math.max(0, Math.round(length * ratio)));
  return { width: pixels(width), height: pixels(height) };
}
