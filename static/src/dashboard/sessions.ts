/** The sessions of whoever is signed in, as the server lists them, and how they are grouped. Pure. */

import type { Ended, Role } from "../signaling/protocol";

export interface Other {
  participant_id: string;
  name: string;
  role: Role;
  /** Has no account, and comes by a link. */
  guest: boolean;
}

export interface Row {
  id: string;
  title: string;
  starts_at: string;
  ends_at: string;
  opens_at: string;
  status: "scheduled" | "open" | "live" | "ended";
  /** One's own. */
  role: Role;
  with: Other[];
  ended: Ended | null;
  confirmable: boolean;
  /** For the therapist, of a session that is over. */
  attendance: {
    overlap_s: number;
    people: { name: string; role: Role; intervals: { since: string; until: string }[] }[];
  } | null;
}

/** The answer to GET /api/my/sessions. */
export interface Listed {
  server_time: string;
  sessions: Row[];
}

export interface Groups {
  today: Row[];
  coming: Row[];
  /** The last one first. */
  past: Row[];
}

/** now: ms since the epoch. What is over is past at once; days are the reader's. */
export function grouped(rows: readonly Row[], now: number): Groups {
  const tomorrow = new Date(now).setHours(24, 0, 0, 0);
  const byStart = [...rows].sort((one, other) => start(one) - start(other));
  const ahead = byStart.filter(({ ended }) => ended === null);
  return {
    today: ahead.filter((row) => start(row) < tomorrow),
    coming: ahead.filter((row) => start(row) >= tomorrow),
    past: byStart.filter(({ ended }) => ended !== null).reverse(),
  };
}

/** Whether one may go in. now: ms since the epoch, on the server's clock. */
export function joinable({ ended, opens_at }: Row, now: number): boolean {
  return ended === null && now >= Date.parse(opens_at);
}

function start(row: Row): number {
  return Date.parse(row.starts_at);
}
