import type { ReactiveController, ReactiveControllerHost } from "lit";

/** Renders an element again whenever what it shows says "change". */
export class Following implements ReactiveController {
  readonly #host: ReactiveControllerHost;
  readonly #source: () => EventTarget;
  #followed: EventTarget | undefined;
  readonly #update = () => this.#host.requestUpdate();

  constructor(host: ReactiveControllerHost, source: () => EventTarget) {
    this.#host = host;
    this.#source = source;
    host.addController(this);
  }

  hostConnected(): void {
    this.#followed = this.#source();
    this.#followed.addEventListener("change", this.#update);
  }

  hostDisconnected(): void {
    this.#followed?.removeEventListener("change", this.#update);
  }
}
