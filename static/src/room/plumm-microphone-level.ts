import { css, html, LitElement, type PropertyValues } from "lit";
import { customElement, property } from "lit/decorators.js";
import { base } from "../styles/shared";

/** How loud the own microphone is, as a bar; shows that one can be heard before joining. */
@customElement("plumm-microphone-level")
export class PlummMicrophoneLevel extends LitElement {
  static override styles = [
    base,
    css`
      :host {
        display: block;
        height: 8px;
        border-radius: 4px;
        background: var(--line);
        overflow: hidden;
      }

      div {
        height: 100%;
        border-radius: inherit;
        background: var(--green);
        transform-origin: left;
        transform: scaleX(var(--level, 0));
      }
    `,
  ];

  @property({ attribute: false }) track: MediaStreamTrack | null = null;

  #context: AudioContext | undefined;
  #frame = 0;
  // Browsers may hold an audio context back until the person has touched the page.
  readonly #resume = () => void this.#context?.resume();

  override render() {
    return html`<div></div>`;
  }

  override connectedCallback() {
    super.connectedCallback();
    this.setAttribute("role", "meter");
    this.setAttribute("aria-label", "Microphone level");
    this.setAttribute("aria-valuemin", "0");
    this.setAttribute("aria-valuemax", "100");
    window.addEventListener("pointerdown", this.#resume);
    window.addEventListener("keydown", this.#resume);
  }

  override disconnectedCallback() {
    super.disconnectedCallback();
    window.removeEventListener("pointerdown", this.#resume);
    window.removeEventListener("keydown", this.#resume);
    this.#stop();
  }

  override updated(changed: PropertyValues<this>) {
    if (!changed.has("track")) return;
    this.#stop();
    if (this.track !== null) this.#listen(this.track);
  }

  #listen(track: MediaStreamTrack): void {
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    // 1024 samples are 21 ms at 48 kHz: one picture frame's worth of sound.
    analyser.fftSize = 1024;
    context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    this.#context = context;
    const samples = new Float32Array(analyser.fftSize);
    let shown = 0;
    const draw = () => {
      analyser.getFloatTimeDomainData(samples);
      const rms = Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);
      // −60 dB (a quiet room) to 0 dB, rising at once and falling slowly, as ears expect.
      const level = rms === 0 ? 0 : Math.max(0, 1 + Math.log10(rms) / 3);
      shown = Math.max(level, shown * 0.92);
      this.style.setProperty("--level", shown.toFixed(3));
      this.setAttribute("aria-valuenow", String(Math.round(shown * 100)));
      this.#frame = requestAnimationFrame(draw);
    };
    draw();
  }

  #stop(): void {
    cancelAnimationFrame(this.#frame);
    void this.#context?.close();
    this.#context = undefined;
    this.style.setProperty("--level", "0");
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "plumm-microphone-level": PlummMicrophoneLevel;
  }
}
