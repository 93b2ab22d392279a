import type { Ended, ErrorBody } from "./protocol";

/** The server answered, and the answer is no. `code` is one of PROTOCOL.md's. */
export class Refused extends Error {
  readonly code: string;
  /** The reference of a fault of ours in the server's log; only with "internal". */
  readonly reference: string | undefined;
  /** How the session ended; only with "session.ended". */
  readonly ended: Ended | undefined;
  /** When the room opens; only with "session.not_open". */
  readonly opensAt: string | undefined;
  /** When to come back, in seconds; only with "busy". */
  readonly retryAfterS: number | undefined;

  constructor(body: ErrorBody) {
    super(body.message);
    this.code = body.code;
    this.reference = body.id;
    this.ended = body.ended;
    this.opensAt = body.opens_at;
    this.retryAfterS = body.retry_after;
  }
}

/** No answer, or none for now: the network or the server is away. Worth another try later. */
export class Unreachable extends Error {}
