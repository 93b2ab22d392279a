/**
 * Every sentence of the room that depends on what happened. Plain, short, with the next step. Pure.
 */

import type { Device, DeviceProblem } from "../media/devices";
import type { Refused } from "../signaling/errors";
import type { Ended, Role } from "../signaling/protocol";

/** What stands in place of a picture that the server holds back. */
export const PAUSED = "Your connection is weak. We turned pictures off to keep the sound clear.";

export interface Notice {
  tone: "info" | "error";
  text: string;
}

export interface Page {
  title: string;
  text: string;
  /** The one button of the page, if trying again can help. */
  again?: string;
}

/** What to do about a device that is not there. again: the button that the sentence points to. */
export function deviceWords(source: Device, problem: DeviceProblem, again: string): string {
  return problemWords(source, "it", problem, again);
}

/** The same for both; said once where the same thing is the matter with both. */
export function devicesWords(
  problems: Partial<Record<Device, DeviceProblem>>,
  again: string,
): string[] {
  const { camera, microphone } = problems;
  if (camera !== undefined && camera === microphone) {
    return [problemWords("camera and microphone", "them", camera, again)];
  }
  return (["camera", "microphone"] as const).flatMap((source) => {
    const problem = problems[source];
    return problem === undefined ? [] : [deviceWords(source, problem, again)];
  });
}

function problemWords(thing: string, it: string, problem: DeviceProblem, again: string): string {
  switch (problem) {
    case "refused":
      return `Your browser is not allowed to use the ${thing}. Allow ${it} in the address bar, then press ${again}.`;
    case "missing":
      return `We found no ${thing}. Plug ${it === "it" ? "one" : it} in, then press ${again}.`;
    case "busy":
      return `Another program is using your ${thing}. Close it, then press ${again}.`;
    case "unplugged":
      return `Your ${thing} went away. Plug ${it} in again, then press ${again}.`;
    case "insecure":
      return `Your browser shares your ${thing} only with secure pages. Open this link with https.`;
    case "failed":
      return `Your ${thing} could not be started. Unplug ${it} and plug ${it} in again, then press ${again}.`;
  }
}

/** How one can join with what there is, or undefined when everything is there. */
export function joinWithout(microphone: boolean, camera: boolean): string | undefined {
  if (microphone && camera) return undefined;
  if (microphone) return "You can join without a picture; the others will hear you.";
  if (camera) return "You can join without sound from you; the others will see you.";
  return "You can still join to see and hear the others.";
}

const PAGES: Record<string, Page> = {
  "token.invalid": {
    title: "This link does not work",
    text: "Copy the whole link from your invitation and open it again, or ask for a new one.",
  },
  "token.expired": {
    title: "This link has expired",
    text: "Ask whoever sent it to you for a new one.",
  },
  "session.unknown": {
    title: "We do not know this session",
    text: "It may have been moved. Look for the newest link in your invitation.",
  },
  "session.ended": {
    title: "This session has ended",
    text: "There is nothing more to do here. You can close this page.",
  },
  "room.full": {
    title: "This room is full",
    text: "Ask someone who is already in to leave, then try again.",
    again: "Try again",
  },
  internal: {
    title: "Something went wrong on our side",
    text: "This was not you. Try again in a moment.",
    again: "Try again",
  },
};

/** The page for a visit that cannot go on. */
export function failureWords(error: Refused): Page {
  const page = PAGES[error.code] ?? {
    title: "We could not let you in",
    text: "Open the link from your invitation again.",
    again: "Try again",
  };
  return error.reference === undefined
    ? page
    : { ...page, text: `${page.text} ${referenceWords(error.reference)}` };
}

function referenceWords(reference: string): string {
  return `If it stays, give support the reference ${reference}.`;
}

/** What the room says over the picture when something did not work. */
export function noticeWords(
  what: Refused | "end-unheard" | "admit-unheard" | "refresh-failed",
): Notice {
  if (what === "admit-unheard") {
    return { tone: "error", text: "The server did not hear us. Press Admit again in a moment." };
  }
  if (what === "end-unheard") {
    return {
      tone: "error",
      text: "The server did not hear us, so the session goes on. Press End session again in a moment.",
    };
  }
  if (what === "refresh-failed") {
    return {
      tone: "error",
      text: "Picture and sound did not come back. Check your internet connection, then press Refresh.",
    };
  }
  if (what.reference !== undefined) {
    return {
      tone: "error",
      text: `Something went wrong on our side. Press Refresh. ${referenceWords(what.reference)}`,
    };
  }
  const texts: Record<string, string> = {
    "rtc.bad_offer":
      "This browser and our server do not understand each other. Update the browser, then come back.",
    "role.forbidden": "Only the therapist can do that.",
  };
  return {
    tone: "error",
    text: texts[what.code] ?? "That did not work. Press Refresh and try again.",
  };
}

function plural(count: number, unit: string): string {
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}

/** "48 minutes", "1 hour 5 minutes", "less than a minute". */
export function durationWords(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return "less than a minute";
  const hours = Math.floor(minutes / 60);
  const rest = minutes % 60;
  const words = [];
  if (hours > 0) words.push(plural(hours, "hour"));
  if (rest > 0) words.push(plural(rest, "minute"));
  return words.join(" ");
}

/** A clock time in the reader's zone, such as 10:48. */
export function timeWords(instant: string): string {
  return new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" }).format(
    new Date(instant),
  );
}

/** "Maya", "Maya and Tom", "Maya, Tom and Ada". */
export function namesWords(names: readonly string[]): string {
  if (names.length < 2) return names.join("");
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

/** Whom one waits for while alone. came: they were here before. now, startsAt: ms since the epoch. */
export function waitingWords(
  role: Role,
  { names, came }: { names: readonly string[]; came: boolean },
  startsAt: number,
  now: number,
): Page {
  const other = role === "therapist" ? "your client" : "your therapist";
  const whom = names.length > 0 ? namesWords(names) : other;
  if (came) {
    return {
      title: `Waiting for ${whom} to come back.`,
      text: "Stay here; the picture returns by itself.",
    };
  }
  const text =
    startsAt > now
      ? `The session starts at ${timeWords(new Date(startsAt).toISOString())}. You are in the right place.`
      : "You are in the right place. The session begins as soon as you are both here.";
  return { title: `Waiting for ${whom}.`, text };
}

/** The page of one who comes before the room opens. now: ms since the epoch. */
export function earlyWords(opensAt: string, now: number): Page {
  const at = new Date(opensAt);
  const today = at.toDateString() === new Date(now).toDateString();
  const day = new Intl.DateTimeFormat(undefined, {
    weekday: "long",
    day: "numeric",
    month: "long",
  });
  const when = today ? `at ${timeWords(opensAt)}` : `on ${day.format(at)} at ${timeWords(opensAt)}`;
  return {
    title: `This room opens ${when}`,
    text: "Keep this page open if you like: it lets you in by itself then.",
  };
}

/** The page of one who comes while the server has enough to do. */
export const BUSY: Page = {
  title: "We are very busy right now",
  text: "Sessions that are under way come first. Keep this page open: it lets you in by itself in a moment.",
};

/** The page of a client who is to be let in. therapists: their names. */
export function toBeAdmittedWords(therapists: readonly string[]): Page {
  const who = therapists.length > 0 ? namesWords(therapists) : "Your therapist";
  return {
    title: `${who} will let you in`,
    text: "You are in the right place, and they can see that you are here.",
  };
}

/** What the End dialog asks. people: everyone in the room, oneself included. */
export function endQuestion(people: number, seconds: number): { question: string; facts: string } {
  const whom = people > 2 ? "everyone" : "both of you";
  return {
    question: `End this session for ${whom}?`,
    facts: `It took ${durationWords(seconds)}. Your payout is counted from here.`,
  };
}

/**
 * The page after the end: who ended it, how long it lasted, what comes next.
 * role: undefined where the page does not know it.
 */
export function endedWords(
  { cause, ended_by, name, ended_at, duration_s }: Ended,
  role: Role | undefined,
  selfId: string,
): Page & { next: string } {
  const at = timeWords(ended_at);
  const lasted = `It lasted ${durationWords(duration_s)}.`;
  const who: Record<Ended["cause"], string> = {
    therapist: `${ended_by === selfId ? "You" : (name ?? "The therapist")} ended it at ${at}. ${lasted}`,
    admin: `Plumm's team ended it at ${at}. ${lasted}`,
    timeout: `It ended by itself at ${at}, after everyone had left. ${lasted}`,
    no_show: `It was closed at ${at}, because not everyone came.`,
  };
  return { title: "This session has ended", text: who[cause], next: nextWords(cause, role) };
}

function nextWords(cause: Ended["cause"], role: Role | undefined): string {
  if (role === "client") return "You can book your next session whenever you like.";
  if (role !== "therapist") return "";
  if (cause === "therapist") return "Your payout is counted from here.";
  return cause === "timeout" ? "If it took place, say so on your dashboard, and it counts." : "";
}

/** "MR" of "Maya Rossi", "M" of "maya", "LH" of "Dr. Lena Hart". */
export function initials(name: string): string {
  const words = name.split(/\s+/).filter((word) => word !== "" && !word.endsWith("."));
  const picked = words.length > 1 ? [words[0], words.at(-1)] : words;
  return picked.map((word) => [...(word ?? "")][0]?.toUpperCase() ?? "").join("");
}
