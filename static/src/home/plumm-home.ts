import { css, html, LitElement, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { SIGN_IN } from "../account/address";
import { check, copy, mark } from "../icons";
import { base, buttons, card } from "../styles/shared";
import { type Demo, startDemo } from "./demo";

const COPIED_FOR_MS = 2_000;

/** The start page: what Plumm is, and a way to see it. */
@customElement("plumm-home")
export class PlummHome extends LitElement {
  static override styles = [
    base,
    buttons,
    card,
    css`
      .page {
        position: relative;
        overflow: hidden;
        isolation: isolate;
      }

      /* The mark, large and quiet. */
      .page::before,
      .page::after {
        content: "";
        position: absolute;
        z-index: -1;
        border-radius: 50%;
        background: var(--plum-soft);
      }

      .page::before {
        width: 62vmin;
        height: 62vmin;
        right: max(-30vmin, calc(50% - 640px));
        bottom: -20vmin;
      }

      .page::after {
        width: 40vmin;
        height: 40vmin;
        right: max(-24vmin, calc(50% - 760px));
        bottom: 22vmin;
        opacity: 0.6;
      }

      .welcome {
        align-self: center;
        width: 100%;
        max-width: 1080px;
        display: grid;
        gap: 24px;
        padding: 48px 0;
      }

      .welcome > * {
        max-width: 600px;
      }

      h1 {
        font-size: clamp(2rem, 6vw, 3rem);
        line-height: 1.1;
      }

      .lead {
        font-size: var(--text-l);
        color: var(--muted);
      }

      .start {
        justify-self: start;
      }

      .links {
        padding: 8px 24px;
        gap: 0;
      }

      .link {
        display: grid;
        grid-template-columns: 1fr auto auto;
        align-items: center;
        gap: 12px;
        padding: 16px 0;
      }

      .link + .link {
        border-top: 1px solid var(--line);
      }

      h2 {
        font-size: var(--text-m);
      }

      .top {
        justify-self: stretch;
        display: flex;
        align-items: center;
        justify-content: space-between;
      }

      .who .muted {
        overflow-wrap: anywhere;
      }

      .copy {
        min-width: 128px;
        padding: 0 16px;
        white-space: nowrap;
      }

      .copy svg {
        width: 20px;
        height: 20px;
      }

      footer {
        color: var(--muted);
        font-size: var(--text-s);
        text-align: center;
      }

      .account {
        display: flex;
        flex-wrap: wrap;
      }

      .account .who {
        flex: 1 1 100%;
      }

      .account .copy {
        flex: 1 1 auto;
      }

      @media (max-width: 560px) {
        .link {
          grid-template-columns: 1fr 1fr;
        }

        .who {
          grid-column: 1 / -1;
        }
      }
    `,
  ];

  @state() private demo: Demo | "off" | "failed" | "starting" | undefined;
  @state() private copied: string | undefined;

  override render() {
    return html`<div class="page">
      <header class="top">
        <span class="brand">${mark} Plumm</span>
        <a class="button quiet" href=${SIGN_IN}>Sign in</a>
      </header>
      <main class="welcome">
        <h1>A quiet room for the two of you.</h1>
        <p class="lead">
          Plumm is the private video room where therapists and their clients meet, in the browser and
          with nothing to install. Picture and sound travel through this server alone, and nothing is
          recorded.
        </p>
        ${this.#action()}
      </main>
      <span class="unseen" role="status">${this.copied === undefined ? nothing : "Copied"}</span>
      <footer>Nothing to install: open it in a current Chrome, Edge or Firefox.</footer>
    </div>`;
  }

  #action() {
    if (typeof this.demo === "object") {
      return html`<section class="card links" aria-label="Your demo session">
        ${this.#link("Therapist", "Leads the session and ends it.", this.demo.therapist_url)}
        ${this.#link("Client", "Open it in a second window, or send it on.", this.demo.client_url)}
      </section>
      <section class="card links" aria-label="Your demo accounts">
        ${this.demo.accounts.map((account) => this.#account(account))}
      </section>`;
    }
    if (this.demo === "off") {
      return html`<p role="status">
        This server offers no demo sessions. Open the link from your invitation to join a session.
      </p>`;
    }
    return html`<button
        class="button start"
        ?disabled=${this.demo === "starting"}
        @click=${this.#start}
      >
        Start a demo session
      </button>
      <p role="status" ?hidden=${this.demo !== "failed"}>
        ${this.demo === "failed" ? "That did not work just now. Try again in a moment." : nothing}
      </p>`;
  }

  #link(who: string, what: string, url: string) {
    return html`<div class="link">
      <div class="who">
        <h2>${who}</h2>
        <p class="muted">${what}</p>
      </div>
      ${this.#copyButton(url, "Copy link", who.toLowerCase())}
      <a class="button" href=${url} target="_blank" rel="noopener"
        >Open<span class="unseen"> as ${who.toLowerCase()}</span></a
      >
    </div>`;
  }

  #account({ role, email, password }: Demo["accounts"][number]) {
    return html`<div class="link account">
      <div class="who">
        <h2>${role === "therapist" ? "The therapist's account" : "The client's account"}</h2>
        <p class="muted">${email}</p>
        <p class="muted">Password: ${password}</p>
      </div>
      ${this.#copyButton(email, "Copy e-mail", role)}
      ${this.#copyButton(password, "Copy password", role)}
    </div>`;
  }

  #copyButton(what: string, label: string, who: string) {
    const copied = this.copied === what;
    return html`<button
      class="button quiet copy"
      ?hidden=${navigator.clipboard === undefined}
      @click=${() => this.#copy(what)}
    >
      ${copied ? check : copy} ${copied ? "Copied" : label}<span class="unseen"> for the ${who}</span>
    </button>`;
  }

  readonly #start = async () => {
    this.demo = "starting";
    this.demo = await startDemo();
  };

  /** Browsers offer the clipboard to secure pages only; elsewhere the button is not there. */
  async #copy(what: string): Promise<void> {
    await navigator.clipboard.writeText(what);
    this.copied = what;
    setTimeout(() => (this.copied = undefined), COPIED_FOR_MS);
  }
}
