import { css, html, LitElement, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { ask } from "../account/api";
import { problemWords } from "../account/words";
import { mark } from "../icons";
import { forms } from "../styles/forms";
import { base, buttons, card } from "../styles/shared";
import { parts } from "./links";

interface Mail {
  id: string;
  to: string;
  subject: string;
  at: string;
  text: string;
}

/** The mails that a server without a mail server keeps on its disk, newest first. */
@customElement("plumm-mail")
export class PlummMail extends LitElement {
  static override styles = [
    base,
    buttons,
    card,
    forms,
    css`
      main {
        width: 100%;
        max-width: 720px;
        display: grid;
        align-content: start;
        gap: 16px;
        padding: 32px 0;
      }

      .card {
        max-width: none;
        gap: 8px;
        padding: 24px;
        box-shadow: none;
      }

      h2 {
        font-size: var(--text-m);
      }

      .text {
        white-space: pre-wrap;
        overflow-wrap: anywhere;
      }

      .refresh {
        justify-self: start;
      }
    `,
  ];

  @state() private mails: Mail[] | undefined;
  @state() private problem: string | undefined;

  override connectedCallback() {
    super.connectedCallback();
    void this.#load();
  }

  override render() {
    return html`<div class="page">
      <a class="brand" href="/">${mark} Plumm</a>
      <main>
        <h1>Mail</h1>
        <p class="muted">
          This server sends no mail; it keeps every one on its disk and shows it here, on this
          machine alone.
        </p>
        <button class="button quiet refresh" @click=${this.#load}>Look for new mail</button>
        <p class="problem" role="alert" ?hidden=${this.problem === undefined}>
          ${this.problem ?? nothing}
        </p>
        ${this.mails?.length === 0 ? html`<p>There is no mail yet.</p>` : nothing}
        ${this.mails?.map((mail) => this.#mail(mail))}
      </main>
    </div>`;
  }

  #mail({ to, subject, at, text }: Mail) {
    const when = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
    const pieces = parts(text, location.origin).map(({ text, href }) =>
      href === undefined ? text : html`<a href=${href}>${text}</a>`,
    );
    return html`<article class="card">
      <h2>${subject}</h2>
      <p class="muted aside">To ${to}, ${when.format(new Date(at))}</p>
      <p class="text">${pieces}</p>
    </article>`;
  }

  readonly #load = async () => {
    try {
      this.mails = (await ask<{ mails: Mail[] }>("GET", "/api/mail")).mails;
      this.problem = undefined;
    } catch (error) {
      this.problem = problemWords(error);
    }
  };
}
