/** The session's timer. Pure. */

export interface Timing {
  /** "12:34" since both were there; undefined before that. */
  elapsed: string | undefined;
  bookedMinutes: number;
  /** The last five minutes of the booked time, and whatever comes after. */
  late: boolean;
}

const LATE_MS = 5 * 60_000;

/** Seconds as minutes and seconds ("62:05"): sessions are booked in minutes. */
export function clockWords(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** All in ms since the epoch, on the server's clock. */
export function timing(
  liveSince: number | undefined,
  startsAt: number,
  endsAt: number,
  now: number,
): Timing {
  return {
    elapsed: liveSince === undefined ? undefined : clockWords((now - liveSince) / 1000),
    bookedMinutes: Math.round((endsAt - startsAt) / 60_000),
    late: endsAt - now <= LATE_MS,
  };
}
