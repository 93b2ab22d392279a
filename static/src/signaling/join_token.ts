import { Refused, Unreachable } from "./errors";
import type { ErrorBody } from "./protocol";

// A request that hangs longer than this is tried again rather than waited for.
const TIMEOUT_MS = 10_000;
const TOO_MANY_REQUESTS = 429;

/** What lets one in: the token of a link, or being signed in and invited to this session. */
export type Door = { link: string } | { session: string };

/**
 * Exchange it for a join token, good for one connection and a few minutes.
 * Raises Refused when the door is shut, Unreachable when there was no usable answer: also
 * when too many were asked for, because that passes, and when `signal` ended it.
 */
export async function fetchJoinToken(
  door: Door,
  signal: AbortSignal = AbortSignal.timeout(TIMEOUT_MS),
): Promise<string> {
  let response: Response;
  try {
    response =
      "link" in door
        ? await fetch("/api/join-token", {
            method: "POST",
            headers: { Authorization: `Bearer ${door.link}` },
            signal,
          })
        : await fetch(`/api/my/sessions/${door.session}/join-token`, { method: "POST", signal });
  } catch {
    throw new Unreachable("no answer to the join token request");
  }
  const body = (await response.json().catch(() => undefined)) as
    | { token?: string; error?: ErrorBody }
    | undefined;
  if (response.ok && body?.token !== undefined) return body.token;
  const passing = response.status >= 500 || response.status === TOO_MANY_REQUESTS;
  // A server that is busy says when to come back: that is an answer.
  const answered = !passing || body?.error?.code === "busy";
  if (answered && body?.error !== undefined) throw new Refused(body.error);
  throw new Unreachable(`join token request: status ${response.status}`);
}
