import { html, LitElement, nothing, type TemplateResult } from "lit";
import { customElement, state } from "lit/decorators.js";
import { mark } from "../icons";
import { forms } from "../styles/forms";
import { base, buttons, card } from "../styles/shared";
import { RESET, SIGN_IN } from "./address";
import { ask } from "./api";
import { problemWords } from "./words";

/**
 * Forgotten password: asks for a mail, or, opened from its link, for the new password.
 * The token is in the fragment, which never leaves the browser by itself.
 */
@customElement("plumm-reset")
export class PlummReset extends LitElement {
  static override styles = [base, buttons, card, forms];

  readonly #token = location.hash.slice(1);
  @state() private busy = false;
  @state() private done = false;
  @state() private problem: string | undefined;

  override render() {
    return html`<div class="page">
      <a class="brand" href="/">${mark} Plumm</a>
      <main class="card">${this.#content()}</main>
    </div>`;
  }

  override updated(changed: Map<PropertyKey, unknown>) {
    // The form went: a screen reader is to hear what took its place.
    if (changed.has("done") && this.done) this.renderRoot.querySelector("h1")?.focus();
  }

  #content(): TemplateResult {
    if (this.#token === "") return this.done ? this.#sent() : this.#askForMail();
    return this.done ? this.#chosen() : this.#choose();
  }

  #askForMail() {
    return html`<h1>Choose a new password</h1>
      <p class="muted">Tell us your e-mail address, and we send you a link for it.</p>
      <form @submit=${(event: SubmitEvent) => this.#send(event, "/api/password-reset", {})}>
        <label
          >E-mail
          <input name="email" type="email" autocomplete="username" required autofocus />
        </label>
        ${this.#problem()}
        <button class="button" ?disabled=${this.busy}>Send me a link</button>
      </form>
      <p class="aside"><a href=${SIGN_IN}>Back to sign in</a></p>`;
  }

  #sent() {
    return html`<h1 tabindex="-1">Look into your mail</h1>
      <p>
        If there is an account with this address, a link to choose a new password is on its way. It
        may take a minute; look among the unwanted mail, too.
      </p>
      <p class="aside"><a href=${SIGN_IN}>Back to sign in</a></p>`;
  }

  #choose() {
    return html`<h1>Choose a new password</h1>
      <p class="muted">With it you are signed out everywhere, and sign in anew.</p>
      <form
        @submit=${(event: SubmitEvent) =>
          this.#send(event, "/api/password-reset/choose", { token: this.#token })}
      >
        <label
          >New password
          <span class="hint">12 characters or more. A few words in a row are easy to keep in mind.</span>
          <input
            name="password"
            type="password"
            autocomplete="new-password"
            minlength="12"
            required
            autofocus
          />
        </label>
        ${this.#problem()}
        <button class="button" ?disabled=${this.busy}>Save the password</button>
      </form>
      <p class="aside"><a href=${RESET} @click=${this.#startOver}>Ask for a new link</a></p>`;
  }

  #chosen() {
    return html`<h1 tabindex="-1">Your new password is set</h1>
      <p>Sign in with it, and you are back at your sessions.</p>
      <a class="button" href=${SIGN_IN}>Sign in</a>`;
  }

  #problem() {
    return html`<p class="problem" role="alert" ?hidden=${this.problem === undefined}>
      ${this.problem ?? nothing}
    </p>`;
  }

  /** To the same address without its fragment a browser would not go by itself. */
  readonly #startOver = (event: Event) => {
    event.preventDefault();
    history.replaceState(undefined, "", RESET);
    location.reload();
  };

  async #send(event: SubmitEvent, path: string, more: object): Promise<void> {
    event.preventDefault();
    const typed = Object.fromEntries(new FormData(event.target as HTMLFormElement));
    this.busy = true;
    this.problem = undefined;
    try {
      await ask("POST", path, { ...typed, ...more });
      this.done = true;
    } catch (error) {
      this.problem = problemWords(error);
    }
    this.busy = false;
  }
}
