import { css, html, LitElement, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { enterFullscreen, microphoneOff } from "../icons";
import { base } from "../styles/shared";
import { barsStyle, qualityBars } from "./bars";
import { Following } from "./following";
import type { RoomSession } from "./session";
import { timing } from "./timing";

/** Who is there and how they are, how good the connection is, and the time against the booked length. */
@customElement("plumm-top-line")
export class PlummTopLine extends LitElement {
  static override styles = [
    base,
    barsStyle,
    css`
      :host {
        display: flex;
        align-items: center;
        gap: 12px;
        min-height: 56px;
        padding: calc(8px + env(safe-area-inset-top)) 16px 8px;
        color: var(--stage-text);
        background: linear-gradient(rgb(21 16 26 / 82%), rgb(21 16 26 / 0%));
        font-size: var(--text-s);
      }

      .name {
        min-width: 0;
        overflow: hidden;
        white-space: nowrap;
        text-overflow: ellipsis;
        font-size: var(--text-m);
        font-weight: 600;
      }

      .badge {
        display: inline-flex;
        flex: none;
        align-items: center;
        gap: 4px;
        padding: 2px 10px 2px 6px;
        border-radius: 999px;
        background: rgb(42 34 49 / 88%);
        white-space: nowrap;
      }

      .badge svg {
        width: 16px;
        height: 16px;
      }

      .badge.amber {
        padding-left: 10px;
        color: var(--stage-amber);
      }

      /* On a phone the icon has to do, for the name's sake; a screen reader still has the words. */
      @media (max-width: 560px) {
        .badge.wide {
          padding-right: 6px;
        }

        .badge.wide span {
          position: absolute;
          width: 1px;
          height: 1px;
          overflow: hidden;
          clip-path: inset(50%);
        }
      }

      .right {
        flex: none;
        margin-left: auto;
        display: flex;
        align-items: center;
        gap: 16px;
        font-variant-numeric: tabular-nums;
      }

      .booked {
        color: var(--stage-muted);
      }

      .late,
      .late .booked {
        color: var(--stage-amber);
      }

      .own {
        display: flex;
        align-items: center;
        gap: 8px;
        color: var(--stage-muted);
      }
    `,
  ];

  @property({ attribute: false }) session!: RoomSession;
  @state() private now = Date.now();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor() {
    super();
    new Following(this, () => this.session);
  }

  override connectedCallback() {
    super.connectedCallback();
    this.#timer = setInterval(() => (this.now = Date.now()), 1_000);
  }

  override disconnectedCallback() {
    super.disconnectedCallback();
    clearInterval(this.#timer);
  }

  override render() {
    const { others } = this.session;
    const [first] = others;
    return html`
      ${
        others.length === 1 && first !== undefined
          ? html`<span class="name">${first.name}</span>
            ${qualityBars(first.quality, `${first.name}'s`)}
            ${first.microphone ? nothing : html`<span class="badge">${microphoneOff} muted</span>`}
            ${first.fullscreen ? html`<span class="badge wide">${enterFullscreen} <span>full screen</span></span>` : nothing}
            ${
              first.connection === "reconnecting"
                ? html`<span class="badge amber">reconnecting…</span>`
                : nothing
            }`
          : html`<span class="name">${this.session.facts?.title ?? ""}</span>`
      }
      <div class="right">${this.#quality()} ${this.#clock()}</div>
    `;
  }

  /** Of a server that is away nothing new is known. */
  #quality() {
    const { self, online } = this.session;
    if (!online || self === undefined || self.quality === null) return nothing;
    return html`<span class="own">You ${qualityBars(self.quality, "Your")}</span>`;
  }

  #clock() {
    const { facts, state, clockOffsetMs } = this.session;
    if (facts === undefined) return nothing;
    const { elapsed, bookedMinutes, late } = timing(
      state?.live_since ? Date.parse(state.live_since) : undefined,
      Date.parse(facts.starts_at),
      Date.parse(facts.ends_at),
      this.now + clockOffsetMs,
    );
    return html`<span class=${late ? "late" : ""} role="timer" aria-label="Time">
      ${elapsed === undefined ? nothing : html`${elapsed} <span class="booked">of </span>`}<span
        class="booked"
        >${bookedMinutes} min</span
      >
    </span>`;
  }
}
