/** Fields with their labels, and what is said about them. */

import { css } from "lit";

export const forms = css`
  form {
    display: grid;
    gap: 16px;
  }

  label {
    display: grid;
    gap: 4px;
    font-weight: 600;
  }

  input {
    width: 100%;
    min-height: 48px;
    padding: 0 12px;
    border: 1px solid var(--edge);
    border-radius: var(--radius);
    background: var(--ground);
    color: inherit;
    font: inherit;
  }

  .hint {
    font-weight: 400;
    font-size: var(--text-s);
    color: var(--muted);
  }

  .problem {
    padding: 12px 16px;
    border-left: 4px solid var(--red);
    border-radius: 8px;
    background: var(--problem);
  }

  .aside {
    font-size: var(--text-s);
  }

  a:not(.button, .brand) {
    color: var(--plum-text);
    text-underline-offset: 3px;
  }
`;
