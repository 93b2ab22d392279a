/** Tiles, and a table that becomes cards on a phone. */

import { css } from "lit";

export const operationsStyles = css`
  .figures {
    display: grid;
    gap: 32px;
  }

  .tiles {
    display: grid;
    grid-template-columns: repeat(auto-fill, minmax(160px, 1fr));
    gap: 12px;
    margin: 0;
  }

  .tile {
    display: grid;
    align-content: start;
    gap: 2px;
    padding: 16px;
    border: 1px solid var(--line);
    border-radius: 16px;
    background: var(--card);
  }

  .tile.watch {
    border-color: var(--amber);
    box-shadow: inset 0 0 0 1px var(--amber);
  }

  .tile.act {
    border-color: var(--red-text);
    box-shadow: inset 0 0 0 1px var(--red-text);
  }

  dt {
    display: flex;
    justify-content: space-between;
    gap: 8px;
    font-size: var(--text-s);
    color: var(--muted);
  }

  dt strong {
    font-weight: 650;
  }

  .watch dt strong,
  .lost {
    color: var(--amber);
  }

  .act dt strong {
    color: var(--red-text);
  }

  dd {
    margin: 0;
    overflow-wrap: anywhere;
  }

  .value {
    font-size: var(--text-l);
    line-height: 1.4;
    font-weight: 650;
    letter-spacing: -0.015em;
    font-variant-numeric: tabular-nums;
  }

  .detail {
    font-size: var(--text-s);
    color: var(--muted);
    font-variant-numeric: tabular-nums;
  }

  .stale :is(.tile, table) {
    border-style: dashed;
  }

  table {
    width: 100%;
    border-spacing: 0;
    font-size: var(--text-s);
    font-variant-numeric: tabular-nums;
    border: 1px solid var(--line);
    border-radius: 16px;
    background: var(--card);
  }

  th,
  td {
    padding: 10px 16px;
    text-align: right;
    white-space: nowrap;
  }

  thead th {
    font-weight: 600;
    color: var(--muted);
  }

  tbody :is(th, td) {
    border-top: 1px solid var(--line);
  }

  tbody tr:not(.first) :is(th, td) {
    border-top-color: transparent;
  }

  :is(th, td).name {
    text-align: left;
  }

  code {
    font-size: 0.8125rem;
  }

  .bars i {
    background: var(--line);
  }

  .bars .lit {
    background: var(--green);
  }

  .bars:is(.fair, .poor) .lit {
    background: var(--amber);
  }

  .quality {
    display: inline-flex;
    align-items: center;
    gap: 8px;
  }

  @media (min-width: 900px) {
    .tiles {
      grid-template-columns: repeat(auto-fill, minmax(216px, 1fr));
    }

    .value {
      font-size: var(--text-xl);
      line-height: 1.3;
    }
  }

  @media (max-width: 1199px) {
    table {
      display: grid;
      gap: 12px;
      border: 0;
      background: none;
    }

    thead {
      position: absolute;
      clip-path: inset(50%);
    }

    tbody,
    tr {
      display: grid;
    }

    tbody {
      overflow: hidden;
      border: 1px solid var(--line);
      border-radius: 16px;
      background: var(--card);
    }

    tr {
      grid-template-columns: repeat(auto-fill, minmax(132px, 1fr));
      gap: 4px 12px;
      padding: 12px 16px;
    }

    tr:not(.first) {
      border-top: 1px solid var(--line);
    }

    tbody :is(th, td) {
      padding: 0;
      border: 0;
      text-align: left;
    }

    tr :is(.room, .seat) {
      grid-column: 1 / -1;
    }

    tr:not(.first) .room {
      display: none;
    }

    td[data-label]::before {
      content: attr(data-label) " ";
      color: var(--muted);
    }
  }
`;
