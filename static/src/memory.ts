/**
 * What the browser remembers for the room: choices for good, a running session for its tab.
 * A browser that forbids storage forgets, and everything else works.
 */

import type { Ended, Role } from "./signaling/protocol";

function stored(storage: () => Storage, key: string): string | undefined {
  try {
    return storage().getItem(key) ?? undefined;
  } catch {
    return undefined;
  }
}

function store(storage: () => Storage, key: string, value: string | undefined): void {
  try {
    if (value === undefined) storage().removeItem(key);
    else storage().setItem(key, value);
  } catch {
    // Forbidden or full: forgotten at the next visit.
  }
}

/** A choice that outlives the tab: a device, the place of the own picture. */
export function recall(topic: "device" | "picture", name: string): string | undefined {
  return stored(() => localStorage, `plumm.${topic}.${name}`);
}

export function remember(
  topic: "device" | "picture",
  name: string,
  value: string | undefined,
): void {
  store(() => localStorage, `plumm.${topic}.${name}`, value);
}

/** role: undefined and selfId: "" where the session was over before one was in. */
export interface HowItEnded {
  ended: Ended;
  role: Role | undefined;
  selfId: string;
}

/** What a reload of this tab has to know about its session. */
export interface TabSession {
  /** Joined and not left: come back without the pre-join card. */
  joined?: { microphone: boolean; camera: boolean };
  /** How the session ended, to say it again. */
  ended?: HowItEnded;
  /** When the Refresh ladder last reloaded the page, ms since the epoch. */
  reloadedAt?: number;
}

export function tabSession(sessionId: string): TabSession {
  const text = stored(() => sessionStorage, `plumm.session.${sessionId}`);
  try {
    return text === undefined ? {} : (JSON.parse(text) as TabSession);
  } catch {
    return {};
  }
}

/** Change some of it; undefined forgets a field. */
export function updateTabSession(
  sessionId: string,
  change: { [K in keyof TabSession]: TabSession[K] | undefined },
): void {
  const next = JSON.stringify({ ...tabSession(sessionId), ...change });
  store(() => sessionStorage, `plumm.session.${sessionId}`, next);
}
