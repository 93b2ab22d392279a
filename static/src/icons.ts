/** Our own icons: 24 × 24, one stroke, in the colour of the text. Decoration: names are on the buttons. */

import { html, type SVGTemplateResult, svg, type TemplateResult } from "lit";

function icon(shape: SVGTemplateResult): TemplateResult {
  return html`<svg
    width="24"
    height="24"
    viewBox="0 0 24 24"
    fill="none"
    stroke="currentColor"
    stroke-width="1.8"
    stroke-linecap="round"
    stroke-linejoin="round"
    aria-hidden="true"
  >
    ${shape}
  </svg>`;
}

const strike = svg`<path d="M4 4l16 16" />`;

export const refresh = icon(
  svg`<path d="M19.5 12a7.5 7.5 0 1 1-2.2-5.3L19.5 9" /><path d="M19.5 4.2V9h-4.8" />`,
);

export const enterFullscreen = icon(
  svg`<path d="M4.5 9V6a1.5 1.5 0 0 1 1.5-1.5h3M15 4.5h3A1.5 1.5 0 0 1 19.5 6v3M19.5 15v3a1.5 1.5 0 0 1-1.5 1.5h-3M9 19.5H6A1.5 1.5 0 0 1 4.5 18v-3" />`,
);

export const exitFullscreen = icon(
  svg`<path d="M9 4.5v3A1.5 1.5 0 0 1 7.5 9h-3M19.5 9h-3A1.5 1.5 0 0 1 15 7.5v-3M15 19.5v-3a1.5 1.5 0 0 1 1.5-1.5h3M4.5 15h3A1.5 1.5 0 0 1 9 16.5v3" />`,
);

export const microphone = icon(
  svg`<rect x="9" y="3.5" width="6" height="11" rx="3" /><path d="M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3" />`,
);

export const microphoneOff = icon(
  svg`<path d="M15 10V6.500a3 3 0 0 0-5.8-1.080M9 9v2.500a3 3 0 0 0 4.6 2.540M5.5 11.500a6.5 6.5 0 0 0 10.4 5.200M18.5 11.500a6.47 6.47 0 0 1-.6 2.730M12 18v3" />${strike}`,
);

export const camera = icon(
  svg`<rect x="3" y="6.5" width="12.5" height="11" rx="2.5" /><path d="M15.5 10.800l5.5-3v8.400l-5.5-3" />`,
);

export const cameraOff = icon(
  svg`<path d="M9.3 6.500H13A2.5 2.5 0 0 1 15.5 9v1.800l5.5-3v8.400l-3-1.640M14.8 16.700a2.49 2.49 0 0 1-1.8.8H5.500A2.5 2.5 0 0 1 3 15V9a2.5 2.5 0 0 1 2-2.45" />${strike}`,
);

export const shareScreen = icon(
  svg`<rect x="3" y="4.5" width="18" height="12" rx="2" /><path d="M8.5 20h7M12 13.500V8M9.3 10.400L12 7.700l2.7 2.700" />`,
);

export const close = icon(svg`<path d="M6 6l12 12M18 6L6 18" />`);

export const hide = icon(svg`<path d="M6 9l6 6 6-6" />`);

export const person = icon(
  svg`<circle cx="12" cy="8" r="3.75" /><path d="M4.75 20a7.25 7.25 0 0 1 14.5 0" />`,
);

export const copy = icon(
  svg`<rect x="8.5" y="8.5" width="11" height="11" rx="2.5" /><path d="M15.5 8.500V7A2.5 2.5 0 0 0 13 4.500H7A2.5 2.5 0 0 0 4.5 7v6A2.5 2.5 0 0 0 7 15.500h1.5" />`,
);

export const check = icon(svg`<path d="M5 12.500l4.5 4.500L19 7.5" />`);

export const download = icon(
  svg`<path d="M12 4.500v10.500M7.500 10.800L12 15.300l4.500-4.500M5 19.500h14" />`,
);

export const calendar = icon(
  svg`<rect x="4" y="5.5" width="16" height="14" rx="2.5" /><path d="M4 10.500h16M8.500 3.500v4M15.500 3.500v4" />`,
);

export const gauge = icon(
  svg`<path d="M5 18a8.500 8.500 0 1 1 14 0" /><path d="M12 14.500l3.500-4.500" />`,
);

/** Two people, one conversation. */
export const mark = html`<svg width="32" height="32" viewBox="0 0 32 32" aria-hidden="true">
  <circle cx="12.5" cy="17" r="10" fill="currentColor" />
  <circle cx="21" cy="13" r="8" fill="currentColor" opacity=".45" />
</svg>`;
