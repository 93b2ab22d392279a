/**
 * The Refresh ladder. Pure: takes events and the time, says which step to take next.
 *
 *   ICE restart  →  new RTCPeerConnection  →  page reload
 *
 * A step is taken only if the one before did not bring media back in time, which counts from the
 * server's answer: an answer that does not come is for the signaling to mend. The button and a
 * stall climb the same ladder; a stall asks first whether the server is there, because where
 * the network itself is away, the connection that is left alone comes back with it by itself.
 * A reload happens at most once a minute; and a stall reloads only a page on which media has
 * moved, so that a page whose media never comes (UDP is blocked) does not reload itself for ever.
 * While the server cannot be reached no step can be taken; once it is back the climb begins anew,
 * since much may have changed.
 */

export type Step = "ice-restart" | "new-connection" | "reload";
export type Cause = "button" | "stall";

export type LadderEvent =
  | { type: "begin"; cause: Cause }
  /** Media moves; during a climb: again. */
  | { type: "moved" }
  /** The server has answered the step's offer. */
  | { type: "answered" }
  /** The step could not be carried out. */
  | { type: "failed" }
  | { type: "tick" }
  | { type: "server"; reachable: boolean };

/**
 * What to do now. "probe": find out whether the server can be reached, and say so. "give-up" ends
 * the climb without media.
 */
export type Action = Step | "probe" | "done" | "give-up";

// An ICE restart needs one check after the answer: 100 ms at a round trip of 50. But where the
// network is another, some browsers (Chromium on Linux) learn of their new address only after 2 s,
// some 1.3 of them after the answer.
// A new connection adds the DTLS handshake and a keyframe.
const LIMIT_MS: Record<"ice-restart" | "new-connection", number> = {
  "ice-restart": 2_000,
  "new-connection": 6_000,
};
export const RELOAD_SPACING_MS = 60_000;
// After a climb that found nothing, a stall waits this long before the next one.
const REST_MS = 5_000;

interface Climb {
  step: Step;
  cause: Cause;
  /** It waits for the server, and no step is under way. */
  waiting: boolean;
  /** When the step was answered. */
  since: number | undefined;
}

export class RefreshLadder {
  readonly #lastReloadAt: number | undefined;
  #hasMoved = false;
  #climb: Climb | undefined;
  #reachable = true;
  #restUntil = Number.NEGATIVE_INFINITY;

  /** lastReloadAt: when this ladder last reloaded the page, on the clock of `now`. */
  constructor(lastReloadAt?: number) {
    this.#lastReloadAt = lastReloadAt;
  }

  get climbing(): Cause | undefined {
    return this.#climb?.cause;
  }

  /** The next word that the server can be reached begins a step. */
  get waiting(): boolean {
    return this.#climb?.waiting ?? false;
  }

  /** now: ms. Returns what to do, if anything. */
  handle(event: LadderEvent, now: number): Action | undefined {
    switch (event.type) {
      case "begin":
        return this.#begin(event.cause, now);
      case "moved":
        return this.#moved();
      case "answered":
        if (this.#climb?.waiting === false) this.#climb.since ??= now;
        return undefined;
      case "failed":
        return this.#climb?.waiting === false ? this.#next(now) : undefined;
      case "tick":
        return this.#expired(now) ? this.#next(now) : undefined;
      case "server":
        return this.#serverIs(event.reachable);
    }
  }

  #begin(cause: Cause, now: number): Action | undefined {
    if (this.#climb !== undefined) {
      // The press joins the climb that is under way.
      if (cause === "button") this.#climb.cause = cause;
      return undefined;
    }
    if (cause === "stall") {
      if (now < this.#restUntil) return undefined;
      this.#climb = { step: "ice-restart", cause, waiting: true, since: undefined };
      return "probe";
    }
    return this.#take("ice-restart", cause);
  }

  #take(step: Step, cause: Cause): Action | undefined {
    this.#climb = { step, cause, waiting: !this.#reachable, since: undefined };
    return this.#reachable ? step : "probe";
  }

  #moved(): Action | undefined {
    this.#hasMoved = true;
    const climb = this.#climb;
    // What a person asked for is not done while it waits; a stall may be over by itself.
    if (climb === undefined || (climb.waiting && climb.cause === "button")) return undefined;
    this.#climb = undefined;
    return "done";
  }

  #expired(now: number): boolean {
    const climb = this.#climb;
    if (climb?.since === undefined || climb.step === "reload") return false;
    return now - climb.since >= LIMIT_MS[climb.step];
  }

  #next(now: number): Action | undefined {
    const climb = this.#climb;
    if (climb === undefined) return undefined;
    if (climb.step === "ice-restart") return this.#take("new-connection", climb.cause);
    if (climb.step === "new-connection" && this.#mayReload(climb.cause, now)) {
      return this.#take("reload", climb.cause);
    }
    this.#climb = undefined;
    this.#restUntil = now + REST_MS;
    return "give-up";
  }

  #mayReload(cause: Cause, now: number): boolean {
    const last = this.#lastReloadAt;
    const spaced = last === undefined || now - last >= RELOAD_SPACING_MS;
    return spaced && (cause === "button" || this.#hasMoved);
  }

  #serverIs(reachable: boolean): Action | undefined {
    this.#reachable = reachable;
    const climb = this.#climb;
    if (climb === undefined) return undefined;
    if (!reachable) {
      climb.waiting = true;
      climb.since = undefined;
      return undefined;
    }
    return climb.waiting ? this.#take("ice-restart", climb.cause) : undefined;
  }
}
