/** The wire contract, as signaling/PROTOCOL.md states it. Instants are ISO 8601 strings in UTC. */

export type Role = "therapist" | "client";
export type Source = "microphone" | "camera" | "screen";
export type Picture = "camera" | "screen";
/** Of a connection, as the server measures it. */
export type Quality = "good" | "fair" | "poor";

export interface Participant {
  id: string;
  name: string;
  role: Role;
  microphone: boolean;
  camera: boolean;
  screen: boolean;
  fullscreen: boolean;
  connection: "connecting" | "connected" | "reconnecting";
  /** null while it is not known. */
  quality: Quality | null;
}

export interface RoomState {
  version: number;
  status: "open" | "live" | "ended";
  live_since: string | null;
  /** Who speaks, or did a moment ago. */
  speaker: string | null;
  participants: Participant[];
  /** Who asked to come in and is to be admitted. */
  waiting: { id: string; name: string }[];
}

export interface TrackSlot {
  mid: string;
  participant_id: string;
  source: Source;
  /** Held back by the server, because our own connection is weak. */
  paused: boolean;
}

/** How many sections of a kind this client is to receive, and what flows in which. */
export interface Sections {
  audios: number;
  videos: number;
  tracks: TrackSlot[];
}

/** Which layers of what we send somebody watches, of each source that is sent in layers. */
export interface Layers {
  tracks: { source: Picture; layers: string[] }[];
}

/** One picture on the page: its size in device pixels, 0 × 0 when hidden. */
export interface View {
  participant_id: string;
  source: Picture;
  width: number;
  height: number;
}

export interface Ended {
  cause: "therapist" | "admin" | "timeout" | "no_show";
  ended_by: string | null;
  name: string | null;
  ended_at: string;
  duration_s: number;
  /** How long both were there with media flowing. */
  overlap_s: number;
  /** When the therapist said that a session that timed out took place. */
  confirmed_at: string | null;
}

export interface SessionFacts {
  id: string;
  title: string;
  starts_at: string;
  ends_at: string;
  /** Everyone who has a link, oneself included. */
  invited: { id: string; name: string; role: Role }[];
}

/** The answer to one who is to be admitted first. */
export interface NotAdmitted {
  waiting: true;
  participant_id: string;
  role: Role;
  server_time: string;
  session: SessionFacts;
}

export interface Joined {
  waiting?: never;
  participant_id: string;
  role: Role;
  server_time: string;
  session: SessionFacts;
  state: RoomState;
  sections: Sections;
  ice_servers: RTCIceServer[];
}

export interface Offer {
  connection: string;
  seq: number;
  sdp: string;
  sources: Record<string, Source>;
}

export interface Answer {
  connection: string;
  seq: number;
  sdp: string;
  sections: Sections;
}

/** What a participant may change about itself. */
export interface OwnState {
  microphone: boolean;
  camera: boolean;
  screen: boolean;
  fullscreen: boolean;
}

type Nothing = Record<string, never>;

/** Every event from a client: what it carries and what its acknowledgement brings. */
export interface Requests {
  "room:join": { payload: Nothing; data: Joined | NotAdmitted };
  "room:leave": { payload: Nothing; data: Nothing };
  "room:admit": { payload: { participant_id: string }; data: Nothing };
  "room:sync": { payload: Nothing; data: { state: RoomState; sections: Sections } };
  "rtc:offer": { payload: Offer; data: Answer };
  "rtc:view": { payload: { views: View[] }; data: Nothing };
  "state:set": { payload: Partial<OwnState>; data: { version: number } };
  "session:end": { payload: Nothing; data: Ended };
}

export interface ErrorBody {
  code: string;
  message: string;
  /** With "internal". */
  id?: string;
  /** With "session.ended". */
  ended?: Ended;
  /** With "session.not_open". */
  opens_at?: string;
  /** With "busy": seconds. */
  retry_after?: number;
}

export type Ack<Data> = { ok: true; data: Data } | { ok: false; error: ErrorBody };
