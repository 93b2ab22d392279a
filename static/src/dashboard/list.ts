/** The signed-in person and the sessions, kept fresh. Dispatches "change". */

import { ask, type Me } from "../account/api";
import { Refused } from "../signaling/errors";
import type { Listed, Row } from "./sessions";

const FRESH_FOR_MS = 15_000;
// Asking keeps the sign-in alive: a page that nobody uses must not, so that it runs out.
const IN_USE_FOR_MS = 5 * 60_000;

export class SessionList extends EventTarget {
  me: Me | undefined;
  rows: Row[] | undefined;
  /** What went wrong at the last attempt. */
  problem: unknown;
  /** The sign-in is not, or no longer, good. */
  signedOut = false;
  /** Add to the own clock to get the server's, ms. */
  clockOffsetMs = 0;

  #askedAt = 0;
  #usedAt = Date.now();
  #asking = false;

  /** Ask now. */
  async load(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    this.#askedAt = Date.now();
    try {
      this.me ??= await ask<Me>("GET", "/api/me");
      const { server_time, sessions } = await ask<Listed>("GET", "/api/my/sessions");
      this.clockOffsetMs = Date.parse(server_time) - Date.now();
      this.rows = sessions;
      this.problem = undefined;
      this.#changed();
    } catch (error) {
      this.failed(error);
    }
    this.#asking = false;
  }

  /** Ask again if what is shown is no longer fresh, and somebody looks at it. */
  freshen(): void {
    const now = Date.now();
    const looked = !document.hidden && now - this.#usedAt < IN_USE_FOR_MS;
    if (looked && now - this.#askedAt >= FRESH_FOR_MS) void this.load();
  }

  /** The person did something. */
  used(): void {
    this.#usedAt = Date.now();
    this.freshen();
  }

  /** One session is another now. */
  replace(row: Row): void {
    this.rows = this.rows?.map((old) => (old.id === row.id ? row : old));
    this.problem = undefined;
    this.#changed();
  }

  failed(error: unknown): void {
    if (error instanceof Refused && error.code === "sign_in.required") this.signedOut = true;
    else this.problem = error;
    this.#changed();
  }

  #changed(): void {
    this.dispatchEvent(new Event("change"));
  }
}
