import { css, html, LitElement, nothing, type PropertyValues } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { enterFullscreen, microphoneOff } from "../icons";
import type { Participant } from "../signaling/protocol";
import { base } from "../styles/shared";
import { barsStyle, qualityBars } from "./bars";
import { initials, PAUSED } from "./words";

/** Another participant: picture and sound, or a poster with initials while there is no picture. */
@customElement("plumm-tile")
export class PlummTile extends LitElement {
  static override styles = [
    base,
    barsStyle,
    css`
      :host {
        position: relative;
        display: block;
        min-width: 0;
        min-height: 0;
        overflow: hidden;
        border-radius: var(--radius);
        background: #1e1825;
        color: var(--stage-text);
      }

      :host([alone]) {
        border-radius: 0;
        background: none;
      }

      :host::after {
        content: "";
        position: absolute;
        inset: 0;
        border-radius: inherit;
        border: 3px solid transparent;
        pointer-events: none;
        transition: border-color 200ms;
      }

      :host([speaking])::after {
        border-color: #b98bd0;
      }

      .poster {
        position: absolute;
        inset: 0;
        display: grid;
        place-content: center;
        justify-items: center;
        gap: 16px;
        color: var(--stage-muted);
        container-type: size;
      }

      .initials {
        display: grid;
        place-items: center;
        width: clamp(64px, 30cqmin, 160px);
        aspect-ratio: 1;
        border-radius: 50%;
        background: #4a2a5a;
        color: #f6ecfa;
        font-size: clamp(24px, 11cqmin, 56px);
        font-weight: 500;
        letter-spacing: 0.02em;
      }

      .poster p {
        max-width: 24rem;
        padding: 0 24px;
        text-align: center;
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

      .label {
        position: absolute;
        left: 8px;
        bottom: 8px;
        max-width: calc(100% - 16px);
        display: flex;
        align-items: center;
        gap: 8px;
        padding: 4px 12px;
        border-radius: 999px;
        background: rgb(21 16 26 / 78%);
        font-size: var(--text-s);
      }

      .label svg {
        width: 16px;
        height: 16px;
      }

      .name {
        overflow: hidden;
        white-space: nowrap;
        text-overflow: ellipsis;
      }

      .badge {
        display: inline-flex;
        align-items: center;
        gap: 4px;
        color: var(--stage-muted);
        white-space: nowrap;
      }

      .badge.amber {
        color: var(--stage-amber);
      }
    `,
  ];

  @property({ attribute: false }) participant!: Participant;
  @property({ attribute: false }) stream: MediaStream | undefined;
  /** The only other one: fills the stage, and the top line carries the name. */
  @property({ type: Boolean, reflect: true }) alone = false;
  @property({ type: Boolean, reflect: true }) speaking = false;
  /** The server holds the picture back. */
  @property({ type: Boolean }) paused = false;
  @state() private hasPicture = false;
  @query("video") private video!: HTMLVideoElement;

  override render() {
    const { id, name, camera, connection } = this.participant;
    const shown = camera && this.hasPicture && !this.paused;
    return html`
      <div class="poster" ?hidden=${shown}>
        <div class="initials" aria-hidden="true">${initials(name)}</div>
        ${this.alone ? html`<p>${this.#why(camera, connection)}</p>` : nothing}
      </div>
      <video
        data-participant=${id}
        class=${shown ? "" : "blank"}
        aria-label="Picture of ${name}"
        autoplay
        playsinline
        @loadeddata=${() => (this.hasPicture = true)}
      ></video>
      ${this.alone ? nothing : this.#label()}
    `;
  }

  override updated(changed: PropertyValues<this>) {
    if (!changed.has("stream")) return;
    this.hasPicture = false;
    this.video.srcObject = this.stream ?? null;
    if (this.stream !== undefined) void this.play();
  }

  /** Let the sound be heard; needs a gesture in browsers that hold it back. */
  async play(): Promise<void> {
    try {
      await this.video.play();
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== "NotAllowedError") return;
      this.dispatchEvent(new Event("plumm-sound-blocked", { bubbles: true, composed: true }));
    }
  }

  #why(camera: boolean, connection: Participant["connection"]) {
    if (connection === "reconnecting") return "Reconnecting. The picture returns by itself.";
    if (camera && this.paused) return PAUSED;
    return camera ? "Connecting picture and sound…" : "The camera is off.";
  }

  #label() {
    const { name, microphone, fullscreen, connection, quality } = this.participant;
    return html`<div class="label">
      <span class="name">${name}</span>
      ${quality === "good" ? nothing : qualityBars(quality, `${name}'s`)}
      ${microphone ? nothing : html`<span class="badge">${microphoneOff} muted</span>`}
      ${fullscreen ? html`<span class="badge">${enterFullscreen} full screen</span>` : nothing}
      ${
        connection === "reconnecting"
          ? html`<span class="badge amber">reconnecting…</span>`
          : nothing
      }
    </div>`;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "plumm-tile": PlummTile;
  }
}
