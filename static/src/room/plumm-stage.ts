import { css, html, LitElement, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import { mark } from "../icons";
import { base } from "../styles/shared";
import { Following } from "./following";
import { gridColumns } from "./grid";
import { PlummScreen } from "./plumm-screen";
import type { PlummTile } from "./plumm-tile";
import "./plumm-tile";
import type { RoomSession } from "./session";
import { inPixels } from "./views";
import { waitingWords } from "./words";

/**
 * Everyone else in the room, or the screen that one of them shares, with the others beside it; or,
 * while there is nobody, whom one waits for. Tells the session how large each picture is.
 */
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

      .layout {
        display: grid;
        min-width: 0;
        min-height: 0;
      }

      .one .people {
        display: grid;
      }

      .group .people {
        display: grid;
        gap: 8px;
        /* Clear of the top line and the controls. */
        padding: 56px 8px 96px;
        min-width: 0;
        min-height: 0;
        grid-template-columns: repeat(var(--columns, 1), minmax(0, 1fr));
        grid-auto-rows: minmax(0, 1fr);
      }

      .presented {
        gap: 8px;
        padding: 56px 8px 96px;
        grid-template: minmax(0, 1fr) auto / minmax(0, 1fr);
      }

      /* Beside the own picture, which stands at the right. */
      .presented .people {
        display: flex;
        gap: 8px;
        min-width: 0;
        overflow: auto;
        padding-right: 124px;
      }

      .presented plumm-tile {
        flex: none;
        width: 124px;
        aspect-ratio: 4 / 3;
      }

      @media (min-width: 900px) {
        .presented {
          grid-template: minmax(0, 1fr) / minmax(0, 1fr) clamp(160px, 18vw, 240px);
          padding-right: 16px;
        }

        /* Above the own picture, which stands at the bottom. */
        .presented .people {
          flex-direction: column;
          padding: 0 0 108px;
        }

        .presented plumm-tile {
          width: auto;
        }
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
  @state() private size = { width: 1, height: 1 };

  readonly #resized = new ResizeObserver(([entry]) => {
    if (entry !== undefined) this.size = entry.contentRect;
  });
  readonly #pictureResized = new ResizeObserver(() => this.#tellViews());
  #pictures = new Set<PlummTile | PlummScreen>();

  constructor() {
    super();
    new Following(this, () => this.session);
  }

  override connectedCallback() {
    super.connectedCallback();
    this.#resized.observe(this);
    document.addEventListener("visibilitychange", this.#tellViews);
  }

  override disconnectedCallback() {
    super.disconnectedCallback();
    this.#resized.disconnect();
    this.#pictureResized.disconnect();
    this.#pictures.clear();
    document.removeEventListener("visibilitychange", this.#tellViews);
  }

  override render() {
    const { others, call, state: room, presenter } = this.session;
    if (others.length === 0) return this.#waiting();
    const group = others.length > 1;
    const alone = !group && presenter === undefined;
    const tiles = repeat(
      others,
      (other) => other.id,
      (other) => html`<plumm-tile
        .participant=${other}
        .stream=${call?.stream(other.id)}
        .paused=${call?.paused(other.id, "camera") ?? false}
        ?alone=${alone}
        ?speaking=${group && room?.speaker === other.id}
      ></plumm-tile>`,
    );
    // The tiles stay the same elements whatever the layout: sound comes out of them.
    return html`<div class="layout ${presenter ? "presented" : alone ? "one" : "group"}">
      ${
        presenter === undefined
          ? nothing
          : html`<plumm-screen
            .participant=${presenter}
            .stream=${call?.screen(presenter.id)}
            .paused=${call?.paused(presenter.id, "screen") ?? false}
          ></plumm-screen>`
      }
      <div class="people">${tiles}</div>
    </div>`;
  }

  override updated() {
    const { width, height } = this.size;
    const columns = gridColumns(this.session.others.length, width, height);
    this.style.setProperty("--columns", String(columns));
    this.#watchPictures();
  }

  /** Sizes are told when a picture comes, goes or changes its size. */
  #watchPictures(): void {
    const pictures = new Set(
      this.renderRoot.querySelectorAll<PlummTile | PlummScreen>("plumm-tile, plumm-screen"),
    );
    for (const gone of this.#pictures) {
      if (!pictures.has(gone)) this.#pictureResized.unobserve(gone);
    }
    for (const picture of pictures) {
      if (!this.#pictures.has(picture)) this.#pictureResized.observe(picture);
    }
    const same = pictures.size === this.#pictures.size;
    this.#pictures = pictures;
    if (!same) this.#tellViews();
  }

  readonly #tellViews = () => {
    const hidden = document.visibilityState === "hidden";
    this.session.viewsAre(
      [...this.#pictures].map((picture) => ({
        participant_id: picture.participant.id,
        source: picture instanceof PlummScreen ? ("screen" as const) : ("camera" as const),
        ...inPixels(picture.clientWidth, picture.clientHeight, hidden ? 0 : devicePixelRatio),
      })),
    );
  };

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
}

declare global {
  interface HTMLElementTagNameMap {
    "plumm-stage": PlummStage;
  }
}
