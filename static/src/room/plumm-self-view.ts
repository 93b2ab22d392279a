import { css, html, LitElement, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { hide, microphoneOff, person } from "../icons";
import { recall, remember } from "../memory";
import { base } from "../styles/shared";

type Corner = "top left" | "top right" | "bottom left" | "bottom right";

const ARROWS: Record<string, string> = {
  ArrowUp: "top",
  ArrowDown: "bottom",
  ArrowLeft: "left",
  ArrowRight: "right",
};
// Less than a finger's wobble is a press, not a move.
const DRAG_FROM_PX = 6;

/** The own picture, mirrored: in a corner, moved by dragging or with the arrow keys, hidden on demand. */
@customElement("plumm-self-view")
export class PlummSelfView extends LitElement {
  static override styles = [
    base,
    css`
      :host {
        --gap: 16px;
        position: absolute;
        z-index: 2;
        width: clamp(104px, 18vw, 240px);
        transition: transform 160ms ease-out;
        touch-action: none;
      }

      :host([corner^="top"]) {
        top: calc(56px + env(safe-area-inset-top));
      }

      :host([corner^="bottom"]) {
        bottom: calc(96px + env(safe-area-inset-bottom));
      }

      :host([corner$="left"]) {
        left: var(--gap);
      }

      :host([corner$="right"]) {
        right: var(--gap);
      }

      /* Room beside the controls, which stand in the middle. */
      @media (min-width: 1100px) {
        :host([corner^="bottom"]) {
          bottom: var(--gap);
        }
      }

      :host([dragging]) {
        transition: none;
      }

      .picture {
        position: relative;
        aspect-ratio: 4 / 3;
        border-radius: var(--radius);
        overflow: hidden;
        background: var(--control);
        box-shadow: 0 0 0 1px rgb(255 255 255 / 14%), 0 8px 24px rgb(0 0 0 / 40%);
        cursor: grab;
        color: var(--stage-muted);
        display: grid;
        place-content: center;
        justify-items: center;
        font-size: var(--text-s);
      }

      @media (max-width: 600px) {
        :host {
          --gap: 12px;
        }

        .picture {
          aspect-ratio: 3 / 4;
        }
      }

      :host([dragging]) .picture {
        cursor: grabbing;
      }

      video {
        position: absolute;
        inset: 0;
        width: 100%;
        height: 100%;
        object-fit: cover;
        transform: scaleX(-1);
      }

      .muted {
        position: absolute;
        left: 6px;
        bottom: 6px;
        padding: 4px;
        border-radius: 50%;
        background: rgb(21 16 26 / 78%);
        color: #fff;
      }

      .muted svg {
        width: 18px;
        height: 18px;
      }

      button {
        position: absolute;
        border: 0;
        color: #fff;
        background: rgb(21 16 26 / 70%);
        cursor: pointer;
        display: grid;
        place-items: center;
        font: inherit;
      }

      .hide {
        top: 0;
        right: 0;
        width: 48px;
        height: 48px;
        background: none;
        opacity: 0;
        transition: opacity 160ms;
      }

      .hide span {
        display: grid;
        place-items: center;
        width: 28px;
        height: 28px;
        border-radius: 50%;
        background: rgb(21 16 26 / 70%);
      }

      .hide svg {
        width: 18px;
        height: 18px;
      }

      :host(:hover) .hide,
      .hide:focus-visible {
        opacity: 1;
      }

      @media (hover: none) {
        .hide {
          opacity: 1;
        }
      }

      .show {
        position: static;
        margin-left: auto;
        width: 48px;
        height: 48px;
        border-radius: 50%;
        background: var(--control);
      }

      :host([corner$="left"]) .show {
        margin-left: 0;
      }

      :focus-visible {
        outline-color: #fff;
      }

      .picture:focus-visible {
        outline-offset: -3px;
      }
    `,
  ];

  @property({ attribute: false }) picture: MediaStream | undefined;
  @property() participant = "";
  @property({ type: Boolean }) muted = false;
  @property({ reflect: true }) corner = (recall("picture", "corner") ?? "bottom right") as Corner;
  @state() private away = recall("picture", "shown") === "no";

  override render() {
    if (this.away) {
      return html`<button class="show" aria-label="Show your picture" @click=${() => this.#show(true)}>
        ${person}
      </button>`;
    }
    return html`<div
      class="picture"
      role="group"
      tabindex="0"
      aria-label="Your picture. The arrow keys move it."
      @pointerdown=${this.#grab}
      @keydown=${this.#key}
    >
      ${
        this.picture === undefined
          ? html`<span>Camera off</span>`
          : html`<video
            data-local
            data-participant=${this.participant}
            aria-label="Your picture"
            .srcObject=${this.picture}
            autoplay
            playsinline
            .muted=${true}
          ></video>`
      }
      ${
        this.muted
          ? html`<span class="muted" role="img" aria-label="You are muted">${microphoneOff}</span>`
          : nothing
      }
      <button class="hide" aria-label="Hide your picture" @click=${() => this.#show(false)}>
        <span>${hide}</span>
      </button>
    </div>`;
  }

  #show(shown: boolean): void {
    this.away = !shown;
    remember("picture", "shown", shown ? "yes" : "no");
    void this.updateComplete.then(() =>
      this.renderRoot.querySelector<HTMLElement>(shown ? ".picture" : ".show")?.focus(),
    );
  }

  #moveTo(corner: Corner): void {
    this.corner = corner;
    remember("picture", "corner", corner);
  }

  #key(event: KeyboardEvent): void {
    const side = ARROWS[event.key];
    if (side === undefined) return;
    event.preventDefault();
    const [vertical, horizontal] = this.corner.split(" ") as [string, string];
    const next =
      side === "top" || side === "bottom" ? `${side} ${horizontal}` : `${vertical} ${side}`;
    this.#moveTo(next as Corner);
  }

  #grab(down: PointerEvent): void {
    if (down.button !== 0 || (down.target as Element).closest("button") !== null) return;
    const picture = down.currentTarget as HTMLElement;
    const drag = new AbortController();
    const move = (event: PointerEvent) => {
      const [x, y] = [event.clientX - down.clientX, event.clientY - down.clientY];
      if (!this.hasAttribute("dragging") && Math.hypot(x, y) < DRAG_FROM_PX) return;
      this.toggleAttribute("dragging", true);
      this.style.transform = `translate(${x}px, ${y}px)`;
    };
    const drop = () => {
      drag.abort();
      if (this.hasAttribute("dragging")) this.#moveTo(this.#nearestCorner());
      this.toggleAttribute("dragging", false);
      this.style.transform = "";
    };
    const { signal } = drag;
    picture.setPointerCapture(down.pointerId);
    picture.addEventListener("pointermove", move, { signal });
    picture.addEventListener("pointerup", drop, { signal });
    picture.addEventListener("pointercancel", drop, { signal });
  }

  #nearestCorner(): Corner {
    const box = this.getBoundingClientRect();
    const vertical = box.top + box.height / 2 < innerHeight / 2 ? "top" : "bottom";
    const horizontal = box.left + box.width / 2 < innerWidth / 2 ? "left" : "right";
    return `${vertical} ${horizontal}`;
  }
}
