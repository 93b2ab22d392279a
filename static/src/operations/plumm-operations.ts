import { html, LitElement, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { DASHBOARD, OPERATIONS, signInAddress } from "../account/address";
import "../dashboard/plumm-account";
import { frameStyles } from "../dashboard/frame-styles";
import { calendar, gauge, mark } from "../icons";
import { barsStyle, qualityBars } from "../room/bars";
import { forms } from "../styles/forms";
import { base, buttons, card } from "../styles/shared";
import { type Flow, flows, type Line, loss, type Report, seatKey } from "./figures";
import { operationsStyles } from "./styles";
import { type Tile, tiles } from "./tiles";
import { Watch } from "./watch";
import { connectionWords, delayWords, goneWords, rateWords, shareWords, staleWords } from "./words";

const SIGNS_OF_USE = ["pointerdown", "pointermove", "keydown", "visibilitychange"];
const ATTENTION = { fine: nothing, watch: "watch", act: "alarm" } as const;

/** What an admin sees of the server: its figures, and the rooms with the worst connections. */
@customElement("plumm-operations")
export class PlummOperations extends LitElement {
  static override styles = [base, buttons, card, forms, frameStyles, barsStyle, operationsStyles];

  @state() private now = Date.now();

  readonly #watch = new Watch();
  #ticking: ReturnType<typeof setInterval> | undefined;

  override connectedCallback() {
    super.connectedCallback();
    this.#watch.addEventListener("change", this.#changed);
    for (const type of SIGNS_OF_USE) {
      document.addEventListener(type, this.#used, { passive: true });
    }
    this.#ticking = setInterval(() => (this.now = Date.now()), 1_000);
    this.#watch.start();
  }

  override disconnectedCallback() {
    super.disconnectedCallback();
    this.#watch.removeEventListener("change", this.#changed);
    for (const type of SIGNS_OF_USE) document.removeEventListener(type, this.#used);
    clearInterval(this.#ticking);
    this.#watch.stop();
  }

  override render() {
    const { me } = this.#watch;
    return html`<div class="frame">
      <div class="top">
        <a class="brand" href="/">${mark} Plumm</a>
        <nav aria-label="Plumm">
          <a href=${DASHBOARD}>${calendar} Sessions</a>
          <a href=${OPERATIONS} aria-current="page">${gauge} Operations</a>
        </nav>
        ${me === undefined ? nothing : html`<plumm-account .me=${me}></plumm-account>`}
      </div>
      <!-- It scrolls and has nothing else to focus: without this no key would scroll it. -->
      <main tabindex="0" aria-label="Operations">
        <header>
          <h1>Operations</h1>
          <p class="muted">This server, every two seconds. Nobody is named here.</p>
        </header>
        ${this.#notice()}${this.#report()}
      </main>
    </div>`;
  }

  #notice() {
    const { forbidden, paused, problem, report, reportedAt } = this.#watch;
    if (forbidden) {
      return html`<section class="empty">
        <h2>Only administrators see this page</h2>
        <p><a class="button" href=${DASHBOARD}>Go to your sessions</a></p>
      </section>`;
    }
    if (problem !== undefined) {
      const ageS = report === undefined ? undefined : (this.now - reportedAt) / 1_000;
      // The age grows each second: what is read aloud is that it is so.
      return html`<p class="problem" role="alert">
        <span>${goneWords(problem)}</span>
        ${ageS === undefined ? nothing : html`<span aria-live="off">${staleWords(ageS)}</span>`}
      </p>`;
    }
    return paused
      ? html`<p class="problem" role="status">
          <span>Paused, because nobody used this page for a while.</span>
          <button class="button quiet" @click=${this.#used}>Go on</button>
        </p>`
      : nothing;
  }

  #report() {
    const { before, forbidden, problem, report } = this.#watch;
    if (forbidden) return nothing;
    if (report === undefined) return problem === undefined ? this.#loading() : nothing;
    return html`<div class=${problem === undefined ? "figures" : "figures stale"}>
      <section aria-label="The server">
        <dl class="tiles">${tiles(before, report).map(tile)}</dl>
      </section>
      <section aria-labelledby="rooms">
        <h2 id="rooms">Rooms</h2>
        ${report.worst_rooms.length === 0 ? this.#empty() : this.#rooms(report, flows(before, report))}
      </section>
    </div>`;
  }

  #empty() {
    return html`<div class="empty">
      <p><strong>Nobody is in a room</strong></p>
      <p class="muted">
        A room appears here with its connections as soon as somebody joins it, the worst first.
      </p>
    </div>`;
  }

  #rooms({ rooms, worst_rooms }: Report, flow: ReadonlyMap<string, Flow>) {
    const shown = worst_rooms.length;
    // The roles are those of the elements: as cards on a phone they would lose them.
    return html`<p class="muted">
        ${shown < rooms ? `The ${shown} of ${rooms} with the worst connections.` : "The worst connections first."}
      </p>
      <table role="table" aria-labelledby="rooms">
        <thead role="rowgroup">
          <tr role="row">
            <th role="columnheader" class="name">Room</th>
            <th role="columnheader" class="name">Seat</th>
            <th role="columnheader" class="name">Quality</th>
            <th role="columnheader">Sends</th>
            <th role="columnheader">Receives</th>
            <th role="columnheader">Loss from</th>
            <th role="columnheader">Loss to</th>
            <th role="columnheader">Round trip</th>
          </tr>
        </thead>
        ${worst_rooms.map(
          ({ session_id, lines }) => html`<tbody role="rowgroup">
            ${lines.map((line, seat) => row(session_id, seat, line, flow.get(seatKey(session_id, line))))}
          </tbody>`,
        )}
      </table>`;
  }

  #loading() {
    return html`<div class="loading" aria-busy="true">
      <p role="status">Asking the server for its figures.</p>
      <div class="bone"></div>
      <div class="bone"></div>
    </div>`;
  }

  readonly #used = () => this.#watch.used();

  readonly #changed = () => {
    if (this.#watch.signedOut) {
      location.replace(signInAddress(OPERATIONS, { away: this.#watch.me !== undefined }));
      return;
    }
    this.now = Date.now();
    this.requestUpdate();
  };
}

function tile({ title, value, detail, level }: Tile) {
  return html`<div class="tile ${level}">
    <dt>${title}<strong>${ATTENTION[level]}</strong></dt>
    <dd class="value">${value}</dd>
    <dd class="detail">${detail}</dd>
  </div>`;
}

function row(session: string, seat: number, line: Line, flow: Flow | undefined) {
  const { connection, quality, loss_down, round_trip_ms } = line;
  const lossUp = flow === undefined ? undefined : loss([flow]);
  return html`<tr role="row" class=${seat === 0 ? "first" : ""}>
    ${
      seat === 0
        ? html`<th role="rowheader" class="name room"><code>${session}</code></th>`
        : html`<td role="cell" class="name room"><span class="unseen">the same room</span></td>`
    }
    <td role="cell" class="name seat">
      Seat ${seat + 1}<span class=${connection === "lost" ? "lost" : "muted"}
        >, ${connectionWords(connection)}</span
      >
    </td>
    <td role="cell" class="name" data-label="Quality">
      <span class="quality">${qualityBars(quality, "The seat's")}${quality ?? "–"}</span>
    </td>
    <td role="cell" data-label="Sends">${rateWords(flow?.inBits)}</td>
    <td role="cell" data-label="Receives">${rateWords(flow?.outBits)}</td>
    <td role="cell" data-label="Loss from">${shareWords(lossUp)}</td>
    <td role="cell" data-label="Loss to">${shareWords(loss_down)}</td>
    <td role="cell" data-label="Round trip">${delayWords(round_trip_ms)}</td>
  </tr>`;
}
