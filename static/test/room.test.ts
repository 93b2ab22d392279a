import { describe, expect, test } from "vitest";
import { announcements } from "../src/room/announcements";
import { gridColumns } from "../src/room/grid";
import { timing } from "../src/room/timing";
import {
  devicesWords,
  deviceWords,
  durationWords,
  endedWords,
  endQuestion,
  failureWords,
  initials,
  namesWords,
  waitingWords,
} from "../src/room/words";
import { Refused } from "../src/signaling/errors";
import type { Ended, Participant, RoomState } from "../src/signaling/protocol";

function person(id: string, change: Partial<Participant> = {}): Participant {
  return {
    id,
    name: id,
    role: "client",
    microphone: true,
    camera: true,
    screen: false,
    fullscreen: false,
    connection: "connected",
    quality: null,
    ...change,
  };
}

function room(...participants: Participant[]): RoomState {
  return { version: 1, status: "live", live_since: null, speaker: null, participants, waiting: [] };
}

describe("what a screen reader says", () => {
  const said = (before: RoomState, now: RoomState) => announcements(before, now, "me");

  test("names who is waiting, once", () => {
    const waits = { ...room(person("me")), waiting: [{ id: "maya", name: "Maya" }] };
    expect(said(room(person("me")), waits)).toEqual(["Maya is waiting to be let in."]);
    expect(said(waits, waits)).toEqual([]);
  });

  test("names who joined and who left", () => {
    expect(said(room(person("me")), room(person("me"), person("Maya")))).toEqual(["Maya joined."]);
    expect(said(room(person("me"), person("Maya")), room(person("me")))).toEqual(["Maya left."]);
  });

  test("speaks of the other's microphone, camera and connection", () => {
    const before = room(person("Maya"));
    expect(said(before, room(person("Maya", { microphone: false })))).toEqual(["Maya is muted."]);
    expect(said(before, room(person("Maya", { camera: false })))).toEqual([
      "Maya turned the camera off.",
    ]);
    const away = room(person("Maya", { connection: "reconnecting" }));
    expect(said(before, away)).toEqual(["Maya is reconnecting."]);
    expect(said(away, before)).toEqual(["Maya is back."]);
  });

  test("speaks of screens, the other's and one's own", () => {
    const before = room(person("me"), person("Maya"));
    expect(said(before, room(person("me"), person("Maya", { screen: true })))).toEqual([
      "Maya is sharing a screen.",
    ]);
    expect(said(before, room(person("me", { screen: true }), person("Maya")))).toEqual([
      "You are sharing your screen.",
    ]);
  });

  test("is silent about who speaks and how good a connection is", () => {
    const before = room(person("Maya"));
    const now = { ...room(person("Maya", { quality: "poor" })), speaker: "Maya" };
    expect(said(before, now)).toEqual([]);
  });

  test("confirms one's own mute", () => {
    expect(said(room(person("me")), room(person("me", { microphone: false })))).toEqual([
      "You are muted.",
    ]);
  });

  test("speaks of the other's full screen", () => {
    const before = room(person("Maya"));
    const wide = room(person("Maya", { fullscreen: true }));
    expect(said(before, wide)).toEqual(["Maya is in full screen."]);
    expect(said(wide, before)).toEqual(["Maya left full screen."]);
  });

  test("is silent about one's own full screen and about the first snapshot", () => {
    expect(said(room(person("me")), room(person("me", { fullscreen: true })))).toEqual([]);
    expect(announcements(undefined, room(person("Maya")), "me")).toEqual([]);
  });
});

describe("the grid", () => {
  test("is wide on a desktop and tall on a phone", () => {
    expect([2, 4, 11].map((count) => gridColumns(count, 1440, 900))).toEqual([2, 2, 4]);
    expect([2, 4, 11].map((count) => gridColumns(count, 390, 844))).toEqual([1, 1, 2]);
  });
});

describe("the timer", () => {
  const minute = 60_000;
  test("counts from when both were there and turns amber five minutes before the end", () => {
    expect(timing(2 * minute, 0, 60 * minute, 50 * minute + 5_000)).toEqual({
      elapsed: "48:05",
      bookedMinutes: 60,
      late: false,
    });
    expect(timing(2 * minute, 0, 60 * minute, 55 * minute).late).toBe(true);
    expect(timing(0, 0, 60 * minute, 75 * minute).elapsed).toBe("75:00");
  });

  test("shows no elapsed time before both were there", () => {
    expect(timing(undefined, 0, 60 * minute, minute).elapsed).toBeUndefined();
  });
});

describe("words", () => {
  test("say what to do about a device, once for both where one thing is the matter", () => {
    expect(deviceWords("microphone", "refused", "Refresh")).toBe(
      "Your browser is not allowed to use the microphone. Allow it in the address bar, then press Refresh.",
    );
    expect(devicesWords({ camera: "refused", microphone: "refused" }, "Try again")).toHaveLength(1);
    expect(devicesWords({ camera: "busy", microphone: "missing" }, "Try again")).toHaveLength(2);
    expect(devicesWords({}, "Try again")).toEqual([]);
  });

  test("count time in hours and minutes", () => {
    expect([20, 60, 48 * 60 + 59, 3600, 3900].map(durationWords)).toEqual([
      "less than a minute",
      "1 minute",
      "48 minutes",
      "1 hour",
      "1 hour 5 minutes",
    ]);
  });

  test("join names", () => {
    expect(namesWords([])).toBe("");
    expect(namesWords(["Maya"])).toBe("Maya");
    expect(namesWords(["Maya", "Tom", "Ada"])).toBe("Maya, Tom and Ada");
  });

  test("make initials of any name", () => {
    expect(["Maya Rossi", "maya", "Dr. Lena van Hart", "  ", "李 小龙"].map(initials)).toEqual([
      "MR",
      "M",
      "LH",
      "",
      "李小",
    ]);
  });

  test("wait for whoever is missing", () => {
    const nobody = { names: [], came: false };
    expect(waitingWords("therapist", nobody, 0, 1).title).toBe("Waiting for your client.");
    expect(waitingWords("client", { names: ["Lena"], came: false }, 0, 1).title).toBe(
      "Waiting for Lena.",
    );
    expect(waitingWords("client", { names: ["Lena"], came: true }, 0, 1).title).toBe(
      "Waiting for Lena to come back.",
    );
  });

  test("ask before the end", () => {
    expect(endQuestion(2, 48 * 60)).toEqual({
      question: "End this session for both of you?",
      facts: "It took 48 minutes. Your payout is counted from here.",
    });
    expect(endQuestion(3, 0).question).toBe("End this session for everyone?");
  });

  test("say after the end who ended it and what comes next", () => {
    const ended: Ended = {
      cause: "therapist",
      ended_by: "t",
      name: "Lena",
      ended_at: "2026-01-05T10:48:00Z",
      duration_s: 48 * 60,
      overlap_s: 47 * 60,
      confirmed_at: null,
    };
    const own = endedWords(ended, "therapist", "t");
    expect(own.text).toMatch(/^You ended it at .* It lasted 48 minutes\.$/);
    expect(own.next).toBe("Your payout is counted from here.");
    const others = endedWords(ended, "client", "c");
    expect(others.text).toMatch(/^Lena ended it/);
    expect(others.next).not.toContain("payout");
    const forgotten = endedWords({ ...ended, cause: "timeout" }, "therapist", "t");
    expect(forgotten.next).toBe("If it took place, say so on your dashboard, and it counts.");
    const stranger = endedWords(ended, undefined, "");
    expect(stranger.text).toMatch(/^Lena ended it at .* It lasted 48 minutes\.$/);
    expect(stranger.next).toBe("");
  });

  test("give the reference of a fault of ours, and a page to every code", () => {
    const fault = new Refused({ code: "internal", message: "", id: "8f3a21" });
    expect(failureWords(fault).text).toContain("8f3a21");
    expect(failureWords(new Refused({ code: "new.code", message: "" })).title).not.toBe("");
  });
});
