/**
 * One person's visit to one session: from the link to the end. What the page shows is read here.
 *
 * Owns the phase, the room's last known state, and what of the own state the server does not know
 * yet. Dispatches "change" whenever something shown may be another.
 */

import { signInAddress } from "../account/address";
import { chooseAnyDevice, type Device } from "../media/devices";
import { LocalMedia } from "../media/local";
import { ScreenCapture } from "../media/screen";
import { type HowItEnded, tabSession, updateTabSession } from "../memory";
import { onNetworkChange } from "../network";
import { SignalingClient, type SignalingListener } from "../signaling/client";
import { Refused, Unreachable } from "../signaling/errors";
import { type Door, fetchJoinToken } from "../signaling/join_token";
import type {
  Ended,
  Joined,
  NotAdmitted,
  OwnState,
  Participant,
  Requests,
  Role,
  RoomState,
  SessionFacts,
  View,
} from "../signaling/protocol";
import { Call } from "./call";
import { Views } from "./views";
import { devicesWords, type Notice, noticeWords } from "./words";

export type Phase =
  | "checking"
  | "early"
  | "busy"
  | "prejoin"
  | "joining"
  | "waiting"
  | "in"
  | "left"
  | "ended"
  | "replaced"
  | "failed";

const SOURCES = ["microphone", "camera"] as const;
// A join token lives for minutes; one from before the pre-join card is used while it is fresh.
const TOKEN_FRESH_MS = 60_000;
const LEAVE_TIMEOUT_MS = 1_000;
const RETRY_PAUSE_MS = 1_000;
// The own clock may be wrong, and a timer may sleep with the computer.
const EARLY_RETRY_MS = { least: 5_000, most: 60_000 };
// An answer takes milliseconds; what a bad link does to it, a second or two. Beyond that a new
// socket is the sooner way.
const OFFER_TIMEOUT_MS = 3_000;
const JOIN_TIMEOUT_MS = 3_000;

const MEDIA_GONE = noticeWords("refresh-failed");

export class RoomSession extends EventTarget {
  readonly id: string;
  readonly local = new LocalMedia((source) => void this.#localChanged(source));
  phase: Phase = "checking";
  failure: Refused | undefined;
  notice: Notice | undefined;
  facts: SessionFacts | undefined;
  role: Role = "client";
  selfId = "";
  state: RoomState | undefined;
  end: HowItEnded | undefined;
  /** In "early": when the room opens. */
  opensAt: string | undefined;
  /** The socket is up and the room is joined on it. */
  online = false;
  /** Add to the own clock to get the server's, ms. */
  clockOffsetMs = 0;

  readonly #door: Door;
  readonly #screen = new ScreenCapture(() => this.#screenChanged());
  readonly #views = new Views((views) => this.#tellViews(views));
  /** The others who share their screens, the one who began last at the end. */
  #sharers: string[] = [];
  #call: Call | undefined;
  #signaling: SignalingClient | undefined;
  #stopWatchingNetwork: (() => void) | undefined;
  #token: { value: string; at: number } | undefined;
  /** Whether one has pressed Join, and goes on to the room without another press. */
  #wantsIn = false;
  /** What the person chose and the server has not confirmed; it wins over what the server says. */
  #unsent: Partial<OwnState> = {};
  #sending = false;
  #seen = new Map<string, Participant>();

  /** linkToken: what the link brought; "" for one who comes signed in. */
  constructor(id: string, linkToken: string) {
    super();
    this.id = id;
    this.#door = linkToken === "" ? { session: id } : { link: linkToken };
  }

  /** Whether one comes with an account, and has a dashboard to go back to. */
  get signedIn(): boolean {
    return "session" in this.#door;
  }

  // What is shown

  get self(): Participant | undefined {
    return this.state?.participants.find((participant) => participant.id === this.selfId);
  }

  get others(): Participant[] {
    return this.state?.participants.filter((participant) => participant.id !== this.selfId) ?? [];
  }

  /** Those who were here or are to come, and are not here. came: whether any of them was here. */
  get missing(): { names: string[]; came: boolean } {
    const here = new Set([this.selfId, ...this.others.map((other) => other.id)]);
    const people = this.#seen.size > 0 ? [...this.#seen.values()] : (this.facts?.invited ?? []);
    const missing = people.filter(({ id }) => !here.has(id));
    return { names: missing.map(({ name }) => name), came: this.#seen.size > 0 };
  }

  get own(): OwnState {
    const {
      microphone = true,
      camera = true,
      screen = false,
      fullscreen = false,
    } = this.self ?? {};
    return { microphone, camera, screen, fullscreen, ...this.#unsent };
  }

  get call(): Call | undefined {
    return this.#call;
  }

  /** Whose screen is on the stage: of the others who share theirs, the newest that is there. */
  get presenter(): Participant | undefined {
    const id = this.#sharers.findLast((sharer) => this.#call?.screen(sharer) !== undefined);
    return this.others.find((other) => other.id === id);
  }

  /** Some picture that we would see is held back, because our connection is weak. */
  get picturesPaused(): boolean {
    return this.others.some(({ id, camera, screen }) => {
      const held = (source: "camera" | "screen") => this.#call?.paused(id, source) ?? false;
      return (camera && held("camera")) || (screen && held("screen"));
    });
  }

  // What the person does

  /** Look at the link and the tab's memory, and go where they lead. */
  async start(): Promise<void> {
    const memory = tabSession(this.id);
    if (memory.joined !== undefined) {
      const { joined } = memory;
      // Off stays off, even on a server that has forgotten this participant meanwhile.
      for (const source of SOURCES) if (!joined[source]) this.#unsent[source] = false;
      void this.local.open(SOURCES.filter((source) => source === "microphone" || joined[source]));
      this.#connect();
    } else {
      await this.#knock();
    }
  }

  /** Join with what the pre-join card showed. */
  join(): void {
    for (const source of SOURCES) {
      this.#unsent[source] = this.local.track(source) !== null || this.local.opening(source);
    }
    this.#connect();
  }

  /** Come back after Leave, or take the session over from another tab, as one was. */
  rejoin(): void {
    this.#unsent = { microphone: this.own.microphone, camera: this.own.camera };
    this.state = undefined;
    this.#connect();
  }

  async leave(): Promise<void> {
    // Not awaited by the page: whoever leaves is gone at once, whatever the network does.
    const told = this.#signaling?.request("room:leave", {}, LEAVE_TIMEOUT_MS).catch(() => {});
    this.#stopMedia();
    updateTabSession(this.id, { joined: undefined });
    this.#enter("left");
    const signaling = this.#signaling;
    this.#signaling = undefined;
    await told;
    signaling?.close();
  }

  /** End the session for everyone. False when the server did not hear it. */
  async endForAll(): Promise<boolean> {
    try {
      const ended = await this.#signaling?.request("session:end", {});
      if (ended !== undefined) this.#over(ended);
      return ended !== undefined;
    } catch (error) {
      if (error instanceof Refused) this.#refused(error);
      else this.say(noticeWords("end-unheard"));
      return false;
    }
  }

  /** Change the own state: at once here, then for everyone. */
  set(change: Partial<OwnState>): void {
    for (const source of SOURCES) if (change[source]) chooseAnyDevice(source);
    Object.assign(this.#unsent, change);
    this.#applyOwn();
    this.#changed();
    void this.#send();
  }

  /** Share the screen, or stop; the browser asks which one, and wants a gesture. */
  async toggleScreen(): Promise<void> {
    if (this.#screen.track !== null) this.#screen.stop();
    else if (!(await this.#screen.start())) return;
    this.#screenChanged();
  }

  /** What the page shows now. */
  viewsAre(views: View[]): void {
    if (this.phase === "in") this.#views.are(views);
  }

  /** The Refresh button: bring media back, and ask again for devices that were not there. */
  refresh(): void {
    this.notice = undefined;
    this.#call?.refresh();
    for (const source of SOURCES) {
      if (this.local.problem(source) !== undefined) this.set({ [source]: true });
    }
    this.#changed();
  }

  /** Let one in who waits. */
  async admit(id: string): Promise<void> {
    try {
      await this.#request("room:admit", { participant_id: id });
    } catch (error) {
      this.say(noticeWords(error instanceof Refused ? error : "admit-unheard"));
    }
  }

  say(notice: Notice | undefined): void {
    this.notice = notice;
    this.#changed();
  }

  // Getting in

  /** Ask whether one may come in, and go on: to the pre-join card, or to the room. */
  async #knock(): Promise<void> {
    try {
      this.#token = { value: await fetchJoinToken(this.#door), at: Date.now() };
    } catch (error) {
      // An unreachable server is met again, and waited for, after Join.
      if (error instanceof Refused) return this.#fail(error);
    }
    if (this.#wantsIn) return this.#connect();
    void this.local.open(SOURCES);
    this.#enter("prejoin");
  }

  #connect(): void {
    const memory = tabSession(this.id);
    this.#wantsIn = true;
    this.#enter("joining");
    this.#call ??= new Call(
      (offer) => this.#request("rtc:offer", offer, OFFER_TIMEOUT_MS),
      (source) => (source === "screen" ? this.#screen.track : this.local.track(source)),
      {
        changed: () => this.#changed(),
        doubtful: () => this.#signaling?.prove(),
        reload: () => void this.#reload(),
        gaveUp: () => this.say(MEDIA_GONE),
        recovered: () => this.notice === MEDIA_GONE && this.say(undefined),
        offerRefused: (error) => this.#refused(error),
      },
      memory.reloadedAt,
    );
    this.#signaling?.close();
    const signaling = new SignalingClient(
      this.#door,
      this.#listener(() => this.#signaling === signaling),
    );
    this.#signaling = signaling;
    this.#stopWatchingNetwork?.();
    this.#stopWatchingNetwork = onNetworkChange(() => {
      signaling.prove();
      this.#call?.check();
    });
    const token = this.#token;
    this.#token = undefined;
    const fresh = token !== undefined && Date.now() - token.at < TOKEN_FRESH_MS;
    signaling.connect(fresh ? token.value : undefined);
  }

  /** current: whether the client that reports is still ours; one that was left is not heard. */
  #listener(current: () => boolean): SignalingListener {
    const heard =
      <Args extends unknown[]>(act: (...args: Args) => void) =>
      (...args: Args) => {
        if (current()) act(...args);
      };
    return {
      connected: heard(() => void this.#joinRoom()),
      disconnected: heard(() => {
        this.online = false;
        // After a long absence the server would start us anew, with everything on.
        this.#unsent = this.own;
        this.#call?.serverGone();
        this.#changed();
      }),
      proven: heard(() => this.#call?.serverAnswered()),
      refused: heard((error) => this.#fail(error)),
      stateChanged: heard((state) => this.#stateChanged(state)),
      sectionsChanged: heard((sections) => this.#call?.sectionsChanged(sections)),
      layersChanged: heard((layers) => this.#call?.layersChanged(layers)),
      ended: heard((ended) => this.#over(ended)),
      replaced: heard(() => this.#finish("replaced")),
      admitted: heard(() => void this.#joinRoom()),
    };
  }

  async #joinRoom(): Promise<void> {
    const signaling = this.#signaling;
    try {
      const joined = await signaling?.request("room:join", {}, JOIN_TIMEOUT_MS);
      if (joined === undefined || signaling !== this.#signaling) return;
      if (joined.waiting) this.#waits(joined);
      else this.#joined(joined);
    } catch (error) {
      // Unreachable: the socket is gone again, and the next one asks again.
      if (!(error instanceof Refused)) return;
      // In the room, media goes on and is not given up for a fault that may pass.
      const passing = error.code === "internal" && this.phase === "in";
      if (passing || error.code === "rate.limited") {
        setTimeout(() => signaling === this.#signaling && this.#joinRoom(), RETRY_PAUSE_MS);
      } else {
        this.#fail(error);
      }
    }
  }

  #greeted({ participant_id, role, session, server_time }: Joined | NotAdmitted): void {
    this.selfId = participant_id;
    this.role = role;
    this.facts = session;
    this.clockOffsetMs = Date.parse(server_time) - Date.now();
  }

  #waits(answer: NotAdmitted): void {
    this.#greeted(answer);
    this.#enter("waiting");
  }

  #joined(joined: Joined): void {
    this.#greeted(joined);
    this.online = true;
    this.#signaling?.takeState(joined.state);
    // A snapshot that came before this acknowledgement could not be read without knowing who we are.
    if (this.state !== undefined) this.#stateChanged(this.state);
    if (this.self !== undefined) this.#settle(this.self);
    // A page that was loaded again has lost the screen it shared.
    if (this.own.screen !== (this.#screen.track !== null)) this.#unsent.screen = !this.own.screen;
    const { microphone, camera } = this.own;
    updateTabSession(this.id, { joined: { microphone, camera } });
    this.#applyOwn();
    const known = this.self?.connection !== "connecting";
    this.#call?.joined(joined.ice_servers, joined.sections, known);
    this.#enter("in");
    this.#views.again();
    void this.#send();
  }

  async #request<E extends keyof Requests>(
    event: E,
    payload: Requests[E]["payload"],
    timeoutMs?: number,
  ): Promise<Requests[E]["data"]> {
    if (this.#signaling === undefined) throw new Unreachable(`${event}: not in the room`);
    return this.#signaling.request(event, payload, timeoutMs);
  }

  // What the server says

  #stateChanged(state: RoomState): void {
    this.state = state;
    if (this.selfId === "") return;
    for (const other of this.others) this.#seen.set(other.id, other);
    const sharing = this.others.filter(({ screen }) => screen).map(({ id }) => id);
    this.#sharers = this.#sharers.filter((id) => sharing.includes(id));
    this.#sharers.push(...sharing.filter((id) => !this.#sharers.includes(id)));
    this.#call?.othersAre(this.others);
    this.#changed();
  }

  #over(ended: Ended): void {
    // Told at the door: whose page this is only the tab may remember.
    const role = this.selfId === "" ? undefined : this.role;
    const remembered = role === undefined ? tabSession(this.id).ended : undefined;
    this.end = remembered ?? { ended, role, selfId: this.selfId };
    updateTabSession(this.id, { ended: this.end });
    this.#finish("ended");
  }

  /** The server said no to something asked in the room, which goes on unless the session is over. */
  #refused(error: Refused): void {
    if (error.code === "session.ended") this.#fail(error);
    else this.say(noticeWords(error));
  }

  #fail(error: Refused): void {
    if (error.code === "session.ended" && error.ended !== undefined) {
      this.#over(error.ended);
    } else if (error.code === "room.replaced") {
      this.#finish("replaced");
    } else if (error.code === "sign_in.required") {
      location.assign(signInAddress(location.pathname));
    } else if (error.opensAt !== undefined) {
      this.#waitForOpening(error.opensAt);
    } else if (error.retryAfterS !== undefined) {
      this.#finish("busy");
      setTimeout(() => void this.#knock(), error.retryAfterS * 1_000);
    } else {
      this.failure = error;
      this.#finish("failed");
    }
  }

  #waitForOpening(opensAt: string): void {
    this.opensAt = opensAt;
    this.#finish("early");
    const { least, most } = EARLY_RETRY_MS;
    const wait = Date.parse(opensAt) - Date.now();
    setTimeout(() => void this.#knock(), Math.min(Math.max(wait, least), most));
  }

  #finish(phase: "early" | "busy" | "ended" | "replaced" | "failed"): void {
    this.#stopMedia();
    this.#signaling?.close();
    this.#signaling = undefined;
    updateTabSession(this.id, { joined: undefined });
    this.#enter(phase);
  }

  #stopMedia(): void {
    this.online = false;
    this.#stopWatchingNetwork?.();
    this.#call?.close();
    this.#call = undefined;
    this.#views.stop();
    this.#screen.stop();
    this.#sharers = [];
    for (const source of SOURCES) this.local.release(source);
  }

  // The own state

  /** Make devices and senders what the own state says. */
  #applyOwn(): void {
    const { microphone, camera } = this.own;
    this.local.enable("microphone", microphone);
    if (microphone) void this.local.open(["microphone"]);
    if (camera) void this.local.open(["camera"]);
    else if (this.local.track("camera") !== null) this.local.release("camera");
    // The server would not have it shared.
    if (!this.own.screen && this.#screen.track !== null) {
      this.#screen.stop();
      void this.#call?.send("screen");
    }
  }

  async #localChanged(source: Device): Promise<void> {
    this.#changed();
    if (this.phase !== "in" && this.phase !== "joining") return;
    this.local.enable("microphone", this.own.microphone);
    await this.#call?.send(source);
    if (this.local.problem(source) !== undefined && this.own[source]) {
      const text = devicesWords(this.local.problems, "Refresh").join(" ");
      this.notice = { tone: "error", text };
      this.set({ [source]: false });
    }
  }

  /** It is shared or not, whoever ended it: the person here, the browser, another screen. */
  #screenChanged(): void {
    if (this.#call === undefined) {
      this.#screen.stop();
      return;
    }
    void this.#call.send("screen");
    this.set({ screen: this.#screen.track !== null });
  }

  #tellViews(views: View[]): void {
    this.#call?.viewsAre(views);
    // Not heard by a server that is away or too busy: told again after the next join.
    if (this.online) this.#request("rtc:view", { views }).catch(() => {});
  }

  async #send(): Promise<void> {
    if (this.#sending || !this.online) return;
    this.#sending = true;
    try {
      while (Object.keys(this.#unsent).length > 0) await this.#sendOnce();
    } catch {
      // Unreachable: sent after the room is joined again.
    } finally {
      this.#sending = false;
    }
  }

  async #sendOnce(): Promise<void> {
    const change = { ...this.#unsent };
    try {
      const { version } = await this.#request("state:set", change);
      if (this.self !== undefined) Object.assign(this.self, change);
      this.#settle(change);
      this.#signaling?.expectVersion(version);
      const { microphone, camera } = this.own;
      updateTabSession(this.id, { joined: { microphone, camera } });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.code === "rate.limited") {
        await new Promise((resume) => setTimeout(resume, RETRY_PAUSE_MS));
      } else {
        this.#settle(change);
        this.#applyOwn();
        this.#refused(error);
      }
    }
  }

  /** Forget what the server is known to have heard. */
  #settle(heard: Partial<OwnState>): void {
    for (const key of Object.keys(this.#unsent) as (keyof OwnState)[]) {
      if (this.#unsent[key] === heard[key]) delete this.#unsent[key];
    }
  }

  /** The ladder's last step; not onto a server that does not answer, which would lose the page. */
  async #reload(): Promise<void> {
    if (!(await this.#signaling?.sync())) return;
    updateTabSession(this.id, { reloadedAt: Date.now() });
    location.reload();
  }

  #enter(phase: Phase): void {
    this.phase = phase;
    this.#changed();
  }

  #changed(): void {
    this.dispatchEvent(new Event("change"));
  }
}
