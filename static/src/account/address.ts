/** Where the pages of people with an account are. Pure. */

export const DASHBOARD = "/dashboard";
export const SIGN_IN = "/sign-in";

/** The sign-in page, which leads back to `path` afterwards. */
export function signInAddress(path: string): string {
  return `${SIGN_IN}?next=${encodeURIComponent(path)}`;
}

/** Where to go after signing in: what `search` asks for, if it is a page of this site. */
export function nextAddress(search: string): string {
  const next = new URLSearchParams(search).get("next") ?? "";
  // A second slash, or a backslash that browsers take for one, would lead to another site.
  return /^\/(?![/\\])[^\s\\]*$/.test(next) ? next : DASHBOARD;
}
