/**
 * One socket to the server, opened again as often as its owner says.
 *
 * Owns one Socket.IO connection, and the time that an attempt may take. Each call of `open` ends
 * in `connected` and later `lost`, in `lost` alone, or in `refused`.
 */

import { io, type Socket } from "socket.io-client";
import { Refused } from "./errors";
import { type Door, fetchJoinToken } from "./join_token";
import type { ErrorBody } from "./protocol";

// Two round trips. Longer than a second, so that a lost SYN is repeated within the attempt; and
// not much, so that soon after a network is back an attempt begins that it carries.
const OPEN_TIMEOUT_MS = 2_000;
// The join token and the welcome, behind a lost segment or two.
const WELCOME_TIMEOUT_MS = 6_000;

/** Refusals of a join token that a later attempt with a new one may pass. */
const PASSING = new Set(["token.expired", "rate.limited", "internal"]);

export interface SocketListener {
  connected(socket: ServerSocket): void;
  /** It is gone, or never came about. hung: nothing at all came back. */
  lost(socket: ServerSocket, hung: boolean): void;
  /** The server will not have us. */
  refused(error: Refused): void;
  event(name: string, payload: unknown): void;
}

interface Attempt {
  token: Promise<string>;
  abandon: AbortController;
  hung: boolean;
  timer: ReturnType<typeof setTimeout>;
}

export class ServerSocket {
  readonly #door: Door;
  readonly #listener: SocketListener;
  readonly #socket: Socket;
  /** From `open` until the socket is lost or closed. */
  #attempt: Attempt | undefined;

  constructor(door: Door, listener: SocketListener) {
    this.#door = door;
    this.#listener = listener;
    this.#socket = io({
      transports: ["websocket"],
      autoConnect: false,
      // Socket.IO's own loop gives up after a refusal and after a close by the server; ours does not.
      reconnection: false,
      forceNew: true,
      timeout: OPEN_TIMEOUT_MS,
      auth: (send) => void this.#authenticate(send),
    });
    this.#listen();
  }

  get connected(): boolean {
    return this.#socket.connected;
  }

  /** token: a join token that was fetched a moment ago; else one is fetched meanwhile. */
  open(token?: string): void {
    const abandon = new AbortController();
    const attempt: Attempt = {
      token: token === undefined ? fetchJoinToken(this.#door, abandon.signal) : ready(token),
      abandon,
      hung: false,
      timer: setTimeout(() => {
        attempt.hung = true;
        this.drop();
      }, WELCOME_TIMEOUT_MS),
    };
    // Its failure matters where the token is needed, which may never be.
    attempt.token.catch(() => {});
    this.#attempt = attempt;
    this.#socket.connect();
  }

  /** Let it go, as if the network had lost it. */
  drop(): void {
    this.#socket.io.engine.close();
  }

  /** Take leave; nothing is reported any more. */
  close(): void {
    this.#settle();
    this.#socket.disconnect();
  }

  /** The acknowledgement. Raises Error when none came in time, or the socket was lost. */
  async ask(event: string, payload: unknown, timeoutMs: number): Promise<unknown> {
    return this.#socket.timeout(timeoutMs).emitWithAck(event, payload);
  }

  async #authenticate(send: (auth: object) => void): Promise<void> {
    const attempt = this.#attempt;
    try {
      const token = await attempt?.token;
      // The engine may have been closed meanwhile, and another attempt has its own token.
      if (attempt !== undefined && attempt === this.#attempt) send({ token });
    } catch (error) {
      if (attempt !== this.#attempt) return;
      // What is refused here is the link, also as "token.expired": no later attempt mends it.
      if (error instanceof Refused) this.#refused(error);
      else this.drop();
    }
  }

  #listen(): void {
    const socket = this.#socket;
    socket.on("connect", () => {
      clearTimeout(this.#attempt?.timer);
      this.#listener.connected(this);
    });
    // Also for a transport that closes before the server's welcome.
    socket.on("disconnect", () => this.#lost(false));
    socket.on("connect_error", (error: Error & { data?: ErrorBody }) => {
      if (error.data?.code !== undefined && !PASSING.has(error.data.code)) {
        this.#refused(new Refused(error.data));
      } else {
        // The word of Socket.IO for an engine that did not open in time.
        this.#lost(error.message === "timeout");
      }
    });
    socket.onAny((name: string, payload: unknown) => this.#listener.event(name, payload));
  }

  #lost(hung: boolean): void {
    const attempt = this.#settle();
    if (attempt !== undefined) this.#listener.lost(this, hung || attempt.hung);
  }

  #refused(error: Refused): void {
    if (this.#settle() !== undefined) this.#listener.refused(error);
  }

  /** The attempt that is over with this, unless one was already. */
  #settle(): Attempt | undefined {
    const attempt = this.#attempt;
    this.#attempt = undefined;
    clearTimeout(attempt?.timer);
    // A request that hangs would hold one of the browser's few connections to the server.
    attempt?.abandon.abort();
    return attempt;
  }
}

async function ready(token: string): Promise<string> {
  return token;
}
