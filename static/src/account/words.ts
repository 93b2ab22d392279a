/** What the pages around an account say when something did not work. Pure. */

import { Refused } from "../signaling/errors";

const TEXTS: Record<string, string> = {
  "sign_in.refused": "The e-mail address or the password is not right. Check both, then try again.",
  "rate.limited": "That was too often in a short time. Wait a quarter of an hour, then try again.",
  "password.weak":
    "Please choose a longer password: 12 characters or more, and not your e-mail address.",
  "token.invalid": "This link was used already, or is not complete. Ask for a new one.",
  "token.expired": "This link has expired. Ask for a new one.",
  "message.malformed": "Please check what you typed, then try again.",
  "storage.unavailable": "We could not store that just now. Try again in a moment.",
  "session.not_confirmable": "This session needs no word from you any more.",
  "role.forbidden": "Only the therapist of this session can do that.",
};

/** error: what `ask` raised. */
export function problemWords(error: unknown): string {
  if (!(error instanceof Refused)) {
    return "We cannot reach the server. Check your internet connection, then try again.";
  }
  if (error.reference !== undefined) {
    return `Something went wrong on our side. Try again in a moment. If it stays, give support the reference ${error.reference}.`;
  }
  return TEXTS[error.code] ?? "That did not work. Try again in a moment.";
}
