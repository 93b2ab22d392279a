/**
 * The Refresh ladder. Pure: takes events and the time, says which step to take next.
 *
 *   ICE restart  →  new RTCPeerConnection  →  page reload
 *
 * A step is taken only if the one before did not bring media back in time. The button and a
 * stall climb the same ladder. A reload happens at most once a minute; and a stall reloads only a
 * page on which media has moved, so that a page whose media never comes (UDP is blocked) does not
 * reload itself for ever. While the server cannot be reached no step can be taken; once
 * it is back the climb begins anew, since much may have changed.
 */

export type Step = "ice-restart" | "new-connection" | "reload";
export type Cause = "button" | "stall";

export type LadderEvent =
  | { type: "begin"; cause: Cause }
  /** Media moves; during a climb: again. */
  | { type: "moved" }
  /** The step could not be carried out. */
  | { type: "failed" }
  | { type: "tick" }
  | { type: "server"; reachable: boolean };

/** What to do now; "give-up" ends the climb without media. */
export type Action = Step | "done" | "give-up";

// An ICE restart needs one exchange with the server and one check: 200 ms at a round trip of 50.
// A new connection adds the DTLS handshake and a keyframe.
const LIMIT_MS: Record<"ice-restart" | "new-connection", number> = {
  "ice-restart": 1_500,
  "new-connection": 6_000,
};
export const RELOAD_SPACING_MS = 60_000;
// After a climb that found nothing, a stall waits this long before the next one.
const REST_MS = 5_000;

interface Climb {
  step: Step;
  cause: Cause;
  /** When the step began; undefined while it waits for the server. */
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

  /** now: ms. Returns what to do, if anything. */
  handle(event: LadderEvent, now: number): Action | undefined {
    switch (event.type) {
      case "begin":
        return this.#begin(event.cause, now);
      case "moved":
        this.#hasMoved = true;
        if (this.#climb === undefined || this.#climb.since === undefined) return undefined;
        this.#climb = undefined;
        return "done";
      case "failed":
        return this.#climb?.since === undefined ? undefined : this.#next(now);
      case "tick":
        return this.#expired(now) ? this.#next(now) : undefined;
      case "server":
        return this.#serverIs(event.reachable, now);
    }
  }

  #begin(cause: Cause, now: number): Action | undefined {
    if (this.#climb !== undefined) {
      // The press joins the climb that is under way.
      if (cause === "button") this.#climb.cause = cause;
      return undefined;
    }
    if (cause === "stall" && now < this.#restUntil) return undefined;
    return this.#take("ice-restart", cause, now);
  }

  #take(step: Step, cause: Cause, now: number): Action | undefined {
    this.#climb = { step, cause, since: this.#reachable ? now : undefined };
    return this.#reachable ? step : undefined;
  }

  #expired(now: number): boolean {
    const climb = this.#climb;
    if (climb?.since === undefined || climb.step === "reload") return false;
    return now - climb.since >= LIMIT_MS[climb.step];
  }

  #next(now: number): Action | undefined {
    const climb = this.#climb;
    if (climb === undefined) return undefined;
    if (climb.step === "ice-restart") return this.#take("new-connection", climb.cause, now);
    if (climb.step === "new-connection" && this.#mayReload(climb.cause, now)) {
      return this.#take("reload", climb.cause, now);
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

  #serverIs(reachable: boolean, now: number): Action | undefined {
    this.#reachable = reachable;
    const climb = this.#climb;
    if (climb === undefined) return undefined;
    if (!reachable) {
      climb.since = undefined;
      return undefined;
    }
    return climb.since === undefined ? this.#take("ice-restart", climb.cause, now) : undefined;
  }
}
