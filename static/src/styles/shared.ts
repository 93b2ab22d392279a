/** What several elements wear: buttons, cards, the focus ring. */

import { css } from "lit";

export const base = css`
  :host {
    box-sizing: border-box;
  }

  :host([hidden]),
  [hidden] {
    display: none !important;
  }

  *,
  *::before,
  *::after {
    box-sizing: inherit;
  }

  h1,
  h2,
  p {
    margin: 0;
  }

  h1 {
    font-size: var(--text-xl);
    line-height: 1.2;
    font-weight: 650;
    letter-spacing: -0.015em;
    text-wrap: balance;
  }

  /* Focused by the page for screen readers, not by the person. */
  h1:focus {
    outline: none;
  }

  p {
    text-wrap: pretty;
  }

  svg {
    display: block;
    flex: none;
  }

  :focus-visible {
    outline: 3px solid var(--focus);
    outline-offset: 2px;
  }

  .unseen {
    position: absolute;
    width: 1px;
    height: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }

  @media (prefers-reduced-motion: reduce) {
    *,
    *::before,
    *::after {
      transition: none !important;
      animation: none !important;
    }
  }
`;

export const buttons = css`
  .button {
    display: inline-flex;
    align-items: center;
    justify-content: center;
    gap: 8px;
    min-height: 48px;
    padding: 0 24px;
    border: 1px solid transparent;
    border-radius: var(--radius);
    font: inherit;
    font-weight: 600;
    text-decoration: none;
    cursor: pointer;
    background: var(--plum);
    color: #fff;
    transition: background-color 120ms;
  }

  .button:hover {
    background: var(--plum-strong);
  }

  .button.quiet {
    background: none;
    border-color: var(--edge);
    color: var(--ink);
  }

  .button.quiet:hover {
    background: var(--plum-soft);
  }

  .button.danger {
    background: var(--red);
  }

  .button.danger:hover {
    background: var(--red-strong);
  }

  .button[disabled] {
    cursor: default;
    background: var(--line);
    color: var(--muted);
  }
`;

export const card = css`
  .page {
    min-height: 100dvh;
    display: grid;
    grid-template-rows: auto 1fr auto;
    justify-items: center;
    padding: 24px 16px;
    background: var(--ground);
    color: var(--ink);
  }

  .brand {
    justify-self: start;
    display: flex;
    align-items: center;
    gap: 8px;
    color: var(--plum-text);
    font-weight: 650;
    font-size: var(--text-l);
    letter-spacing: -0.01em;
    text-decoration: none;
  }

  .card {
    align-self: center;
    width: 100%;
    max-width: 480px;
    display: grid;
    gap: 16px;
    padding: 32px;
    border: 1px solid var(--line);
    border-radius: 20px;
    background: var(--card);
    box-shadow: var(--shadow);
  }

  .card > * {
    min-width: 0;
  }

  .muted {
    color: var(--muted);
  }

  @media (min-width: 900px) {
    .page {
      padding: 28px 40px;
    }
  }

  @media (max-width: 480px) {
    .card {
      padding: 24px 20px;
    }
  }
`;
