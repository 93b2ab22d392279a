import { html, LitElement, nothing } from "lit";
import { customElement, property } from "lit/decorators.js";
import { mark } from "../icons";
import { base, buttons, card } from "../styles/shared";

/** A calm page with one card: a heading, what happened, what comes next. Buttons go in the slot. */
@customElement("plumm-page")
export class PlummPage extends LitElement {
  static override styles = [base, buttons, card];

  @property() override title = "";
  @property() text = "";
  @property() next = "";

  override render() {
    return html`
      <main class="page">
        <div class="brand">${mark} Plumm</div>
        <section class="card">
          <h1 tabindex="-1">${this.title}</h1>
          <p>${this.text}</p>
          ${this.next === "" ? nothing : html`<p class="muted">${this.next}</p>`}
          <slot></slot>
        </section>
      </main>
    `;
  }

  /** The page took the place of another: a screen reader is to hear its heading. */
  override firstUpdated() {
    this.renderRoot.querySelector<HTMLElement>("h1")?.focus();
  }
}
