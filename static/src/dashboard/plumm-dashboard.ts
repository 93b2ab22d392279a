import { html, LitElement, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import { DASHBOARD, OPERATIONS, signInAddress } from "../account/address";
import { problemWords } from "../account/words";
import { calendar, gauge, mark } from "../icons";
import { forms } from "../styles/forms";
import { base, buttons, card } from "../styles/shared";
import { frameStyles } from "./frame-styles";
import { SessionList } from "./list";
import "./plumm-account";
import "./plumm-session-row";
import { grouped, joinable, type Row } from "./sessions";
import { withWords, zoneWords } from "./words";

const SLOW_AFTER_MS = 5_000;
const SIGNS_OF_USE = ["pointerdown", "pointermove", "keydown", "visibilitychange"];

/** The dashboard: where one is, in a rail or in tabs, and one's sessions. */
@customElement("plumm-dashboard")
export class PlummDashboard extends LitElement {
  static override styles = [base, buttons, card, forms, frameStyles];

  @state() private now = Date.now();
  @state() private slow = false;
  @state() private said = "";

  readonly #list = new SessionList();
  #ticking: ReturnType<typeof setInterval> | undefined;
  #slowTimer: ReturnType<typeof setTimeout> | undefined;

  override connectedCallback() {
    super.connectedCallback();
    this.#list.addEventListener("change", this.#listChanged);
    for (const type of SIGNS_OF_USE) {
      document.addEventListener(type, this.#used, { passive: true });
    }
    this.#ticking = setInterval(this.#tick, 1_000);
    this.#slowTimer = setTimeout(() => (this.slow = true), SLOW_AFTER_MS);
    void this.#list.load();
  }

  override disconnectedCallback() {
    super.disconnectedCallback();
    this.#list.removeEventListener("change", this.#listChanged);
    for (const type of SIGNS_OF_USE) document.removeEventListener(type, this.#used);
    clearInterval(this.#ticking);
    clearTimeout(this.#slowTimer);
  }

  override render() {
    const { me } = this.#list;
    return html`<div class="frame">
      <div class="top">
        <a class="brand" href="/">${mark} Plumm</a>
        <nav aria-label="Plumm">
          <a href=${DASHBOARD} aria-current="page">${calendar} Sessions</a>
          ${me?.role === "admin" ? html`<a href=${OPERATIONS}>${gauge} Operations</a>` : nothing}
        </nav>
        ${
          me === undefined
            ? nothing
            : html`<plumm-account .me=${me} @plumm-problem=${this.#failed}></plumm-account>`
        }
      </div>
      <main>
        <header>
          <h1>Sessions</h1>
          <p class="muted">Times are in your zone: ${zoneWords()}.</p>
        </header>
        ${this.#problem()}${this.#sessions()}
        <div class="unseen" role="status">${this.said}</div>
      </main>
    </div>`;
  }

  #problem() {
    const { problem } = this.#list;
    return problem === undefined
      ? nothing
      : html`<div class="problem" role="alert">
          <span>${problemWords(problem)}</span>
          <button class="button quiet" @click=${() => this.#list.load()}>Try again</button>
        </div>`;
  }

  #sessions() {
    const { rows, problem } = this.#list;
    if (rows === undefined) return problem === undefined ? this.#loading() : nothing;
    const { today, coming, past } = grouped(rows, this.now);
    return [
      today.length + coming.length === 0 ? this.#empty() : nothing,
      this.#group("Today", today),
      this.#group("Coming up", coming),
      this.#group("The last 30 days", past),
    ];
  }

  #empty() {
    return html`<section class="empty">
      <h2>No sessions ahead</h2>
      <p class="muted">
        ${
          this.#list.me?.role === "therapist"
            ? "Sessions that are booked with you appear here, each with a button to join it."
            : "Your next session appears here as soon as it is booked, with a button to join it."
        }
      </p>
    </section>`;
  }

  #loading() {
    return html`<div class="loading" aria-busy="true">
      <p role="status">
        ${this.slow ? "This takes longer than usual. We are still asking the server." : nothing}
      </p>
      <div class="bone"></div>
      <div class="bone"></div>
      <div class="bone"></div>
    </div>`;
  }

  #group(title: string, rows: Row[]) {
    if (rows.length === 0) return nothing;
    return html`<section aria-label=${title}>
      <h2>${title}</h2>
      <ul>
        ${repeat(
          rows,
          ({ id }) => id,
          (row) => html`<li>
            <plumm-session-row
              .row=${row}
              .now=${this.now}
              @plumm-row-changed=${this.#confirmed}
              @plumm-problem=${this.#failed}
            ></plumm-session-row>
          </li>`,
        )}
      </ul>
    </section>`;
  }

  readonly #confirmed = (event: CustomEvent<Row>) => {
    this.#list.replace(event.detail);
    this.said = "Thank you. It is noted that this session took place.";
  };

  readonly #failed = (event: CustomEvent<unknown>) => this.#list.failed(event.detail);

  readonly #used = () => this.#list.used();

  readonly #tick = () => {
    const before = this.now;
    this.now = Date.now() + this.#list.clockOffsetMs;
    const opened = this.#list.rows?.find(
      (row) => joinable(row, this.now) && !joinable(row, before),
    );
    if (opened !== undefined) this.said = `The room with ${withWords(opened)} is open.`;
    this.#list.freshen();
  };

  readonly #listChanged = () => {
    if (this.#list.signedOut) {
      const away = this.#list.me !== undefined;
      location.replace(signInAddress(DASHBOARD, { away }));
      return;
    }
    this.now = Date.now() + this.#list.clockOffsetMs;
    this.requestUpdate();
  };
}
