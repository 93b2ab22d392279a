import { css, html, LitElement, nothing, type PropertyValues } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import type { Participant } from "../signaling/protocol";
import { base } from "../styles/shared";
import { PAUSED } from "./words";

/** Another participant's shared screen, whole, as large as there is room for. */
@customElement("plumm-screen")
export class PlummScreen extends LitElement {
  static override styles = [
    base,
    css`
      :host {
        position: relative;
        display: block;
        min-width: 0;
        min-height: 0;
      }

      video {
        position: absolute;
        inset: 0;
        width: 100%;
        height: 100%;
        object-fit: contain;
      }

      video.blank {
        visibility: hidden;
      }

      p {
        position: absolute;
        inset: 0;
        display: grid;
        place-content: center;
        padding: 24px;
        color: var(--stage-muted);
        text-align: center;
      }
    `,
  ];

  @property({ attribute: false }) participant!: Participant;
  @property({ attribute: false }) stream: MediaStream | undefined;
  @property({ type: Boolean }) paused = false;
  @state() private hasPicture = false;
  @query("video") private video!: HTMLVideoElement;

  override render() {
    const { id, name } = this.participant;
    const shown = this.hasPicture && !this.paused;
    return html`<video
        data-screen=${id}
        class=${shown ? "" : "blank"}
        aria-label="The screen of ${name}"
        autoplay
        playsinline
        .muted=${true}
        @loadeddata=${() => (this.hasPicture = true)}
      ></video>
      ${shown ? nothing : html`<p>${this.paused ? PAUSED : `${name}'s screen is coming…`}</p>`}`;
  }

  override updated(changed: PropertyValues<this>) {
    if (!changed.has("stream")) return;
    this.hasPicture = false;
    this.video.srcObject = this.stream ?? null;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "plumm-screen": PlummScreen;
  }
}
