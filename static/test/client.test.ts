import { beforeEach, describe, expect, test, vi } from "vitest";
import { SignalingClient, type SignalingListener } from "../src/signaling/client";
import { Unreachable } from "../src/signaling/errors";
import type { ErrorBody } from "../src/signaling/protocol";

type Authenticate = (send: (auth: object) => void) => void;

class Engine {
  closed = false;

  close(): void {
    this.closed = true;
  }
}

/** A Socket.IO socket on an engine that opens at once; nobody acknowledges anything. */
class Socket {
  connected = false;
  readonly io = { engine: new Engine() };
  readonly sent: object[] = [];
  readonly #authenticate: Authenticate;

  constructor(authenticate: Authenticate) {
    this.#authenticate = authenticate;
  }

  on(): void {}

  connect(): void {
    this.io.engine = new Engine();
    this.#authenticate((auth) => this.sent.push(auth));
  }

  disconnect(): void {
    this.connected = false;
  }

  timeout() {
    return { emitWithAck: () => Promise.reject(new Error("operation has timed out")) };
  }
}

let socket: Socket;

vi.mock("socket.io-client", () => ({
  io: ({ auth }: { auth: Authenticate }) => {
    socket = new Socket(auth);
    return socket;
  },
}));

const refused = vi.fn();

function client(): SignalingClient {
  const nothing = () => {};
  const listener: SignalingListener = {
    connected: nothing,
    disconnected: nothing,
    refused,
    stateChanged: nothing,
    sectionsChanged: nothing,
    ended: nothing,
    replaced: nothing,
  };
  return new SignalingClient("link", listener);
}

function serverAnswers(status: number, body: { token: string } | { error: ErrorBody }): void {
  vi.stubGlobal("fetch", async () => new Response(JSON.stringify(body), { status }));
}

beforeEach(() => {
  refused.mockClear();
  vi.stubGlobal("window", new EventTarget());
});

describe("a new join token", () => {
  test("is not asked for again once the link has expired", async () => {
    serverAnswers(401, { error: { code: "token.expired", message: "" } });
    client().connect();
    await vi.waitFor(() => expect(refused).toHaveBeenCalledOnce());
    expect(refused.mock.calls[0]?.[0].code).toBe("token.expired");
  });

  test("is asked for again after too many requests", async () => {
    serverAnswers(429, { error: { code: "rate.limited", message: "" } });
    client().connect();
    // The close of the engine plans the next attempt.
    await vi.waitFor(() => expect(socket.io.engine.closed).toBe(true));
    expect(refused).not.toHaveBeenCalled();
  });

  test("is sent only on the engine that asked for it", async () => {
    const answers: ((response: Response) => void)[] = [];
    vi.stubGlobal("fetch", () => new Promise((resolve) => answers.push(resolve)));
    client().connect();
    socket.connect();
    for (const token of ["late", "own"]) {
      answers.shift()?.(new Response(JSON.stringify({ token })));
    }
    await vi.waitFor(() => expect(socket.sent).toContainEqual({ token: "own" }));
    expect(socket.sent).toEqual([{ token: "own" }]);
  });
});

describe("a request", () => {
  test("that nobody acknowledges closes its engine, so that a new socket repairs it", async () => {
    const signaling = client();
    socket.connected = true;
    const asked = signaling.request("state:set", { microphone: false });
    await expect(asked).rejects.toBeInstanceOf(Unreachable);
    expect(socket.io.engine.closed).toBe(true);
  });
});
