/** The server's reports, one every two seconds while somebody looks at them. Dispatches "change". */

import { ask, type Me } from "../account/api";
import { Refused } from "../signaling/errors";
import type { Report } from "./figures";

const EVERY_MS = 2_000;
const RATES_OVER_MS = 3 * EVERY_MS;
// Asking keeps the sign-in alive: a page that nobody uses must not, so that it runs out.
const IN_USE_FOR_MS = 15 * 60_000;

export class Watch extends EventTarget {
  me: Me | undefined;
  /** The newest report, and the one before it. */
  report: Report | undefined;
  before: Report | undefined;
  /** When the newest came, on the own clock. */
  reportedAt = 0;
  /** What went wrong at the last attempt. */
  problem: unknown;
  signedOut = false;
  /** This person may not see it. */
  forbidden = false;
  /** Nobody used the page for so long that it no longer asks. */
  paused = false;

  #usedAt = Date.now();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asking = false;
  #stopped = false;

  start(): void {
    this.#stopped = false;
    void this.#look();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** The person did something. */
  used(): void {
    this.#usedAt = Date.now();
    if (!this.paused || document.hidden) return;
    this.paused = false;
    void this.#look();
  }

  async #look(): Promise<void> {
    if (this.#asking) return;
    clearTimeout(this.#timer);
    this.paused = Date.now() - this.#usedAt >= IN_USE_FOR_MS || document.hidden;
    if (!this.paused) {
      this.#asking = true;
      await this.#ask();
      this.#asking = false;
      if (this.#stopped) return;
      if (this.signedOut || this.forbidden) return this.#changed();
      this.#timer = setTimeout(() => this.#look(), EVERY_MS);
    }
    this.#changed();
  }

  async #ask(): Promise<void> {
    try {
      this.me ??= await ask<Me>("GET", "/api/me");
      const report = await ask<Report>("GET", "/api/operations");
      const now = Date.now();
      // Rates over a pause would say nothing of now.
      this.before = now - this.reportedAt < RATES_OVER_MS ? this.report : undefined;
      this.report = report;
      this.reportedAt = now;
      this.problem = undefined;
    } catch (error) {
      this.problem = error;
      const code = error instanceof Refused ? error.code : undefined;
      this.signedOut = code === "sign_in.required";
      this.forbidden = code === "role.forbidden";
    }
  }

  #changed(): void {
    this.dispatchEvent(new Event("change"));
  }
}
