import { beforeEach, describe, expect, test, vi } from "vitest";
import { RoomSession } from "../src/room/session";
import type { SignalingListener } from "../src/signaling/client";
import { Refused } from "../src/signaling/errors";
import type { Ended, Joined, NotAdmitted } from "../src/signaling/protocol";

class Client {
  readonly listener: SignalingListener;
  /** How requests after room:join are refused. */
  refusal: Refused | undefined;
  readonly asked: string[] = [];

  constructor(listener: SignalingListener) {
    this.listener = listener;
    clients.push(this);
  }

  connect(): void {}

  close(): void {}

  takeState(): void {}

  async request(event: string): Promise<Joined | NotAdmitted> {
    this.asked.push(event);
    if (event === "room:join") return answers.shift() ?? JOINED;
    if (this.refusal !== undefined) throw this.refusal;
    return new Promise(() => {});
  }
}

const clients: Client[] = [];
/** What room:join answers next; then JOINED. */
const answers: (Joined | NotAdmitted)[] = [];

vi.mock("../src/signaling/client", () => ({
  // A constructor, which an arrow function is not.
  SignalingClient: function SignalingClient(_: unknown, listener: SignalingListener) {
    return new Client(listener);
  },
}));

vi.mock("../src/room/call", () => ({
  Call: class {
    serverGone(): void {}
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
  state: {
    version: 1,
    status: "open",
    live_since: null,
    speaker: null,
    participants: [],
    waiting: [],
  },
  sections: { audios: 1, videos: 1, tracks: [] },
  ice_servers: [],
};

const ENDED: Ended = {
  cause: "therapist",
  ended_by: "t",
  name: "Lena",
  ended_at: "2026-01-05T10:48:00Z",
  duration_s: 48 * 60,
  overlap_s: 47 * 60,
  confirmed_at: null,
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

describe("one who is to be admitted", () => {
  const WAITING: NotAdmitted = {
    waiting: true,
    participant_id: "c",
    role: "client",
    server_time: JOINED.server_time,
    session: JOINED.session,
  };

  test("waits, and is in once the therapist says so", async () => {
    answers.push(WAITING);
    const session = new RoomSession("s", "link");
    session.join();
    latest().listener.connected();
    await vi.waitFor(() => expect(session.phase).toBe("waiting"));
    expect(session.online).toBe(false);
    latest().listener.admitted();
    await vi.waitFor(() => expect(session.phase).toBe("in"));
  });

  test("waits again on a new socket after the old one was lost", async () => {
    answers.push(WAITING, WAITING);
    const session = new RoomSession("s", "link");
    session.join();
    latest().listener.connected();
    await vi.waitFor(() => expect(session.phase).toBe("waiting"));
    latest().listener.disconnected();
    latest().listener.connected();
    await vi.waitFor(() => expect(latest().asked).toEqual(["room:join", "room:join"]));
    expect(session.phase).toBe("waiting");
  });
});

describe("one who is early", () => {
  test("is told when the room opens and asks again then", async () => {
    vi.useFakeTimers({ now: Date.parse("2026-01-05T09:44:30Z") });
    const opens_at = "2026-01-05T09:45:00Z";
    const early = new Response(
      JSON.stringify({ error: { code: "session.not_open", message: "", opens_at } }),
      { status: 409 },
    );
    const open = new Response(JSON.stringify({ token: "join" }));
    const asked = vi.fn().mockResolvedValueOnce(early).mockResolvedValueOnce(open);
    vi.stubGlobal("fetch", asked);
    const session = new RoomSession("s", "link");
    await session.start();
    expect([session.phase, session.opensAt]).toEqual(["early", opens_at]);
    await vi.advanceTimersByTimeAsync(29_000);
    expect(session.phase).toBe("early");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(session.phase).toBe("prejoin");
    vi.useRealTimers();
  });
});

describe("one who comes without a link", () => {
  test("comes by the account, and signs in first where that is needed", async () => {
    const required = { error: { code: "sign_in.required", message: "" } };
    const asked = vi
      .fn()
      .mockResolvedValue(new Response(JSON.stringify(required), { status: 401 }));
    const assign = vi.fn();
    vi.stubGlobal("fetch", asked);
    vi.stubGlobal("location", { pathname: "/room/s", assign });
    await new RoomSession("s", "").start();
    expect(asked.mock.calls[0]?.[0]).toBe("/api/my/sessions/s/join-token");
    expect(assign).toHaveBeenCalledWith("/sign-in?next=%2Froom%2Fs");
  });
});
