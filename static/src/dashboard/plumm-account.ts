import { css, html, LitElement } from "lit";
import { customElement, property } from "lit/decorators.js";
import { SIGN_IN } from "../account/address";
import { ask, type Me } from "../account/api";
import { initials } from "../room/words";
import { base, buttons } from "../styles/shared";

/** Who is signed in, and the ways out. Dispatches "plumm-problem" with what went wrong. */
@customElement("plumm-account")
export class PlummAccount extends LitElement {
  static override styles = [
    base,
    buttons,
    css`
      details {
        position: relative;
      }

      summary {
        display: flex;
        align-items: center;
        gap: 12px;
        min-height: 48px;
        padding: 4px 8px;
        border-radius: var(--radius);
        list-style: none;
        cursor: pointer;
      }

      summary::-webkit-details-marker {
        display: none;
      }

      summary:hover {
        background: var(--plum-soft);
      }

      .face {
        flex: none;
        width: 40px;
        height: 40px;
        display: grid;
        place-items: center;
        border-radius: 50%;
        background: var(--plum);
        color: #fff;
        font-size: var(--text-s);
        font-weight: 650;
      }

      .name {
        min-width: 0;
        overflow-wrap: anywhere;
        font-weight: 600;
      }

      .ways {
        position: absolute;
        z-index: 2;
        right: 0;
        top: calc(100% + 8px);
        width: max(100%, 280px);
        display: grid;
        gap: 8px;
        padding: 16px;
        border: 1px solid var(--line);
        border-radius: 16px;
        background: var(--card);
        box-shadow: var(--shadow);
      }

      .muted {
        color: var(--muted);
        font-size: var(--text-s);
        overflow-wrap: anywhere;
      }

      @media (min-width: 900px) {
        .ways {
          right: auto;
          left: 0;
          top: auto;
          bottom: calc(100% + 8px);
        }
      }

      @media (max-width: 899px) {
        .name {
          position: absolute;
          clip-path: inset(50%);
        }
      }
    `,
  ];

  @property({ attribute: false }) me!: Me;

  override render() {
    const { name, email } = this.me;
    return html`<details @keydown=${this.#closeOnEscape} @focusout=${this.#closeOnLeaving}>
      <summary>
        <span class="face" aria-hidden="true">${initials(name)}</span>
        <span class="unseen">Your account,</span>
        <span class="name">${name}</span>
      </summary>
      <div class="ways">
        <p><strong>${name}</strong></p>
        <p class="muted">${email}</p>
        <button class="button" @click=${() => this.#signOut(false)}>Sign out</button>
        <button class="button quiet" @click=${() => this.#signOut(true)}>
          Sign out everywhere
        </button>
        <p class="muted">Everywhere: on all your devices, and out of a running session.</p>
      </div>
    </details>`;
  }

  async #signOut(everywhere: boolean): Promise<void> {
    try {
      await ask("POST", "/api/sign-out", { everywhere });
      location.assign(SIGN_IN);
    } catch (detail) {
      this.dispatchEvent(new CustomEvent("plumm-problem", { detail }));
    }
  }

  readonly #closeOnEscape = (event: KeyboardEvent) => {
    if (event.key !== "Escape") return;
    const details = event.currentTarget as HTMLDetailsElement;
    details.open = false;
    details.querySelector("summary")?.focus();
  };

  readonly #closeOnLeaving = (event: FocusEvent) => {
    const details = event.currentTarget as HTMLDetailsElement;
    const to = event.relatedTarget;
    if (to instanceof Node && !details.contains(to)) details.open = false;
  };
}
