import { html, LitElement, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { ask } from "../account/api";
import { check, copy, download } from "../icons";
import { durationWords, initials } from "../room/words";
import { forms } from "../styles/forms";
import { base, buttons } from "../styles/shared";
import { rowStyles } from "./row-styles";
import { joinable, type Other, type Row } from "./sessions";
import {
  confirmedWords,
  dayWords,
  endWords,
  hoursWords,
  stateWords,
  staysWords,
  untilWords,
  withWords,
} from "./words";

const COPIED_FOR_MS = 2_000;

/**
 * One session: when, with whom, how it stands, and what can be done about it.
 * Dispatches "plumm-row-changed" with the new Row, and "plumm-problem" with what went wrong.
 */
@customElement("plumm-session-row")
export class PlummSessionRow extends LitElement {
  static override styles = [base, buttons, forms, rowStyles];

  @property({ attribute: false }) row!: Row;
  /** On the server's clock, ms since the epoch. */
  @property({ type: Number }) now = 0;
  @state() private copied: string | undefined;
  /** Shown where the browser gives us no clipboard. */
  @state() private link: string | undefined;
  @state() private busy = false;

  override render() {
    const { row } = this;
    return html`<article class=${joinable(row, this.now) ? "now" : ""}>
      <div class="face" aria-hidden="true">${initials(row.with[0]?.name ?? "")}</div>
      <div class="facts">
        <h3>${withWords(row)}</h3>
        <p class="when">${dayWords(row.starts_at)}, <span>${hoursWords(row)}</span></p>
        <p class="small">${row.title}</p>
        <p class="state">${stateWords(row, this.now)}</p>
      </div>
      <div class="actions">
        ${row.ended === null ? [this.#guestLinks(), this.#join()] : this.#receipt()}
      </div>
      ${row.ended === null ? this.#link() : this.#after()}
      <span class="unseen" role="status">${this.copied === undefined ? nothing : "Copied"}</span>
    </article>`;
  }

  #join() {
    const { row, now } = this;
    return joinable(row, now)
      ? html`<a class="button" href="/room/${row.id}"
          >Join<span class="unseen"> the session with ${withWords(row)}</span></a
        >`
      : html`<p class="small opens">
          Opens in ${untilWords((Date.parse(row.opens_at) - now) / 1000)}
        </p>`;
  }

  #guestLinks() {
    if (this.row.role !== "therapist") return nothing;
    const clients = this.row.with.filter(({ role }) => role === "client");
    return clients.map(
      (client) => html`<button
        class="button quiet"
        ?disabled=${this.busy}
        @click=${() => this.#copyLink(client)}
      >
        ${this.copied === client.participant_id ? check : copy}
        ${this.copied === client.participant_id ? "Copied" : "Copy guest link"}<span
          class=${clients.length > 1 ? "" : "unseen"}
        >
          for ${client.name}</span
        >
      </button>`,
    );
  }

  #link() {
    return this.link === undefined
      ? nothing
      : html`<label class="more"
          >Guest link, to copy and hand on
          <input readonly .value=${this.link} @focus=${selectAll} />
        </label>`;
  }

  #receipt() {
    const { row } = this;
    return html`<a class="button quiet" href="/api/my/sessions/${row.id}/receipt" download>
      ${download} Receipt<span class="unseen"> of the session with ${withWords(row)}</span>
    </a>`;
  }

  #after() {
    const confirmed = confirmedWords(this.row);
    return html`<div class="more">
      <p>${endWords(this.row)}</p>
      ${confirmed === undefined ? nothing : html`<p class="small">${confirmed}</p>`}
      ${this.row.confirmable ? this.#confirm() : this.#attendance()}
    </div>`;
  }

  #confirm() {
    return html`<section class="ask" aria-label="Did the session take place?">
      <p><strong>Did it take place?</strong> Nobody pressed End session, so we ask you.</p>
      ${this.#stays()}
      <button class="button" ?disabled=${this.busy} @click=${this.#confirmIt}>It took place</button>
    </section>`;
  }

  #attendance() {
    return this.row.attendance === null
      ? nothing
      : html`<details>
          <summary>Who was there, and when</summary>
          ${this.#stays()}
        </details>`;
  }

  #stays() {
    const { attendance } = this.row;
    if (attendance === null) return nothing;
    return html`<p class="small">There at the same time: ${durationWords(attendance.overlap_s)}.</p>
      <dl>
        ${attendance.people.map(
          ({ name, intervals }) =>
            html`<dt>${name}</dt>
              <dd>${staysWords(intervals)}</dd>`,
        )}
      </dl>`;
  }

  #copyLink({ participant_id }: Other): Promise<void> {
    return this.#doing(async () => {
      const path = `/api/my/sessions/${this.row.id}/guest-link`;
      const { url } = await ask<{ url: string }>("POST", path, { participant_id });
      try {
        await navigator.clipboard.writeText(url);
      } catch {
        this.link = url;
        return;
      }
      this.copied = participant_id;
      setTimeout(() => (this.copied = undefined), COPIED_FOR_MS);
    });
  }

  readonly #confirmIt = () =>
    this.#doing(async () => {
      const detail = await ask<Row>("POST", `/api/my/sessions/${this.row.id}/confirm`, {});
      this.dispatchEvent(new CustomEvent("plumm-row-changed", { detail }));
    });

  async #doing(act: () => Promise<void>): Promise<void> {
    this.busy = true;
    try {
      await act();
    } catch (detail) {
      this.dispatchEvent(new CustomEvent("plumm-problem", { detail }));
    }
    this.busy = false;
  }
}

function selectAll(event: Event): void {
  (event.target as HTMLInputElement).select();
}
