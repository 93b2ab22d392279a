import { beforeEach, describe, expect, test, vi } from "vitest";
import { RoomSession } from "../src/room/session";
import type { SignalingListener } from "../src/signaling/client";
import { Refused } from "../src/signaling/errors";
import type { Ended, Joined } from "../src/signaling/protocol";

class Client {
  readonly listener: SignalingListener;
  /** How requests after room:join are refused. */
  refusal: Refused | undefined;

  constructor(_: string, listener: SignalingListener) {
    this.listener = listener;
    clients.push(this);
  }

  connect(): void {}

  close(): void {}

  takeState(): void {}

  async request(event: string): Promise<Joined> {
    if (event === "room:join") return JOINED;
    if (this.refusal !== undefined) throw this.refusal;
    return new Promise(() => {});
  }
}

const clients: Client[] = [];

vi.mock("../src/signaling/client", () => ({
  // A constructor, which an arrow function is not.
  SignalingClient: function SignalingClient(token: string, listener: SignalingListener) {
    return new Client(token, listener);
  },
}));

vi.mock("../src/room/call", () => ({
  Call: class {
    joined(): void {}
    send(): void {}
    close(): void {}
  },
}));

const JOINED: Joined = {
  participant_id: "t",
  role: "therapist",
  server_time: "2026-01-05T10:00:00Z",
  session: { id: "s", title: "", starts_at: "", ends_at: "", invited: [] },
  state: { version: 1, status: "open", live_since: null, speaker: null, participants: [] },
  sections: { audios: 1, videos: 1, tracks: [] },
  ice_servers: [],
};

const ENDED: Ended = {
  cause: "therapist",
  ended_by: "t",
  name: "Lena",
  ended_at: "2026-01-05T10:48:00Z",
  duration_s: 48 * 60,
};

const OVER = new Refused({ code: "session.ended", message: "", ended: ENDED });

function latest(): Client {
  const client = clients.at(-1);
  if (client === undefined) throw new Error("no client was made");
  return client;
}

async function inTheRoom(): Promise<RoomSession> {
  const session = new RoomSession("s", "link");
  session.join();
  latest().listener.connected();
  await vi.waitFor(() => expect(session.phase).toBe("in"));
  return session;
}

beforeEach(() => {
  vi.stubGlobal("navigator", {});
  vi.stubGlobal("window", new EventTarget());
});

describe("a client that was left", () => {
  test("is not heard any more, whatever the new one is told", async () => {
    const session = await inTheRoom();
    const left = latest();
    void session.leave();
    session.rejoin();
    expect(latest()).not.toBe(left);
    left.listener.replaced();
    left.listener.ended(ENDED);
    expect(session.phase).toBe("joining");
    latest().listener.replaced();
    expect(session.phase).toBe("replaced");
  });
});

describe("one who was away at the end", () => {
  test("sees it at the door, without knowing more than the server says", () => {
    const session = new RoomSession("s", "link");
    session.join();
    latest().listener.refused(OVER);
    expect(session.phase).toBe("ended");
    expect(session.end).toEqual({ ended: ENDED, role: undefined, selfId: "" });
  });

  test("sees it in place of a notice when the server refuses what is asked in the room", async () => {
    const session = await inTheRoom();
    latest().refusal = OVER;
    expect(await session.endForAll()).toBe(false);
    expect(session.phase).toBe("ended");
    expect(session.end).toEqual({ ended: ENDED, role: "therapist", selfId: "t" });
  });
});
