/** The links in a mail's text. Pure. */

export interface Part {
  text: string;
  /** Where it leads; undefined for mere text, and for links to other sites. */
  href?: string;
}

/** The text in parts, in order; a link of `origin` is a part of its own. */
export function parts(text: string, origin: string): Part[] {
  return text
    .split(/(https?:\/\/[^\s<>"]+)/)
    .filter((piece) => piece !== "")
    .map((piece) => (leadsTo(piece, origin) ? { text: piece, href: piece } : { text: piece }));
}

function leadsTo(piece: string, origin: string): boolean {
  return URL.canParse(piece) && new URL(piece).origin === origin;
}
