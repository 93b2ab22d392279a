import { css, html, nothing, type TemplateResult } from "lit";
import type { Quality } from "../signaling/protocol";

const LIT: Record<Quality, number> = { good: 3, fair: 2, poor: 1 };

/** How good somebody's connection is, as the server measures it; nothing while it does not know. */
export function qualityBars(
  quality: Quality | null,
  whose: string,
): TemplateResult | typeof nothing {
  if (quality === null) return nothing;
  return html`<span class="bars ${quality}" role="img" aria-label="${whose} connection: ${quality}">
    ${[1, 2, 3].map((bar) => html`<i class=${bar <= LIT[quality] ? "lit" : ""}></i>`)}
  </span>`;
}

export const barsStyle = css`
  .bars {
    display: inline-flex;
    flex: none;
    align-items: flex-end;
    gap: 2px;
    height: 14px;
  }

  .bars i {
    width: 4px;
    border-radius: 1px;
    background: rgb(255 255 255 / 28%);
  }

  .bars i:nth-child(1) {
    height: 6px;
  }

  .bars i:nth-child(2) {
    height: 10px;
  }

  .bars i:nth-child(3) {
    height: 14px;
  }

  .bars .lit {
    background: var(--stage-green);
  }

  .bars.fair .lit,
  .bars.poor .lit {
    background: var(--stage-amber);
  }
`;
