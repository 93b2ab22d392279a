/**
 * Full screen for one element, as the browsers allow it: entered only by a gesture, left at any
 * time by the person, and lost at a reload. Says what happened; keeps no state of the room.
 */
export class Fullscreen {
  readonly #element: Element;
  readonly #changed: (active: boolean) => void;
  #waiting = false;
  #leavingPage = false;

  /** changed: told when the element enters or leaves full screen, but not at the end of the page. */
  constructor(element: Element, changed: (active: boolean) => void) {
    this.#element = element;
    this.#changed = changed;
  }

  /** A reload lost full screen; the next gesture brings it back. */
  get waiting(): boolean {
    return this.#waiting;
  }

  get active(): boolean {
    return document.fullscreenElement === this.#element;
  }

  connect(): void {
    document.addEventListener("fullscreenchange", this.#onChange);
    window.addEventListener("pagehide", this.#onPageHide);
  }

  disconnect(): void {
    document.removeEventListener("fullscreenchange", this.#onChange);
    window.removeEventListener("pagehide", this.#onPageHide);
    this.#stopWaiting();
  }

  /** Needs a gesture. False when the browser does not allow it. */
  async enter(): Promise<boolean> {
    this.#stopWaiting();
    try {
      await this.#element.requestFullscreen();
      return true;
    } catch {
      return false;
    }
  }

  async leave(): Promise<void> {
    this.#stopWaiting();
    if (this.active) await document.exitFullscreen().catch(() => {});
  }

  /** Enter at the next click or key press; Escape means no. */
  enterAtNextGesture(): void {
    if (this.#waiting || this.active) return;
    this.#waiting = true;
    window.addEventListener("click", this.#onGesture);
    window.addEventListener("keydown", this.#onGesture);
  }

  readonly #onGesture = (event: Event) => {
    if (event instanceof KeyboardEvent) {
      if (event.key === "Escape") {
        this.#stopWaiting();
        this.#changed(false);
        return;
      }
      // These keys alone are no gesture to a browser.
      if (["Shift", "Control", "Alt", "Meta", "Tab"].includes(event.key)) return;
    }
    void this.enter().then((entered) => {
      if (!entered) this.#changed(false);
    });
  };

  readonly #onChange = () => {
    if (!this.#leavingPage) this.#changed(this.active);
  };

  readonly #onPageHide = () => {
    this.#leavingPage = true;
  };

  #stopWaiting(): void {
    this.#waiting = false;
    window.removeEventListener("click", this.#onGesture);
    window.removeEventListener("keydown", this.#onGesture);
  }
}
