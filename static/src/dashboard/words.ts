/** Every sentence of the dashboard that depends on a session. Times are in the reader's zone. Pure. */

import { durationWords, namesWords, timeWords } from "../room/words";
import { joinable, type Row } from "./sessions";

const HOUR_S = 3_600;
const DAY_S = 86_400;

/** "Tuesday, 24 November". */
export function dayWords(instant: string): string {
  return new Intl.DateTimeFormat(undefined, {
    weekday: "long",
    day: "numeric",
    month: "long",
  }).format(new Date(instant));
}

/** "10:00 – 10:50 CET". */
export function hoursWords({ starts_at, ends_at }: Row): string {
  return new Intl.DateTimeFormat(undefined, {
    hour: "numeric",
    minute: "2-digit",
    timeZoneName: "short",
  }).formatRange(new Date(starts_at), new Date(ends_at));
}

/** "Europe/Vienna". */
export function zoneWords(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone.replaceAll("_", " ");
}

export function withWords(row: Row): string {
  return namesWords(row.with.map(({ name }) => name));
}

/** How long until the room opens: "3 days", "2 h 05 min", "4:09". seconds: more than 0. */
export function untilWords(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole >= 2 * DAY_S) return `${Math.floor(whole / DAY_S)} days`;
  const padded = (value: number) => String(value).padStart(2, "0");
  const minutes = Math.floor((whole % HOUR_S) / 60);
  if (whole >= HOUR_S) return `${Math.floor(whole / HOUR_S)} h ${padded(minutes)} min`;
  return `${minutes}:${padded(whole % 60)}`;
}

/** How it stands. now: ms since the epoch, on the server's clock. */
export function stateWords(row: Row, now: number): string {
  if (row.ended?.cause === "no_show") return "Did not take place";
  const status = row.status === "scheduled" && joinable(row, now) ? "open" : row.status;
  return { scheduled: "Booked", open: "Room is open", live: "In progress", ended: "Ended" }[status];
}

/** Of a session that is over: who ended it and how long it took. */
export function endWords({ ended, with: others }: Row): string {
  if (ended === null) return "";
  const at = timeWords(ended.ended_at);
  const took = `It took ${durationWords(ended.duration_s)}.`;
  const own = others.every(({ participant_id }) => participant_id !== ended.ended_by);
  const words = {
    therapist: `${own ? "You" : (ended.name ?? "The therapist")} ended it at ${at}. ${took}`,
    admin: `Plumm's team ended it at ${at}. ${took}`,
    timeout: `It ended by itself at ${at}, after everyone had left. ${took}`,
    no_show: `It was closed at ${at}, because not everyone came.`,
  };
  return words[ended.cause];
}

/** That it was the therapist's word that counted; undefined where there was none. */
export function confirmedWords({ ended, role, with: others }: Row): string | undefined {
  if (ended === null || ended.confirmed_at === null) return undefined;
  const therapist = others.find((other) => other.role === "therapist")?.name ?? "The therapist";
  const who = role === "therapist" ? "You" : therapist;
  const when = `${dayWords(ended.confirmed_at)} at ${timeWords(ended.confirmed_at)}`;
  return `Ended late: ${who} confirmed on ${when} that it took place.`;
}

/** "10:02 – 10:33, 10:35 – 10:48", or that one was not there. */
export function staysWords(stays: readonly { since: string; until: string }[]): string {
  if (stays.length === 0) return "was not there";
  return stays.map(({ since, until }) => `${timeWords(since)} – ${timeWords(until)}`).join(", ");
}
