/**
 * The media of one visit to a room: one connection at a time, watched, and repaired by the ladder.
 *
 * Owns the MediaConnection and the ladder. Is told by the session who is in the room and whether
 * the server can be reached; tells it what it sees through the listener.
 */

import { type Exchange, MediaConnection, type ReceivedTrack } from "../media/connection";
import { pictureAsked } from "../media/devices";
import { type FlowSample, moved, StallWatch, sampleFlow } from "../media/flow";
import { pictureSize } from "../media/layers";
import { type Action, type Cause, type LadderEvent, RefreshLadder } from "../media/refresh";
import { Refused } from "../signaling/errors";
import type { Layers, Participant, Picture, Sections, Source, View } from "../signaling/protocol";

// A few milliseconds of work each, and a stall is noticed within half a second.
const WATCH_MS = 250;
// While nothing comes: soon it is a stall.
const DOUBT_WATCH_MS = 50;
// While the ladder climbs: what moved has to be seen well within the second that Refresh may take.
const CLIMB_WATCH_MS = 100;
const LIPS_MS = 1_000;

/** What we send of a source just now. */
export type LocalTracks = (source: Source) => MediaStreamTrack | null;

export interface CallListener {
  changed(): void;
  /** Media has stalled: can the server be reached? Answered by `serverAnswered`. */
  doubtful(): void;
  /** The last step of the ladder. */
  reload(): void;
  /** All steps taken, no media. */
  gaveUp(): void;
  /** The ladder brought media back. */
  recovered(): void;
  /** The server refused an offer. */
  offerRefused(error: Refused): void;
}

export class Call {
  readonly #exchange: Exchange;
  readonly #local: LocalTracks;
  readonly #listener: CallListener;
  readonly #ladder: RefreshLadder;
  readonly #watch = new StallWatch();
  readonly #streams = new Map<string, MediaStream>();
  readonly #screens = new Map<string, MediaStream>();
  #connection: MediaConnection | undefined;
  #iceServers: RTCIceServer[] = [];
  #sections: Sections = { audios: 0, videos: 0, tracks: [] };
  #others: Participant[] = [];
  #layers: Layers | undefined;
  #views: readonly View[] | undefined;
  /** What the ladder compares with; undefined until its step has been carried out. */
  #baseline: FlowSample | undefined;
  #previous: FlowSample | undefined;
  /** Counts what the ladder asked for, so that a step it has given up cannot speak for a later one. */
  #actions = 0;
  /** When sound and picture were last brought together. */
  #lipsAt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    exchange: Exchange,
    local: LocalTracks,
    listener: CallListener,
    lastReloadAt: number | undefined,
  ) {
    this.#exchange = exchange;
    this.#local = local;
    this.#listener = listener;
    this.#ladder = new RefreshLadder(lastReloadAt);
  }

  /** Picture and sound of a participant; the same stream object while its tracks change. */
  stream(participantId: string): MediaStream | undefined {
    return this.#streams.get(participantId);
  }

  /** A participant's shared screen; there as soon as a section shows it. */
  screen(participantId: string): MediaStream | undefined {
    return this.#screens.get(participantId);
  }

  /** Whether the server holds this picture back, because our connection is weak. */
  paused(participantId: string, source: Picture): boolean {
    return (this.#connection?.received() ?? []).some(
      (slot) => slot.paused && slot.participant_id === participantId && slot.source === source,
    );
  }

  get connected(): boolean {
    return this.#connection?.state === "connected";
  }

  /** Why the ladder is climbing, if it is. */
  get refreshing(): Cause | undefined {
    return this.#ladder.climbing;
  }

  /**
   * The room is joined on a new socket: connect, or go on with what is there.
   * known: the server still has our media; not so after its restart or a long absence.
   */
  joined(iceServers: RTCIceServer[], sections: Sections, known: boolean): void {
    this.#iceServers = iceServers;
    this.#sections = sections;
    if (this.#connection === undefined || (this.#connection.established && !known)) {
      this.#attempt(this.#replaceConnection());
    } else if (this.#connection.unanswered) {
      // The ladder's next step offers by itself.
      if (!this.#ladder.waiting) this.#attempt(this.#connection.resume());
    } else {
      this.#connection.take(sections);
    }
    this.#step({ type: "server", reachable: true });
    this.#schedule();
  }

  /** The server can be reached on the socket that there is. */
  serverAnswered(): void {
    this.#step({ type: "server", reachable: true });
  }

  serverGone(): void {
    this.#step({ type: "server", reachable: false });
  }

  /** The network may be another: look at once. */
  check(): void {
    if (this.#timer !== undefined) this.#schedule(0);
  }

  sectionsChanged(sections: Sections): void {
    this.#sections = sections;
    this.#connection?.take(sections);
  }

  /** What the server says is watched of what we send; holds for connections to come. */
  layersChanged(layers: Layers): void {
    this.#layers = layers;
    this.#connection?.watch(layers);
  }

  /** What the page shows: a picture that is hidden does not move. */
  viewsAre(views: readonly View[]): void {
    this.#views = views;
  }

  othersAre(others: Participant[]): void {
    this.#others = others;
    const present = new Set(others.map((other) => other.id));
    for (const id of this.#streams.keys()) if (!present.has(id)) this.#streams.delete(id);
    this.#collect();
  }

  /** Send what the local source now is. */
  async send(source: Source): Promise<void> {
    try {
      await this.#connection?.send(source, this.#local(source));
    } catch (error) {
      this.#offerFailed(error);
    }
  }

  refresh(): void {
    this.#step({ type: "begin", cause: "button" });
    this.#schedule();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#connection?.close();
    this.#connection = undefined;
    this.#streams.clear();
    this.#screens.clear();
  }

  async #replaceConnection(): Promise<void> {
    this.#connection?.close();
    this.#watch.reset();
    this.#previous = undefined;
    const connection = new MediaConnection(
      this.#iceServers,
      this.#exchange,
      {
        transportChanged: () => this.#transportChanged(connection),
        tracksChanged: () => this.#collect(),
        offerFailed: (error) => this.#offerFailed(error),
      },
      this.#layers,
      pictureSize(this.#local("camera")) ?? pictureAsked(),
    );
    this.#connection = connection;
    await Promise.all([this.send("microphone"), this.send("camera"), this.send("screen")]);
    await connection.connect(this.#sections);
  }

  #transportChanged(connection: MediaConnection): void {
    if (connection !== this.#connection) return;
    this.#listener.changed();
    // "failed" is final until an ICE restart: no need to wait for the watch to notice.
    if (connection.state === "failed") {
      this.#step({ type: "begin", cause: "stall" });
      this.#schedule();
    }
  }

  /** Carry out an exchange outside the ladder; what cannot be sent is sent when the server is back. */
  #attempt(exchange: Promise<void> | undefined): void {
    exchange?.catch((error: unknown) => this.#offerFailed(error));
  }

  #offerFailed(error: unknown): void {
    if (!(error instanceof Refused) || error.code === "rtc.stale_offer") return;
    if (error.code === "rtc.connection_closed") this.#step({ type: "begin", cause: "stall" });
    else this.#listener.offerRefused(error);
  }

  #step(event: LadderEvent): void {
    const before = this.#ladder.climbing;
    const action = this.#ladder.handle(event, performance.timeOrigin + performance.now());
    if (action !== undefined) this.#act(action);
    if (before !== this.#ladder.climbing) this.#listener.changed();
  }

  #act(action: Action): void {
    this.#baseline = undefined;
    this.#actions += 1;
    if (action === "probe") {
      // Media that moves again before the server has answered needs nothing of it.
      this.#baseline = this.#previous;
      this.#attempt(this.#connection?.seekPath());
      this.#listener.doubtful();
    } else if (action === "give-up") {
      this.#listener.gaveUp();
    } else if (action === "done") {
      this.#watch.reset();
      if (this.#connection?.unanswered) this.#attempt(this.#connection.resume());
      this.#listener.recovered();
    } else if (action === "reload") {
      this.#listener.reload();
    } else {
      void this.#carryOut(action, this.#actions);
    }
  }

  async #carryOut(step: "ice-restart" | "new-connection", serial: number): Promise<void> {
    try {
      const connection = this.#connection;
      if (step === "new-connection") {
        await this.#replaceConnection();
      } else if (connection === undefined || connection.broken) {
        this.#step({ type: "failed" });
        return;
      } else {
        await connection.restartIce(this.#iceServers);
      }
      if (serial === this.#actions) this.#step({ type: "answered" });
      const baseline = await this.#sample();
      if (serial === this.#actions) this.#baseline = baseline;
    } catch (error) {
      // An unreachable server is waited for; a refusal means that this step cannot help.
      if (error instanceof Refused && serial === this.#actions) this.#step({ type: "failed" });
    }
  }

  #schedule(after = this.#period): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#observe(), after);
  }

  get #period(): number {
    if (this.#ladder.climbing !== undefined) return CLIMB_WATCH_MS;
    return this.#watch.doubtful ? DOUBT_WATCH_MS : WATCH_MS;
  }

  async #observe(): Promise<void> {
    try {
      const sample = await this.#sample();
      if (this.#timer === undefined) return;
      if (this.#ladder.climbing !== undefined) this.#watchClimb(sample);
      else if (sample !== undefined) this.#watchFlow(sample);
    } finally {
      if (this.#timer !== undefined) this.#schedule();
    }
  }

  /** Without a sample only time passes. */
  #watchClimb(sample: FlowSample | undefined): void {
    const expected = this.#expected().map((received) => received.mid);
    const before = this.#baseline;
    const back = before !== undefined && sample !== undefined && moved(before, sample, expected);
    this.#step(back && this.connected ? { type: "moved" } : { type: "tick" });
  }

  #watchFlow(sample: FlowSample): void {
    const before = this.#previous;
    this.#previous = sample;
    if (this.#watch.observe(sample, this.connected)) {
      this.#step({ type: "begin", cause: "stall" });
    } else if (before !== undefined && this.connected && moved(before, sample, [])) {
      this.#step({ type: "moved" });
    }
  }

  /** Undefined when there is nothing to say about the present connection. */
  async #sample(): Promise<FlowSample | undefined> {
    const connection = this.#connection;
    const report = await connection?.stats().catch(() => undefined);
    // The connection may have been replaced meanwhile; its counters are none of the next one's.
    if (report === undefined || connection !== this.#connection) return undefined;
    const now = performance.now();
    if (now - this.#lipsAt >= LIPS_MS) {
      this.#lipsAt = now;
      connection?.keepLips(report);
    }
    return sampleFlow(report as never, now, document.visibilityState === "visible");
  }

  /**
   * The tracks whose sender is connected and has not switched them off, and that we get. A shared
   * screen is not among them: it may stand still.
   */
  #expected(): ReceivedTrack[] {
    const others = new Map(this.#others.map((other) => [other.id, other]));
    return (this.#connection?.received() ?? []).filter((received) => {
      const other = others.get(received.participant_id);
      const { source, paused } = received;
      if (source === "screen" || other?.connection !== "connected" || !other[source]) return false;
      return source === "microphone" || !(paused || this.#hides(received));
    });
  }

  /** Whether we said that this picture is not shown. */
  #hides({ participant_id: id, source }: ReceivedTrack): boolean {
    const view = this.#views?.find(
      (shown) => shown.participant_id === id && shown.source === source,
    );
    return this.#views !== undefined && (view === undefined || view.width * view.height === 0);
  }

  #collect(): void {
    const tracks = this.#connection?.received() ?? [];
    this.#collectPeople(tracks.filter(({ source }) => source !== "screen"));
    this.#collectScreens(tracks.filter(({ source }) => source === "screen"));
    this.#listener.changed();
  }

  /** A screen is there while a section shows it. */
  #collectScreens(tracks: readonly ReceivedTrack[]): void {
    const shown = new Map(tracks.map(({ participant_id: id, track }) => [id, track]));
    for (const [id, stream] of this.#screens) {
      if (!stream.getTracks().some((track) => track === shown.get(id))) this.#screens.delete(id);
    }
    for (const [id, track] of shown) {
      if (!this.#screens.has(id)) this.#screens.set(id, new MediaStream([track]));
    }
  }

  /** Put every received track into its participant's stream, in place of an older one. */
  #collectPeople(tracks: readonly ReceivedTrack[]): void {
    const owners = new Map(tracks.map(({ participant_id: id, track }) => [track, id]));
    for (const [id, stream] of this.#streams) {
      // A section may be given to someone else; a track that only stopped keeps its last picture.
      for (const track of stream.getTracks()) {
        if ((owners.get(track) ?? id) !== id) stream.removeTrack(track);
      }
    }
    for (const { participant_id: id, track } of tracks) {
      const stream = this.#streams.get(id) ?? new MediaStream();
      this.#streams.set(id, stream);
      for (const old of stream.getTracks()) {
        if (old.kind === track.kind && old !== track) stream.removeTrack(old);
      }
      if (!stream.getTracks().includes(track)) stream.addTrack(track);
    }
  }
}
