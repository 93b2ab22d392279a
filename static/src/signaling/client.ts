/**
 * Requests and acknowledgements; reconnects by itself until it is closed.
 * Owns the sockets and the version of room:state. Knows nothing of media or pages.
 *
 * There is one socket, and for as long as it is in doubt another beside it that is being opened:
 * whichever the server answers on first is the one that stays.
 */

import { delayMs } from "./backoff";
import { Refused, Unreachable } from "./errors";
import type { Door } from "./join_token";
import type { Ack, Ended, Layers, Requests, RoomState, Sections } from "./protocol";
import { ServerSocket } from "./socket";
import { SnapshotGate } from "./versions";

const ACK_TIMEOUT_MS = 10_000;
// A live server answers a sync in a fraction of this; a half-open socket never does.
const PROBE_TIMEOUT_MS = 3_000;
// A snapshot follows the acknowledgement that announced its version within a round trip.
const SNAPSHOT_GRACE_MS = 1_000;

export interface SignalingListener {
  /** The socket is up (again): the room has to be joined on it. */
  connected(): void;
  /** The socket is gone; another attempt is already planned. */
  disconnected(): void;
  /** After `prove`: the socket is as good as ever. */
  proven(): void;
  /** The server will not have us; no further attempt is made. */
  refused(error: Refused): void;
  stateChanged(state: RoomState): void;
  sectionsChanged(sections: Sections): void;
  layersChanged(layers: Layers): void;
  ended(ended: Ended): void;
  replaced(): void;
  /** One who waits may come in. */
  admitted(): void;
}

export class SignalingClient {
  readonly #door: Door;
  readonly #listener: SignalingListener;
  readonly #gate = new SnapshotGate();
  #socket: ServerSocket;
  /** Opened beside the other while that is in doubt. */
  #spare: ServerSocket | undefined;
  #attempt = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #open = false;
  #wasConnected = false;

  constructor(door: Door, listener: SignalingListener) {
    this.#door = door;
    this.#listener = listener;
    this.#socket = this.#newSocket();
  }

  /**
   * Start connecting. firstToken: a join token that was fetched a moment ago, for the first attempt.
   */
  connect(firstToken?: string): void {
    this.#open = true;
    this.#socket.open(firstToken);
  }

  close(): void {
    this.#open = false;
    this.#stopAttempts();
    this.#socket.close();
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
    const socket = this.#socket;
    if (!socket.connected) throw new Unreachable(`${event}: not connected`);
    let ack: Ack<Requests[E]["data"]>;
    try {
      ack = (await socket.ask(event, payload, timeoutMs)) as typeof ack;
    } catch {
      if (socket === this.#socket) socket.drop();
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

  /**
   * The network may be another, or away: find out whether the server still hears us on this
   * socket, and do not wait for the answer before opening another. Ends in `proven`, or in
   * `disconnected` and `connected`.
   */
  prove(): void {
    if (!this.#open || this.#spare !== undefined) return;
    if (!this.#socket.connected) {
      // Do not sit out the wait.
      if (this.#retry !== undefined) this.#tryNow();
      return;
    }
    const doubted = this.#socket;
    this.#spare = this.#newSocket();
    this.#spare.open();
    void this.sync().then((answered) => {
      if (!answered || doubted !== this.#socket) return;
      this.#stopAttempts();
      this.#listener.proven();
    });
  }

  #newSocket(): ServerSocket {
    return new ServerSocket(this.#door, {
      connected: (socket) => this.#connected(socket),
      lost: (socket, hung) => this.#lost(socket, hung),
      refused: (error) => this.#giveUp(error),
      event: (name, payload) => this.#heard(name, payload),
    });
  }

  #heard(name: string, payload: unknown): void {
    if (name === "room:state") this.takeState(payload as RoomState);
    else if (name === "rtc:sections") this.#listener.sectionsChanged(payload as Sections);
    else if (name === "rtc:layers") this.#listener.layersChanged(payload as Layers);
    else if (name === "session:ended") this.#listener.ended(payload as Ended);
    else if (name === "room:replaced") this.#listener.replaced();
    else if (name === "room:admitted") this.#listener.admitted();
  }

  #connected(socket: ServerSocket): void {
    const before = this.#socket;
    if (socket === this.#spare) {
      this.#spare = undefined;
      this.#socket = socket;
      before.close();
      this.#gone();
    }
    this.#stopAttempts();
    this.#wasConnected = true;
    this.#gate.reset();
    this.#listener.connected();
  }

  #lost(socket: ServerSocket, hung: boolean): void {
    if (socket === this.#socket) {
      this.#gone();
      if (this.#spare !== undefined) {
        // It is on its way already.
        this.#socket = this.#spare;
        this.#spare = undefined;
        return;
      }
    }
    this.#planAttempt(hung);
  }

  #gone(): void {
    if (this.#wasConnected && this.#open) this.#listener.disconnected();
    this.#wasConnected = false;
  }

  #giveUp(error: Refused): void {
    if (!this.#open) return;
    this.close();
    this.#listener.refused(error);
  }

  #planAttempt(hung: boolean): void {
    if (!this.#open || this.#retry !== undefined) return;
    this.#retry = setTimeout(() => this.#tryNow(), delayMs(this.#attempt, Math.random(), hung));
    this.#attempt += 1;
  }

  #tryNow(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    (this.#spare ?? this.#socket).open();
  }

  /** What there is will do: no other socket is wanted. */
  #stopAttempts(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#attempt = 0;
    this.#spare?.close();
    this.#spare = undefined;
  }
}
