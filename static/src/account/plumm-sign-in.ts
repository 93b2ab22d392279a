import { html, LitElement, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { mark } from "../icons";
import { forms } from "../styles/forms";
import { base, buttons, card } from "../styles/shared";
import { nextAddress, RESET, wasAway } from "./address";
import { ask, type Me } from "./api";
import { problemWords } from "./words";

/** The sign-in page: e-mail and password, then on to where one wanted to go. */
@customElement("plumm-sign-in")
export class PlummSignIn extends LitElement {
  static override styles = [base, buttons, card, forms];

  @state() private busy = false;
  @state() private problem: string | undefined;

  override connectedCallback() {
    super.connectedCallback();
    void this.#goOnIfSignedIn();
  }

  override render() {
    return html`<div class="page">
      <a class="brand" href="/">${mark} Plumm</a>
      <main class="card">
        <h1>Sign in</h1>
        <p class="muted">${this.#greeting()}</p>
        <form @submit=${this.#submit}>
          <label
            >E-mail
            <input name="email" type="email" autocomplete="username" required autofocus />
          </label>
          <label
            >Password
            <input name="password" type="password" autocomplete="current-password" required />
          </label>
          <p class="problem" role="alert" ?hidden=${this.problem === undefined}>
            ${this.problem ?? nothing}
          </p>
          <button class="button" ?disabled=${this.busy}>Sign in</button>
        </form>
        <p class="aside"><a href=${RESET}>Forgot your password?</a></p>
      </main>
    </div>`;
  }

  #greeting(): string {
    if (wasAway(location.search)) {
      return "You were away for a while, so we signed you out to keep your sessions private. Sign in, and you are back where you were.";
    }
    return nextAddress(location.search).startsWith("/room/")
      ? "Sign in, and we take you straight to your session."
      : "Good to see you. Your sessions are one step away.";
  }

  async #goOnIfSignedIn(): Promise<void> {
    const me = await ask<Me>("GET", "/api/me").catch(() => undefined);
    if (me !== undefined) this.#goOn();
  }

  #goOn(): void {
    location.replace(nextAddress(location.search));
  }

  readonly #submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    this.busy = true;
    this.problem = undefined;
    try {
      await ask<Me>("POST", "/api/sign-in", Object.fromEntries(new FormData(form)));
      this.#goOn();
    } catch (error) {
      this.problem = problemWords(error);
      this.busy = false;
      form.querySelector<HTMLInputElement>("[name=password]")?.select();
    }
  };
}
