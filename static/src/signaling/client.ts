/**
 * The socket: one request, one acknowledgement; reconnects by itself until it is closed.
 * Owns the Socket.IO connection and the version of room:state. Knows nothing of media or pages.
 */

import { io, type Socket } from "socket.io-client";
import { delayMs } from "./backoff";
import { Refused, Unreachable } from "./errors";
import { fetchJoinToken } from "./join_token";
import type { Ack, Ended, ErrorBody, Requests, RoomState, Sections } from "./protocol";
import { SnapshotGate } from "./versions";

const ACK_TIMEOUT_MS = 10_000;
// A live server answers a sync in a fraction of this; a half-open socket never does.
const PROBE_TIMEOUT_MS = 3_000;
// A snapshot follows the acknowledgement that announced its version within a round trip.
const SNAPSHOT_GRACE_MS = 1_000;

/** Refusals of a join token that a later attempt with a new one may pass. */
const PASSING = new Set(["token.expired", "rate.limited", "internal"]);

export interface SignalingListener {
  /** The socket is up (again): the room has to be joined on it. */
  connected(): void;
  /** The socket is gone; another attempt is already planned. */
  disconnected(): void;
  /** The server will not have us; no further attempt is made. */
  refused(error: Refused): void;
  stateChanged(state: RoomState): void;
  sectionsChanged(sections: Sections): void;
  ended(ended: Ended): void;
  replaced(): void;
}

export class SignalingClient {
  readonly #linkToken: string;
  readonly #listener: SignalingListener;
  readonly #socket: Socket;
  readonly #gate = new SnapshotGate();
  readonly #onOnline = () => this.#hurry();
  #firstToken: Promise<string> | undefined;
  #attempt = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #open = false;
  #wasConnected = false;

  constructor(linkToken: string, listener: SignalingListener) {
    this.#linkToken = linkToken;
    this.#listener = listener;
    this.#socket = io({
      transports: ["websocket"],
      autoConnect: false,
      // Socket.IO's own loop gives up after a refusal and after a close by the server; ours does not.
      reconnection: false,
      forceNew: true,
      timeout: ACK_TIMEOUT_MS,
      auth: (send) => void this.#authenticate(send),
    });
    this.#listen();
  }

  /**
   * Start connecting. firstToken: a join token that was fetched a moment ago, for the first attempt.
   */
  connect(firstToken?: string): void {
    this.#open = true;
    this.#firstToken = firstToken === undefined ? undefined : Promise.resolve(firstToken);
    window.addEventListener("online", this.#onOnline);
    this.#socket.connect();
  }

  close(): void {
    this.#open = false;
    window.removeEventListener("online", this.#onOnline);
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#socket.disconnect();
  }

  /**
   * Raises Refused with the server's code, or Unreachable when no acknowledgement came; a socket
   * that does not answer is dropped and opened again.
   */
  async request<E extends keyof Requests>(
    event: E,
    payload: Requests[E]["payload"],
    timeoutMs = ACK_TIMEOUT_MS,
  ): Promise<Requests[E]["data"]> {
    if (!this.#socket.connected) throw new Unreachable(`${event}: not connected`);
    const engine = this.#socket.io.engine;
    let ack: Ack<Requests[E]["data"]>;
    try {
      ack = await this.#socket.timeout(timeoutMs).emitWithAck(event, payload);
    } catch {
      engine.close();
      throw new Unreachable(`${event}: no acknowledgement`);
    }
    if (!ack.ok) throw new Refused(ack.error);
    return ack.data;
  }

  /** Show a snapshot that came with an acknowledgement, unless a newer one is already shown. */
  takeState(state: RoomState): void {
    if (this.#gate.accept(state.version)) this.#listener.stateChanged(state);
  }

  /** The server spoke of this version; if its snapshot does not come soon, ask for it. */
  expectVersion(version: number): void {
    setTimeout(() => {
      if (this.#gate.behind(version)) void this.sync();
    }, SNAPSHOT_GRACE_MS);
  }

  /** Ask for everything anew. True when the server answered. */
  async sync(): Promise<boolean> {
    try {
      const { state, sections } = await this.request("room:sync", {}, PROBE_TIMEOUT_MS);
      this.takeState(state);
      this.#listener.sectionsChanged(sections);
      return true;
    } catch (error) {
      return error instanceof Refused;
    }
  }

  async #authenticate(send: (auth: object) => void): Promise<void> {
    const engine = this.#socket.io.engine;
    const pending = this.#firstToken ?? fetchJoinToken(this.#linkToken);
    this.#firstToken = undefined;
    try {
      const token = await pending;
      // The engine may have been closed meanwhile, and another one asks for its own token.
      if (engine === this.#socket.io.engine) send({ token });
    } catch (error) {
      // What is refused here is the link, also as "token.expired": no later attempt mends it.
      if (error instanceof Refused) this.#giveUp(error);
      else engine.close();
    }
  }

  #listen(): void {
    const socket = this.#socket;
    socket.on("connect", () => {
      this.#attempt = 0;
      this.#wasConnected = true;
      this.#gate.reset();
      this.#listener.connected();
    });
    // Also for a transport that closes before the server's welcome.
    socket.on("disconnect", () => {
      if (this.#wasConnected && this.#open) this.#listener.disconnected();
      this.#wasConnected = false;
      this.#planAttempt();
    });
    socket.on("connect_error", (error: Error & { data?: ErrorBody }) => {
      if (error.data?.code !== undefined && !PASSING.has(error.data.code)) {
        this.#giveUp(new Refused(error.data));
      } else {
        this.#planAttempt();
      }
    });
    socket.on("room:state", (state: RoomState) => this.takeState(state));
    socket.on("rtc:sections", (sections: Sections) => this.#listener.sectionsChanged(sections));
    socket.on("session:ended", (ended: Ended) => this.#listener.ended(ended));
    socket.on("room:replaced", () => this.#listener.replaced());
  }

  #giveUp(error: Refused): void {
    if (!this.#open) return;
    this.close();
    this.#listener.refused(error);
  }

  #planAttempt(): void {
    if (!this.#open || this.#retry !== undefined) return;
    this.#retry = setTimeout(() => this.#tryNow(), delayMs(this.#attempt, Math.random()));
    this.#attempt += 1;
  }

  #tryNow(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#socket.connect();
  }

  /** The network came back: do not sit out the wait, and do not trust a socket from before. */
  #hurry(): void {
    if (this.#socket.connected) void this.sync();
    else if (this.#retry !== undefined) this.#tryNow();
  }
}
