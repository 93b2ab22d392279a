/** What a screen reader says when the room changes. Pure. */

import type { Participant, RoomState } from "../signaling/protocol";

/** Sentences for what differs between two snapshots, seen by `selfId`. */
export function announcements(
  before: RoomState | undefined,
  now: RoomState,
  selfId: string,
): string[] {
  if (before === undefined) return [];
  const known = new Map(before.participants.map((participant) => [participant.id, participant]));
  const here = new Set(now.participants.map((participant) => participant.id));
  const said: string[] = [];
  for (const participant of now.participants) {
    const old = known.get(participant.id);
    if (participant.id === selfId) said.push(...(old ? ownChanges(old, participant) : []));
    else if (old === undefined) said.push(`${participant.name} joined.`);
    else said.push(...othersChanges(old, participant));
  }
  const waited = new Set(before.waiting.map(({ id }) => id));
  for (const { id, name } of now.waiting) {
    if (!waited.has(id)) said.push(`${name} is waiting to be let in.`);
  }
  for (const participant of before.participants) {
    if (!here.has(participant.id)) said.push(`${participant.name} left.`);
  }
  return said;
}

function ownChanges(old: Participant, now: Participant): string[] {
  const said: string[] = [];
  if (old.microphone !== now.microphone) {
    said.push(now.microphone ? "Your microphone is on." : "You are muted.");
  }
  if (old.camera !== now.camera)
    said.push(now.camera ? "Your camera is on." : "Your camera is off.");
  if (old.screen !== now.screen)
    said.push(now.screen ? "You are sharing your screen." : "You stopped sharing your screen.");
  return said;
}

function othersChanges(old: Participant, now: Participant): string[] {
  const said: string[] = [];
  if (old.microphone !== now.microphone) {
    said.push(now.microphone ? `${now.name} is not muted any more.` : `${now.name} is muted.`);
  }
  if (old.camera !== now.camera) {
    said.push(
      now.camera ? `${now.name} turned the camera on.` : `${now.name} turned the camera off.`,
    );
  }
  if (old.screen !== now.screen) {
    said.push(
      now.screen ? `${now.name} is sharing a screen.` : `${now.name} stopped sharing a screen.`,
    );
  }
  if (old.fullscreen !== now.fullscreen) {
    said.push(now.fullscreen ? `${now.name} is in full screen.` : `${now.name} left full screen.`);
  }
  if (old.connection !== now.connection) {
    if (now.connection === "reconnecting") said.push(`${now.name} is reconnecting.`);
    if (now.connection === "connected" && old.connection === "reconnecting") {
      said.push(`${now.name} is back.`);
    }
  }
  return said;
}
