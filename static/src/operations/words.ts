/** Figures as an operator reads them. Pure. */

import { Refused } from "../signaling/errors";
import type { Connection } from "./figures";

const NONE = "–";

/** "640 kbit/s", "1.2 Mbit/s"; a dash where it is not known. */
export function rateWords(bits: number | undefined): string {
  if (bits === undefined) return NONE;
  for (const [unit, size] of [
    ["Gbit/s", 1e9],
    ["Mbit/s", 1e6],
  ] as const) {
    if (bits >= size) return `${(bits / size).toFixed(bits >= 10 * size ? 0 : 1)} ${unit}`;
  }
  return `${Math.round(bits / 1e3)} kbit/s`;
}

/** "0.4 %", "12 %". share: 0..1. */
export function shareWords(share: number | null | undefined): string {
  if (share === undefined || share === null) return NONE;
  const percent = 100 * share;
  return `${percent === 0 ? 0 : percent.toFixed(percent < 10 ? 1 : 0)} %`;
}

/** "0.4 ms", "31 ms". */
export function delayWords(ms: number | null | undefined): string {
  if (ms === undefined || ms === null) return NONE;
  return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
}

/** "1,250". */
export function numberWords(value: number | undefined): string {
  return value === undefined ? NONE : Math.round(value).toLocaleString("en");
}

/** "1 socket", "1,250 sockets". */
export function countWords(value: number, what: string): string {
  return `${numberWords(value)} ${what}${value === 1 ? "" : "s"}`;
}

/** "8 s", "5 min", "3 h". */
export function ageWords(seconds: number): string {
  if (seconds < 120) return `${Math.max(0, Math.round(seconds))} s`;
  return seconds < 7_200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3_600)} h`;
}

export function connectionWords(connection: Connection): string {
  return {
    none: "no media yet",
    connecting: "connecting",
    connected: "connected",
    lost: "lost",
  }[connection];
}

/** Why there are no new figures. error: what `ask` raised. */
export function goneWords(error: unknown): string {
  if (!(error instanceof Refused)) return "The server does not answer. This page goes on asking.";
  const reference = error.reference === undefined ? "" : `, reference ${error.reference}`;
  return `The server cannot tell its figures (${error.code}${reference}). This page goes on asking.`;
}

export function staleWords(ageS: number): string {
  return `What is shown is ${ageWords(ageS)} old.`;
}
