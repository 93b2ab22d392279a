import { css, html, LitElement, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import * as icons from "../icons";
import { canShareScreen } from "../media/screen";
import type { OwnState, Role } from "../signaling/protocol";
import { base } from "../styles/shared";

export type Control =
  | "refresh"
  | "fullscreen"
  | "microphone"
  | "camera"
  | "screen"
  | "end"
  | "leave";

/** The bar at the bottom of the room. Says which control was pressed and does nothing by itself. */
@customElement("plumm-controls")
export class PlummControls extends LitElement {
  static override styles = [
    base,
    css`
      :host {
        display: flex;
        justify-content: center;
        padding: 16px 12px calc(20px + env(safe-area-inset-bottom));
        pointer-events: none;
      }

      .bar {
        display: flex;
        gap: 8px;
        padding: 8px;
        border-radius: 20px;
        background: rgb(21 16 26 / 72%);
        backdrop-filter: blur(12px);
        box-shadow: 0 0 0 1px rgb(255 255 255 / 8%);
        pointer-events: auto;
      }

      .control {
        position: relative;
      }

      button {
        display: grid;
        place-items: center;
        min-width: 48px;
        height: 48px;
        padding: 0;
        border: 0;
        border-radius: var(--radius);
        background: var(--control);
        color: #fff;
        font: inherit;
        cursor: pointer;
        transition: background-color 120ms;
      }

      button:hover {
        background: var(--control-strong);
      }

      button.off {
        background: #f4eef6;
        color: #241c2b;
      }

      button.on {
        box-shadow: inset 0 0 0 2px #b98bd0;
      }

      button.last {
        margin-left: 24px;
        padding: 0 20px;
        font-weight: 600;
        white-space: nowrap;
      }

      button.danger {
        background: var(--red);
      }

      button.danger:hover {
        background: var(--red-strong);
      }

      @media (min-width: 700px) {
        .bar {
          gap: 12px;
        }

        button:not(.last) {
          min-width: 56px;
        }

        button.last {
          margin-left: 48px;
        }
      }

      /* No room for a fifth one beside the last; who shares has the line above to stop. */
      @media (max-width: 440px) {
        .control.wide {
          display: none;
        }
      }

      @media (max-width: 400px) {
        button.last {
          margin-left: 4px;
          padding: 0 14px;
        }
      }

      :focus-visible {
        outline-color: #fff;
      }

      [data-busy] svg {
        animation: turn 1s linear infinite;
      }

      @keyframes turn {
        to {
          rotate: 1turn;
        }
      }

      .tip {
        position: absolute;
        bottom: calc(100% + 16px);
        left: 50%;
        translate: -50% 4px;
        padding: 4px 12px;
        border-radius: 8px;
        background: #f4eef6;
        color: #241c2b;
        font-size: var(--text-s);
        font-weight: 500;
        white-space: nowrap;
        opacity: 0;
        visibility: hidden;
        pointer-events: none;
        transition: opacity 120ms, translate 120ms;
      }

      kbd {
        margin-left: 6px;
        padding: 1px 6px;
        border-radius: 4px;
        background: #ddd2e2;
        font: inherit;
        font-size: 0.8125rem;
      }

      button:hover + .tip,
      button:focus-visible + .tip {
        opacity: 1;
        visibility: visible;
        translate: -50% 0;
      }

      @media (hover: none) {
        button:hover:not(:focus-visible) + .tip {
          visibility: hidden;
        }
      }
    `,
  ];

  @property({ attribute: false }) own!: OwnState;
  @property() viewer: Role = "client";
  @property({ type: Boolean }) refreshing = false;
  /** The arrow ends the turn it began: a repair often takes less time than is seen. */
  @state() private turning = false;
  /** Shown in full screen before the reload; the next press returns there. */
  @property({ type: Boolean }) fullscreenWaits = false;

  override willUpdate() {
    this.turning ||= this.refreshing;
  }

  override render() {
    const { microphone, camera, screen, fullscreen } = this.own;
    return html`
      <div class="bar" role="group" aria-label="Controls">
        ${this.#button("refresh", "Refresh", "R", icons.refresh, { busy: this.turning })}
        ${this.#button(
          "fullscreen",
          "Fullscreen",
          "F",
          fullscreen && !this.fullscreenWaits ? icons.exitFullscreen : icons.enterFullscreen,
          {
            pressed: fullscreen,
            tip: this.fullscreenWaits
              ? "Press anywhere to return to full screen"
              : fullscreen
                ? "Leave full screen"
                : "Full screen",
          },
        )}
        ${this.#button(
          "microphone",
          microphone ? "Mute" : "Unmute",
          "M",
          microphone ? icons.microphone : icons.microphoneOff,
          { off: !microphone },
        )}
        ${this.#button(
          "camera",
          camera ? "Turn camera off" : "Turn camera on",
          "V",
          camera ? icons.camera : icons.cameraOff,
          { off: !camera },
        )}
        ${
          canShareScreen()
            ? this.#button("screen", "Share screen", "S", icons.shareScreen, {
                pressed: screen,
                wide: true,
                tip: screen ? "Stop sharing" : "Share screen",
              })
            : nothing
        }
        ${
          this.viewer === "therapist"
            ? html`<button class="last danger" @click=${() => this.#press("end")}>End session</button>`
            : html`<button class="last" @click=${() => this.#press("leave")}>Leave</button>`
        }
      </div>
    `;
  }

  #button(
    control: Control,
    name: string,
    key: string,
    icon: TemplateResult,
    look: { off?: boolean; busy?: boolean; pressed?: boolean; tip?: string; wide?: boolean },
  ) {
    const { off = false, busy = false, pressed, tip = name, wide = false } = look;
    // The tip stands beside the button: its shortcut is not to become part of the button's name.
    return html`<span class="control ${wide ? "wide" : ""}">
      <button
        class="${off ? "off" : ""} ${pressed ? "on" : ""}"
        aria-label=${name}
        aria-keyshortcuts=${key}
        aria-pressed=${pressed ?? nothing}
        ?data-busy=${busy}
        @animationiteration=${this.#turned}
        @click=${() => this.#press(control)}
      >
        ${icon}
      </button>
      <span class="tip" aria-hidden="true">${tip}<kbd>${key}</kbd></span>
    </span>`;
  }

  #turned(): void {
    if (!this.refreshing) this.turning = false;
  }

  #press(control: Control): void {
    this.dispatchEvent(new CustomEvent<Control>("plumm-control", { detail: control }));
  }
}
