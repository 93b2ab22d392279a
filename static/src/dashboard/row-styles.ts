/** How one session looks in the list. */

import { css } from "lit";

export const rowStyles = css`
  article {
    display: grid;
    grid-template-columns: auto 1fr auto;
    gap: 4px 16px;
    padding: 20px;
    border: 1px solid var(--line);
    border-radius: 16px;
    background: var(--card);
  }

  article.now {
    border-color: var(--plum-text);
    box-shadow: var(--shadow);
  }

  .face {
    width: 48px;
    height: 48px;
    display: grid;
    place-items: center;
    border-radius: 50%;
    background: var(--plum-soft);
    color: var(--plum-text);
    font-weight: 650;
  }

  .facts {
    display: grid;
    gap: 4px;
    min-width: 0;
  }

  h3 {
    margin: 0;
    font-size: var(--text-m);
    overflow-wrap: anywhere;
  }

  .when,
  .opens,
  dd {
    font-variant-numeric: tabular-nums;
  }

  .when span,
  .button {
    white-space: nowrap;
  }

  .small {
    color: var(--muted);
    font-size: var(--text-s);
  }

  .state {
    justify-self: start;
    padding: 0 8px;
    border-radius: 8px;
    background: var(--plum-soft);
    color: var(--plum-text);
    font-size: var(--text-s);
    font-weight: 600;
  }

  .actions {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    justify-content: end;
    align-self: center;
    gap: 8px;
    max-width: 400px;
  }

  .actions svg {
    width: 20px;
    height: 20px;
  }

  .button.quiet {
    padding: 0 16px;
  }

  .more {
    grid-column: 2 / -1;
    display: grid;
    gap: 12px;
    margin-top: 8px;
  }

  .ask {
    display: grid;
    gap: 12px;
    justify-items: start;
    padding: 16px;
    border-radius: var(--radius);
    background: var(--ground);
  }

  summary {
    min-height: 24px;
    color: var(--plum-text);
    font-size: var(--text-s);
    cursor: pointer;
  }

  dl {
    display: grid;
    grid-template-columns: auto 1fr;
    gap: 4px 16px;
    margin: 8px 0 0;
    font-size: var(--text-s);
  }

  dd {
    margin: 0;
    color: var(--muted);
  }

  @media (max-width: 720px) {
    article {
      grid-template-columns: auto 1fr;
      padding: 16px;
    }

    .actions,
    .more {
      grid-column: 1 / -1;
      max-width: none;
    }

    .actions {
      justify-content: stretch;
      margin-top: 12px;
    }

    .actions > .button {
      flex: 1 1 auto;
    }

    .opens {
      flex: 1 1 100%;
    }
  }
`;
