/** The dashboard's frame: a rail on the left of a desktop, tabs at the bottom of a phone. */

import { css } from "lit";

export const frameStyles = css`
  :host {
    display: block;
    min-height: 100dvh;
    background: var(--ground);
    color: var(--ink);
  }

  .frame {
    display: grid;
    grid-template: "top" auto "main" 1fr / 1fr;
    min-height: 100dvh;
  }

  .top {
    grid-area: top;
    display: flex;
    align-items: center;
    justify-content: space-between;
    padding: 12px 16px;
  }

  main {
    grid-area: main;
    min-width: 0;
    display: grid;
    align-content: start;
    gap: 24px;
    padding: 8px 16px calc(104px + env(safe-area-inset-bottom));
  }

  nav {
    position: fixed;
    z-index: 1;
    inset: auto 0 0;
    display: flex;
    justify-content: space-around;
    padding: 4px 8px env(safe-area-inset-bottom);
    border-top: 1px solid var(--line);
    background: var(--card);
  }

  nav a:not(.button, .brand) {
    display: grid;
    justify-items: center;
    gap: 2px;
    min-width: 96px;
    padding: 8px 12px;
    border-radius: var(--radius);
    font-size: var(--text-s);
    font-weight: 600;
    text-decoration: none;
  }

  nav a[aria-current]:not(.button, .brand) {
    background: var(--plum-soft);
  }

  section,
  ul {
    display: grid;
    gap: 12px;
  }

  header {
    display: grid;
    gap: 4px;
  }

  h2 {
    font-size: var(--text-l);
  }

  ul {
    margin: 0;
    padding: 0;
    list-style: none;
  }

  .empty {
    gap: 8px;
    padding: 32px;
    border: 1px dashed var(--edge);
    border-radius: 16px;
  }

  .problem {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 8px 16px;
  }

  /* Not seen at all when the answer is quick. */
  .loading {
    display: grid;
    gap: 12px;
    animation: appear 200ms 300ms both;
  }

  .bone {
    height: 112px;
    border-radius: 16px;
    background: var(--line);
    opacity: 0.5;
  }

  @keyframes appear {
    from {
      opacity: 0;
    }
  }

  @media (min-width: 900px) {
    .frame {
      grid-template: "top main" 100dvh / 264px 1fr;
    }

    .top {
      flex-direction: column;
      align-items: stretch;
      gap: 24px;
      padding: 28px 16px 16px;
      border-right: 1px solid var(--line);
      background: var(--card);
    }

    .top .brand {
      padding: 0 8px;
    }

    nav {
      position: static;
      flex: 1;
      flex-direction: column;
      justify-content: start;
      padding: 0;
      border: 0;
    }

    nav a:not(.button, .brand) {
      display: flex;
      align-items: center;
      gap: 12px;
      font-size: var(--text-m);
    }

    main {
      overflow-y: auto;
      padding: 40px max(48px, calc(50% - 480px));
    }
  }
`;
