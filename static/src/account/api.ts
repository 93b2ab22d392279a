/** Requests of a signed-in person's pages: JSON there and back, with the cookie. */

import { Refused, Unreachable } from "../signaling/errors";
import type { ErrorBody } from "../signaling/protocol";

const TIMEOUT_MS = 10_000;

export interface Me {
  id: string;
  name: string;
  email: string;
  role: "therapist" | "client" | "support" | "admin";
}

/**
 * The answer to a request; undefined where it has no body.
 * Raises Refused for the server's no, Unreachable when there was no usable answer.
 */
export async function ask<T>(method: "GET" | "POST", path: string, body?: unknown): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch {
    throw new Unreachable(`no answer to ${method} ${path}`);
  }
  const answer = (await response.json().catch(() => undefined)) as
    | (T & { error?: ErrorBody })
    | undefined;
  if (response.ok) return answer as T;
  if (answer?.error !== undefined) throw new Refused(answer.error);
  throw new Unreachable(`${method} ${path}: status ${response.status}`);
}
