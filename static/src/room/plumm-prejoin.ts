import { css, html, LitElement, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { live } from "lit/directives/live.js";
import { cameraOff, mark } from "../icons";
import { chooseDevice, chosenDevice, type Device, listDevices, NO_DEVICE } from "../media/devices";
import { base, buttons, card } from "../styles/shared";
import { Following } from "./following";
import "./plumm-microphone-level";
import type { RoomSession } from "./session";
import { devicesWords, joinWithout } from "./words";

const LABEL: Record<Device, string> = { camera: "Camera", microphone: "Microphone" };

/** The card before the room: see yourself, hear that you are heard, pick devices, Join. */
@customElement("plumm-prejoin")
export class PlummPrejoin extends LitElement {
  static override styles = [
    base,
    buttons,
    card,
    css`
      .card {
        max-width: 520px;
        gap: 20px;
      }

      .picture {
        position: relative;
        aspect-ratio: 16 / 10;
        border-radius: var(--radius);
        overflow: hidden;
        background: var(--stage);
        color: var(--stage-muted);
        display: grid;
        place-content: center;
        justify-items: center;
        gap: 8px;
        font-size: var(--text-s);
      }

      video {
        position: absolute;
        inset: 0;
        width: 100%;
        height: 100%;
        object-fit: cover;
        transform: scaleX(-1);
      }

      .devices {
        display: grid;
        gap: 16px;
      }

      label {
        display: grid;
        gap: 4px;
        font-size: var(--text-s);
        font-weight: 600;
      }

      select {
        width: 100%;
        min-height: 48px;
        padding: 0 12px;
        border: 1px solid var(--edge);
        border-radius: var(--radius);
        background: var(--card);
        color: var(--ink);
        font: inherit;
        font-weight: 400;
        font-size: var(--text-m);
        text-overflow: ellipsis;
      }

      .sound {
        display: grid;
        gap: 8px;
      }

      .problem {
        display: grid;
        gap: 4px;
        padding: 12px 16px;
        border-radius: var(--radius);
        background: var(--plum-soft);
        font-size: var(--text-s);
      }

      .problem button {
        justify-self: start;
        min-height: 32px;
        padding: 0;
        border: 0;
        background: none;
        color: var(--plum-text);
        font: inherit;
        font-weight: 600;
        text-decoration: underline;
        cursor: pointer;
      }

      .join {
        width: 100%;
      }

      @media (max-width: 480px) {
        .card {
          gap: 16px;
        }
      }
    `,
  ];

  @property({ attribute: false }) session!: RoomSession;
  @state() private devices: Record<Device, MediaDeviceInfo[]> = { camera: [], microphone: [] };
  @state() private slow = false;

  readonly #devicesChanged = () => void this.#list();
  #slowTimer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    super();
    new Following(this, () => this.session);
  }

  override connectedCallback() {
    super.connectedCallback();
    navigator.mediaDevices?.addEventListener("devicechange", this.#devicesChanged);
    this.session.addEventListener("change", this.#devicesChanged);
    this.#slowTimer = setTimeout(() => (this.slow = true), 5_000);
    void this.#list();
  }

  override disconnectedCallback() {
    super.disconnectedCallback();
    navigator.mediaDevices?.removeEventListener("devicechange", this.#devicesChanged);
    this.session.removeEventListener("change", this.#devicesChanged);
    clearTimeout(this.#slowTimer);
  }

  override render() {
    const { local, phase } = this.session;
    const checking = phase === "checking";
    return html`
      <main class="page">
        <div class="brand">${mark} Plumm</div>
        <section class="card" aria-busy=${checking}>
          <h1>Ready to join?</h1>
          <div class="picture">${this.#picture()}</div>
          <div class="devices">
            ${this.#picker("camera")}
            <div class="sound">
              ${this.#picker("microphone")}
              <plumm-microphone-level
                ?hidden=${local.track("microphone") === null}
                .track=${local.track("microphone")}
              ></plumm-microphone-level>
            </div>
          </div>
          <div role="status">${this.#problems()}</div>
          <button class="button join" ?disabled=${checking} @click=${() => this.session.join()}>
            Join
          </button>
        </section>
      </main>
    `;
  }

  #picture() {
    const { local, phase } = this.session;
    if (local.picture !== undefined) {
      return html`<video
        data-local
        aria-label="Your picture"
        .srcObject=${local.picture}
        autoplay
        playsinline
        .muted=${true}
      ></video>`;
    }
    if (phase === "checking") {
      return this.slow ? html`<p>The server has not answered yet. We keep trying.</p>` : nothing;
    }
    if (local.opening("camera")) {
      return html`<p>
        ${this.slow ? "Your browser asks to use your camera. Choose Allow." : "Starting your camera…"}
      </p>`;
    }
    return html`${cameraOff}<p>Your camera is off</p>`;
  }

  #picker(source: Device) {
    const chosen = chosenDevice(source);
    const current = this.session.local.track(source)?.getSettings().deviceId;
    const selected = chosen === NO_DEVICE ? NO_DEVICE : (current ?? chosen ?? "");
    const devices = this.devices[source];
    const problem = this.session.local.problem(source);
    return html`<label>
      ${LABEL[source]}
      <select
        .value=${live(selected)}
        ?disabled=${this.session.phase === "checking" || (problem !== undefined && devices.length === 0)}
        @change=${(event: Event) => this.#pick(source, (event.target as HTMLSelectElement).value)}
      >
        ${
          devices.some((device) => device.deviceId === selected) || selected === NO_DEVICE
            ? nothing
            : html`<option value=${selected} selected>
              ${problem === undefined ? "Waiting for your browser" : "Not available"}
            </option>`
        }
        ${devices.map(
          ({ deviceId, label }) =>
            html`<option value=${deviceId} ?selected=${deviceId === selected}>${label}</option>`,
        )}
        <option value=${NO_DEVICE} ?selected=${selected === NO_DEVICE}>
          No ${LABEL[source].toLowerCase()}
        </option>
      </select>
    </label>`;
  }

  #problems() {
    const { local } = this.session;
    const { problems } = local;
    const sentences = devicesWords(problems, "Try again");
    if (sentences.length === 0) return nothing;
    const without = joinWithout(problems.microphone === undefined, problems.camera === undefined);
    return html`<div class="problem">
      ${sentences.map((sentence) => html`<p>${sentence}</p>`)}
      <p>${without}</p>
      <button @click=${() => void local.open(["microphone", "camera"])}>Try again</button>
    </div>`;
  }

  #pick(source: Device, deviceId: string): void {
    chooseDevice(source, deviceId);
    void this.session.local.reopen(source);
  }

  async #list(): Promise<void> {
    const [cameras, microphones] = await Promise.all([
      listDevices("camera"),
      listDevices("microphone"),
    ]);
    this.devices = { camera: cameras, microphone: microphones };
  }
}
