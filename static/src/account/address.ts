/** Where the pages of people with an account are. Pure. */

export const DASHBOARD = "/dashboard";
/** For admins. */
export const OPERATIONS = "/operations";
export const SIGN_IN = "/sign-in";
/** Asks for a mail; with the mail's token as the fragment, for the new password. */
export const RESET = "/reset";

/** The sign-in page, which leads back to `path` afterwards. away: one was signed in until now. */
export function signInAddress(path: string, { away = false } = {}): string {
  return `${SIGN_IN}?next=${encodeURIComponent(path)}${away ? "&away" : ""}`;
}

/** Whether one came to the sign-in page because the sign-in had run out. */
export function wasAway(search: string): boolean {
  return new URLSearchParams(search).has("away");
}

/** Where to go after signing in: what `search` asks for, if it is a page of this site. */
export function nextAddress(search: string): string {
  const next = new URLSearchParams(search).get("next") ?? "";
  // A second slash, or a backslash that browsers take for one, would lead to another site.
  return /^\/(?![/\\])[^\s\\]*$/.test(next) ? next : DASHBOARD;
}
