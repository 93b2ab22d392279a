import { css, html, LitElement } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { base, buttons } from "../styles/shared";

/** Asks the therapist once before the session ends for everyone. */
@customElement("plumm-end-dialog")
export class PlummEndDialog extends LitElement {
  static override styles = [
    base,
    buttons,
    css`
      dialog {
        width: min(440px, calc(100vw - 32px));
        padding: 28px;
        border: 0;
        border-radius: 20px;
        background: var(--card);
        color: var(--ink);
        box-shadow: 0 24px 64px rgb(0 0 0 / 45%);
      }

      dialog::backdrop {
        background: rgb(21 16 26 / 60%);
      }

      .words {
        display: grid;
        gap: 12px;
      }

      h2 {
        font-size: var(--text-l);
        line-height: 1.3;
        text-wrap: balance;
      }

      p {
        color: var(--muted);
      }

      .answers {
        display: flex;
        justify-content: flex-end;
        gap: 12px;
        margin-top: 24px;
      }

      @media (max-width: 480px) {
        dialog {
          margin-bottom: 16px;
          padding: 24px;
        }

        .answers {
          flex-direction: column-reverse;
        }
      }
    `,
  ];

  @property() question = "";
  @property() facts = "";
  /** Ends the session; true when the server did. */
  @property({ attribute: false }) end!: () => Promise<boolean>;
  @state() private ending = false;
  @query("dialog") private dialog!: HTMLDialogElement;

  override render() {
    return html`<dialog aria-labelledby="question" aria-describedby="facts">
      <div class="words">
        <h2 id="question">${this.question}</h2>
        <p id="facts">${this.facts}</p>
      </div>
      <div class="answers">
        <button class="button quiet" autofocus @click=${() => this.dialog.close()}>Keep talking</button>
        <button class="button danger" ?disabled=${this.ending} @click=${this.#confirm}>
          End session
        </button>
      </div>
    </dialog>`;
  }

  get open(): boolean {
    return this.dialog?.open ?? false;
  }

  ask(): void {
    if (!this.dialog.open) this.dialog.showModal();
  }

  async #confirm(): Promise<void> {
    this.ending = true;
    await this.end();
    this.ending = false;
    this.dialog.close();
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "plumm-end-dialog": PlummEndDialog;
  }
}
