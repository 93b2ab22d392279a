const FIRST_MS = 250;
// 5 s: a server that restarts is back within seconds, and a call waits for it.
const LONGEST_MS = 5_000;
// Half a minute of attempts that nothing answered: the longest that media survives by itself.
const HUNG_ATTEMPTS = 15;

/**
 * How long to wait before reconnection attempt `attempt` (0 is the first).
 * Doubles up to a bound; half of it is random, so that a room's clients do not return in one wave.
 * random: 0..1. hung: nothing answered the attempt before, which took its time: the network is
 * away and may be back at any moment, and what it does not carry costs the server nothing.
 */
export function delayMs(attempt: number, random: number, hung = false): number {
  if (hung && attempt < HUNG_ATTEMPTS) return 0;
  const full = Math.min(LONGEST_MS, FIRST_MS * 2 ** attempt);
  return full * (0.5 + random / 2);
}
