import { css, html, LitElement, nothing, type TemplateResult } from "lit";
import { customElement, query, state } from "lit/decorators.js";
import { DASHBOARD } from "../account/address";
import { close, shareScreen } from "../icons";
import type { RoomState } from "../signaling/protocol";
import { base, buttons } from "../styles/shared";
import { announcements } from "./announcements";
import { Fullscreen } from "./fullscreen";
import "./plumm-controls";
import type { Control } from "./plumm-controls";
import "./plumm-end-dialog";
import type { PlummEndDialog } from "./plumm-end-dialog";
import "./plumm-page";
import "./plumm-prejoin";
import "./plumm-self-view";
import "./plumm-stage";
import "./plumm-top-line";
import { Following } from "./following";
import { type Phase, RoomSession } from "./session";
import {
  BUSY,
  earlyWords,
  endedWords,
  endQuestion,
  failureWords,
  PAUSED,
  toBeAdmittedWords,
} from "./words";

const FADE_AFTER_MS = 3_000;
const SLOW_AFTER_MS = 5_000;

const SHORTCUTS: Record<string, Control> = {
  r: "refresh",
  f: "fullscreen",
  m: "microphone",
  v: "camera",
  s: "screen",
};

/** The room's address is /room/<session id>#<link token>; the fragment never leaves the browser. */
function sessionFromAddress(): RoomSession {
  const id = location.pathname.split("/").filter(Boolean).at(-1) ?? "";
  return new RoomSession(id, location.hash.slice(1));
}

/** The whole page of a session: what is shown in each phase, and what the controls do. */
@customElement("plumm-room")
export class PlummRoom extends LitElement {
  static override styles = [
    base,
    buttons,
    css`
      :host {
        display: block;
        min-height: 100dvh;
      }

      .room {
        position: fixed;
        inset: 0;
        overflow: hidden;
        background: var(--stage);
        color: var(--stage-text);
        --focus: #fff;
      }

      .room.idle {
        cursor: none;
      }

      plumm-top-line {
        position: absolute;
        inset: 0 0 auto;
        z-index: 1;
      }

      plumm-controls {
        position: absolute;
        inset: auto 0 0;
        z-index: 3;
        transition: opacity 240ms;
      }

      .idle plumm-controls {
        opacity: 0;
      }

      .notices {
        position: absolute;
        z-index: 3;
        top: calc(64px + env(safe-area-inset-top));
        left: 50%;
        translate: -50%;
        width: max-content;
        max-width: min(560px, calc(100vw - 24px));
        display: grid;
        justify-items: center;
        gap: 8px;
      }

      .notice {
        display: flex;
        align-items: center;
        gap: 8px;
        padding: 8px 8px 8px 20px;
        border-radius: var(--radius);
        background: #f4eef6;
        color: #241c2b;
        box-shadow: 0 12px 32px rgb(0 0 0 / 40%);
        font-size: var(--text-s);
      }

      .notice.error {
        border-left: 4px solid var(--red);
        padding-left: 16px;
      }

      .notice.state {
        padding: 8px 20px;
        background: var(--control);
        color: var(--stage-amber);
        text-align: center;
      }

      .notice.sharing {
        padding: 4px 4px 4px 16px;
        background: var(--control);
        color: var(--stage-text);
      }

      .notice.sharing svg {
        color: #d9b3ea;
      }

      .notice.sharing button:hover {
        background: var(--control-strong);
      }

      .notice.sharing :focus-visible {
        outline-color: #fff;
      }

      .notice button {
        flex: none;
        display: grid;
        place-items: center;
        min-width: 48px;
        min-height: 48px;
        padding: 0 8px;
        border: 0;
        border-radius: 8px;
        background: none;
        color: inherit;
        font: inherit;
        font-weight: 600;
        cursor: pointer;
      }

      .notice button:hover {
        background: #e6dbea;
      }

      .notice :focus-visible {
        outline-color: #5b2a6e;
      }

      .notice svg {
        width: 18px;
        height: 18px;
      }

      .center {
        position: fixed;
        inset: 0;
        display: grid;
        place-content: center;
        justify-items: center;
        gap: 12px;
        padding: 24px;
        background: var(--stage);
        color: var(--stage-muted);
        text-align: center;
      }

      .center h1 {
        color: var(--stage-text);
        font-size: var(--text-l);
      }

      /* Not seen at all when joining is quick. */
      .center > * {
        animation: appear 200ms 300ms both;
      }

      @keyframes appear {
        from {
          opacity: 0;
        }
      }

      .center p {
        max-width: 26rem;
      }

      .actions {
        display: flex;
        flex-wrap: wrap;
        gap: 12px;
        margin-top: 8px;
      }
    `,
  ];

  @state() private idle = false;
  @state() private slow = false;
  @state() private said = "";
  @state() private soundBlocked = false;
  @query("plumm-end-dialog") private dialog!: PlummEndDialog;

  readonly #session = sessionFromAddress();
  readonly #fullscreen = new Fullscreen(this, (active) => {
    const { phase, own } = this.#session;
    if (phase === "in" && own.fullscreen !== active) this.#session.set({ fullscreen: active });
    this.requestUpdate();
  });
  #shownState: RoomState | undefined;
  #phase: Phase | undefined;
  #refreshing = false;
  #paused = false;
  #fadeTimer: ReturnType<typeof setTimeout> | undefined;
  #slowTimer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    super();
    new Following(this, () => this.#session);
  }

  override connectedCallback() {
    super.connectedCallback();
    this.#fullscreen.connect();
    window.addEventListener("keydown", this.#onKey);
    for (const type of ["pointermove", "pointerdown", "focusin", "keydown"]) {
      window.addEventListener(type, this.#stayAwake, { passive: true });
    }
    this.addEventListener("plumm-sound-blocked", () => (this.soundBlocked = true));
    void this.#session.start();
  }

  override disconnectedCallback() {
    super.disconnectedCallback();
    this.#fullscreen.disconnect();
    window.removeEventListener("keydown", this.#onKey);
    for (const type of ["pointermove", "pointerdown", "focusin", "keydown"]) {
      window.removeEventListener(type, this.#stayAwake);
    }
    clearTimeout(this.#fadeTimer);
    clearTimeout(this.#slowTimer);
  }

  override willUpdate() {
    const { phase, state: now, selfId, online } = this.#session;
    if (phase !== this.#phase) this.#phaseChanged(phase);
    this.#sayRefreshed();
    this.#sayPaused();
    this.#waitingForServer(phase === "joining" || (phase === "in" && !online));
    if (now !== this.#shownState && now !== undefined && phase === "in") {
      const said = announcements(this.#shownState, now, selfId).join(" ");
      if (said !== "") this.said = said;
      this.#shownState = now;
    }
  }

  override render() {
    return html`${this.#page()}
      <div class="unseen" role="status" aria-live="polite">${this.said}</div>`;
  }

  #page(): TemplateResult {
    const session = this.#session;
    switch (session.phase) {
      case "checking":
      case "prejoin":
        return html`<plumm-prejoin .session=${session}></plumm-prejoin>`;
      case "early":
        return this.#early();
      case "busy":
        return this.#message(BUSY.title, BUSY.text);
      case "joining":
        return this.#joining();
      case "waiting":
        return this.#toBeAdmitted();
      case "in":
        return this.#room();
      case "left":
        return this.#message(
          "You left the session",
          "The session goes on without you. You can come back for as long as it lasts.",
          { label: "Rejoin", press: () => session.rejoin() },
        );
      case "replaced":
        return this.#message(
          "The session is open somewhere else",
          "You joined from another tab or device, so this one has stopped.",
          { label: "Use this one instead", press: () => session.rejoin() },
        );
      case "ended":
        return this.#ended();
      case "failed":
        return this.#failed();
    }
  }

  #joining() {
    return html`<main class="center" aria-busy="true">
      <h1>Joining the session…</h1>
      <p role="status">
        ${
          this.slow
            ? "This takes longer than usual: the server has not answered yet. We keep trying; you do not need to do anything."
            : nothing
        }
      </p>
    </main>`;
  }

  #early() {
    const { title, text } = earlyWords(this.#session.opensAt ?? "", Date.now());
    return this.#message(title, text);
  }

  #toBeAdmitted() {
    const { facts } = this.#session;
    const therapists = facts?.invited.filter(({ role }) => role === "therapist") ?? [];
    const { title, text } = toBeAdmittedWords(therapists.map(({ name }) => name));
    return this.#message(title, text, {
      label: "Leave",
      press: () => void this.#session.leave(),
    });
  }

  #room() {
    const session = this.#session;
    const { own, call } = session;
    const now = Date.now() + session.clockOffsetMs;
    const since = session.state?.live_since ? Date.parse(session.state.live_since) : now;
    const { question, facts } = endQuestion(
      session.others.length + 1,
      Math.max(0, (now - since) / 1000),
    );
    return html`<main class="room ${this.idle ? "idle" : ""}">
      <h1 class="unseen">${session.facts?.title}</h1>
      <plumm-stage .session=${session}></plumm-stage>
      <plumm-top-line .session=${session}></plumm-top-line>
      <div class="notices">
        ${this.#waiting()}${own.screen ? this.#sharing() : nothing}${this.#notice()}
      </div>
      <plumm-controls
        .own=${own}
        .viewer=${session.role}
        .refreshing=${call?.refreshing !== undefined}
        .fullscreenWaits=${this.#fullscreen.waiting}
        @plumm-control=${(event: CustomEvent<Control>) => this.#control(event.detail)}
      ></plumm-controls>
      <plumm-self-view
        .picture=${session.local.picture}
        .participant=${session.selfId}
        .muted=${!own.microphone}
      ></plumm-self-view>
      <plumm-end-dialog
        .question=${question}
        .facts=${facts}
        .end=${() => session.endForAll()}
      ></plumm-end-dialog>
    </main>`;
  }

  #waiting() {
    const { role, state } = this.#session;
    if (role !== "therapist") return nothing;
    return state?.waiting.map(
      ({ id, name }) => html`<div class="notice">
        <span>${name} is waiting</span>
        <button @click=${() => void this.#session.admit(id)}>Admit</button>
      </div>`,
    );
  }

  #sharing() {
    return html`<div class="notice sharing">
      ${shareScreen}<span>You are sharing your screen</span>
      <button @click=${() => this.#control("screen")}>Stop sharing</button>
    </div>`;
  }

  #notice() {
    const { notice, online } = this.#session;
    if (this.soundBlocked) {
      return html`<div class="notice" role="status">
        <span>Your browser holds the sound back.</span>
        <button @click=${this.#allowSound}>Turn sound on</button>
      </div>`;
    }
    if (notice !== undefined) {
      return html`<div class="notice ${notice.tone}" role="alert">
        <span>${notice.text}</span>
        <button aria-label="Close this message" @click=${() => this.#session.say(undefined)}>
          ${close}
        </button>
      </div>`;
    }
    const words = this.#connectionWords(online);
    return words === undefined
      ? nothing
      : html`<div class="notice state" role="status"><span>${words}</span></div>`;
  }

  #connectionWords(online: boolean): string | undefined {
    const { call } = this.#session;
    if (!online && this.slow) {
      return call?.connected
        ? "We cannot reach the server. Your call goes on, and we keep trying."
        : "We cannot reach the server. Picture and sound return as soon as it answers.";
    }
    if (!online) return "You are reconnecting…";
    if (call?.refreshing === "stall") return "Bringing picture and sound back…";
    // Where there is one picture, it says so in its own place.
    if (this.#session.picturesPaused && this.#session.others.length > 1) return PAUSED;
    return undefined;
  }

  #ended() {
    const { end } = this.#session;
    if (end === undefined) return html``;
    const { title, text, next } = endedWords(end.ended, end.role, end.selfId);
    return html`<plumm-page .title=${title} .text=${text} .next=${next}>
      <div class="actions">${this.#wayBack()}</div>
    </plumm-page>`;
  }

  #wayBack() {
    return this.#session.signedIn
      ? html`<a class="button quiet" href=${DASHBOARD}>Go to your sessions</a>`
      : html`<a class="button quiet" href="/">Go to the start page</a>`;
  }

  #failed() {
    const { failure } = this.#session;
    if (failure === undefined) return html``;
    const { title, text, again } = failureWords(failure);
    return this.#message(
      title,
      text,
      again === undefined ? undefined : { label: again, press: () => location.reload() },
    );
  }

  #message(title: string, text: string, action?: { label: string; press: () => void }) {
    return html`<plumm-page .title=${title} .text=${text}>
      ${
        action === undefined
          ? nothing
          : html`<div class="actions">
            <button class="button" @click=${action.press}>${action.label}</button>
          </div>`
      }
    </plumm-page>`;
  }

  #control(control: Control): void {
    const session = this.#session;
    const { own } = session;
    const actions: Record<Control, () => void> = {
      refresh: () => session.refresh(),
      fullscreen: () => void this.#toggleFullscreen(),
      microphone: () => session.set({ microphone: !own.microphone }),
      camera: () => session.set({ camera: !own.camera }),
      screen: () => void session.toggleScreen(),
      end: () => this.dialog.ask(),
      leave: () => void session.leave(),
    };
    actions[control]();
  }

  async #toggleFullscreen(): Promise<void> {
    if (this.#fullscreen.active) return this.#fullscreen.leave();
    if (await this.#fullscreen.enter()) return;
    this.#session.say({
      tone: "info",
      text: "This browser does not show pages in full screen. Turn your phone sideways for a larger picture.",
    });
  }

  readonly #allowSound = () => {
    this.soundBlocked = false;
    const stage = this.renderRoot.querySelector("plumm-stage");
    for (const tile of stage?.renderRoot.querySelectorAll("plumm-tile") ?? []) void tile.play();
  };

  readonly #onKey = (event: KeyboardEvent) => {
    const control = SHORTCUTS[event.key.toLowerCase()];
    const busy = event.ctrlKey || event.metaKey || event.altKey || event.repeat;
    if (control === undefined || busy || this.#session.phase !== "in" || this.dialog.open) return;
    this.#control(control);
  };

  readonly #stayAwake = () => {
    this.idle = false;
    clearTimeout(this.#fadeTimer);
    this.#fadeTimer = setTimeout(() => this.#fade(), FADE_AFTER_MS);
  };

  /** Only over a picture, only where a pointer can hover, and never away from the keyboard's focus. */
  #fade(): void {
    const controls = this.renderRoot.querySelector("plumm-controls");
    const focused = controls?.shadowRoot?.querySelector(":focus-visible") != null;
    const covered = this.#session.others.length > 0;
    this.idle = covered && !focused && matchMedia("(hover: hover)").matches;
  }

  #phaseChanged(phase: Phase): void {
    this.#phase = phase;
    if (phase === "in") {
      if (this.#session.own.fullscreen) this.#fullscreen.enterAtNextGesture();
      this.#stayAwake();
    } else {
      this.#shownState = undefined;
      void this.#fullscreen.leave();
    }
  }

  #sayRefreshed(): void {
    const { call, notice } = this.#session;
    const refreshing = call?.refreshing !== undefined;
    if (this.#refreshing && !refreshing && notice === undefined) {
      this.said = "Picture and sound are back.";
    }
    this.#refreshing = refreshing;
  }

  /** Once, however many pictures it is, and whatever else is held back later. */
  #sayPaused(): void {
    const paused = this.#session.picturesPaused;
    if (paused !== this.#paused) this.said = paused ? PAUSED : "Pictures are back.";
    this.#paused = paused;
  }

  /** Says so when it takes long. */
  #waitingForServer(waiting: boolean): void {
    if (waiting === (this.#slowTimer !== undefined)) return;
    clearTimeout(this.#slowTimer);
    this.slow = false;
    this.#slowTimer = waiting ? setTimeout(() => (this.slow = true), SLOW_AFTER_MS) : undefined;
  }
}
