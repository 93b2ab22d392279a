import { css, html, LitElement } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import { mark } from "../icons";
import { base } from "../styles/shared";
import { Following } from "./following";
import { gridColumns } from "./grid";
import "./plumm-tile";
import type { RoomSession } from "./session";
import { waitingWords } from "./words";

const SPEAKER_WATCH_MS = 250;
// Someone who pauses for breath still has the floor.
const SPEAKER_HOLD_MS = 1_000;

/** Everyone else in the room; or, while there is nobody, whom one waits for. */
@customElement("plumm-stage")
export class PlummStage extends LitElement {
  static override styles = [
    base,
    css`
      :host {
        position: absolute;
        inset: 0;
        display: grid;
        background: var(--stage);
        color: var(--stage-text);
      }

      .one {
        display: grid;
      }

      .grid {
        display: grid;
        gap: 8px;
        /* Clear of the top line and the controls. */
        padding: 56px 8px 96px;
        min-width: 0;
        min-height: 0;
        grid-template-columns: repeat(var(--columns, 1), minmax(0, 1fr));
        grid-auto-rows: minmax(0, 1fr);
      }

      .waiting {
        place-self: center;
        max-width: 30rem;
        display: grid;
        justify-items: center;
        gap: 12px;
        padding: 24px;
        text-align: center;
      }

      .waiting svg {
        width: 64px;
        height: 64px;
        margin-bottom: 12px;
        color: #a97abb;
      }

      h2 {
        font-size: var(--text-xl);
        line-height: 1.2;
        letter-spacing: -0.015em;
        text-wrap: balance;
      }

      .waiting p {
        color: var(--stage-muted);
      }
    `,
  ];

  @property({ attribute: false }) session!: RoomSession;
  @state() private speaker: string | undefined;
  @state() private size = { width: 1, height: 1 };

  readonly #resized = new ResizeObserver(([entry]) => {
    if (entry !== undefined) this.size = entry.contentRect;
  });
  #heardAt = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor() {
    super();
    new Following(this, () => this.session);
  }

  override connectedCallback() {
    super.connectedCallback();
    this.#resized.observe(this);
    this.#timer = setInterval(() => this.#listen(), SPEAKER_WATCH_MS);
  }

  override disconnectedCallback() {
    super.disconnectedCallback();
    this.#resized.disconnect();
    clearInterval(this.#timer);
  }

  override render() {
    const { others, call } = this.session;
    if (others.length === 0) return this.#waiting();
    const alone = others.length === 1;
    const tiles = repeat(
      others,
      (other) => other.id,
      (other) => html`<plumm-tile
        .participant=${other}
        .stream=${call?.stream(other.id)}
        ?alone=${alone}
        ?speaking=${!alone && this.speaker === other.id}
      ></plumm-tile>`,
    );
    return html`<div class=${alone ? "one" : "grid"}>${tiles}</div>`;
  }

  override updated() {
    const { width, height } = this.size;
    const columns = gridColumns(this.session.others.length, width, height);
    this.style.setProperty("--columns", String(columns));
  }

  #waiting() {
    const { role, missing, facts, clockOffsetMs } = this.session;
    const startsAt = facts === undefined ? 0 : Date.parse(facts.starts_at);
    const words = waitingWords(role, missing, startsAt, Date.now() + clockOffsetMs);
    return html`<div class="waiting">
      ${mark}
      <h2>${words.title}</h2>
      <p>${words.text}</p>
    </div>`;
  }

  #listen(): void {
    if (this.session.others.length < 2) return;
    const speaker = this.session.call?.speaker();
    const now = performance.now();
    if (speaker !== undefined) this.#heardAt = now;
    if (speaker !== undefined || now - this.#heardAt > SPEAKER_HOLD_MS) this.speaker = speaker;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "plumm-stage": PlummStage;
  }
}
