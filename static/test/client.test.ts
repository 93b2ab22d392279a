import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { SignalingClient } from "../src/signaling/client";
import { Unreachable } from "../src/signaling/errors";
import type { ErrorBody } from "../src/signaling/protocol";

type Authenticate = (send: (auth: object) => void) => void;
type Handler = (payload?: unknown) => void;

/** A Socket.IO socket; what happens on the wire is what a test says. */
class Wire {
  connected = false;
  readonly sent: object[] = [];
  readonly asked: string[] = [];
  readonly handlers = new Map<string, Handler>();
  readonly timeoutMs: number;
  attempts = 0;
  left = false;
  answer: ((ack: object) => void) | undefined;
  readonly io = { engine: { close: () => this.lose() } };
  readonly #authenticate: Authenticate;

  constructor(authenticate: Authenticate, timeoutMs: number) {
    this.#authenticate = authenticate;
    this.timeoutMs = timeoutMs;
    wires.push(this);
  }

  on(event: string, handler: Handler): void {
    this.handlers.set(event, handler);
  }

  onAny(): void {}

  connect(): void {
    this.attempts += 1;
  }

  disconnect(): void {
    this.left = true;
    this.lose();
  }

  timeout(ms: number) {
    return {
      emitWithAck: (event: string) => {
        this.asked.push(event);
        return new Promise((resolve, reject) => {
          this.answer = resolve;
          setTimeout(() => reject(new Error("operation has timed out")), ms);
        });
      },
    };
  }

  /** The engine opens: the client says who it is. */
  opens(): void {
    this.#authenticate((auth) => this.sent.push(auth));
  }

  welcomes(): void {
    this.connected = true;
    this.handlers.get("connect")?.();
  }

  lose(): void {
    this.connected = false;
    this.handlers.get("disconnect")?.();
  }

  hangs(): void {
    this.handlers.get("connect_error")?.(new Error("timeout"));
  }
}

const wires: Wire[] = [];

vi.mock("socket.io-client", () => ({
  io: ({ auth, timeout }: { auth: Authenticate; timeout: number }) => new Wire(auth, timeout),
}));

const told: string[] = [];
const refused = vi.fn();

function client(): SignalingClient {
  return new SignalingClient(
    { link: "link" },
    {
      connected: () => told.push("connected"),
      disconnected: () => told.push("disconnected"),
      proven: () => told.push("proven"),
      refused,
      stateChanged: () => {},
      sectionsChanged: () => {},
      layersChanged: () => {},
      ended: () => {},
      replaced: () => {},
      admitted: () => {},
    },
  );
}

function wire(number = 0): Wire {
  const made = wires[number];
  if (made === undefined) throw new Error(`no socket ${number} was made`);
  return made;
}

function serverAnswers(status: number, body: { token: string } | { error: ErrorBody }): void {
  vi.stubGlobal("fetch", async () => new Response(JSON.stringify(body), { status }));
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
  wires.length = 0;
  told.length = 0;
  refused.mockClear();
  serverAnswers(200, { token: "good" });
});

afterEach(() => vi.useRealTimers());

describe("a new join token", () => {
  test("is fetched while the socket opens", async () => {
    const fetched = vi.fn(async () => new Response(JSON.stringify({ token: "good" })));
    vi.stubGlobal("fetch", fetched);
    client().connect();
    expect(fetched).toHaveBeenCalledOnce();
    wire().opens();
    await pass(0);
    expect(wire().sent).toEqual([{ token: "good" }]);
  });

  test("is not asked for where one is at hand", async () => {
    const fetched = vi.fn();
    vi.stubGlobal("fetch", fetched);
    client().connect("at hand");
    wire().opens();
    await pass(0);
    expect(fetched).not.toHaveBeenCalled();
    expect(wire().sent).toEqual([{ token: "at hand" }]);
  });

  test("is not asked for again once the link has expired", async () => {
    serverAnswers(401, { error: { code: "token.expired", message: "" } });
    client().connect();
    wire().opens();
    await pass(10_000);
    expect(refused).toHaveBeenCalledOnce();
    expect(refused.mock.calls[0]?.[0].code).toBe("token.expired");
    expect(wire().attempts).toBe(1);
  });

  test("is asked for again after too many requests", async () => {
    serverAnswers(429, { error: { code: "rate.limited", message: "" } });
    client().connect();
    wire().opens();
    await pass(1_000);
    expect(refused).not.toHaveBeenCalled();
    expect(wire().attempts).toBeGreaterThan(1);
  });

  test("is sent only in the attempt that asked for it, which ends with the attempt", async () => {
    const answers: ((response: Response) => void)[] = [];
    const signals: AbortSignal[] = [];
    vi.stubGlobal("fetch", (_: string, { signal }: { signal: AbortSignal }) => {
      signals.push(signal);
      return new Promise((resolve) => answers.push(resolve));
    });
    client().connect();
    wire().opens();
    wire().hangs();
    await pass(0);
    wire().opens();
    for (const token of ["late", "own"]) {
      answers.shift()?.(new Response(JSON.stringify({ token })));
    }
    await pass(0);
    expect(wire().sent).toEqual([{ token: "own" }]);
    expect(signals.map((signal) => signal.aborted)).toEqual([true, false]);
  });
});

describe("a request", () => {
  test("that nobody acknowledges drops its socket, so that a new one repairs it", async () => {
    const signaling = client();
    signaling.connect();
    wire().welcomes();
    const asked = expect(signaling.request("state:set", {})).rejects.toBeInstanceOf(Unreachable);
    await pass(10_000);
    await asked;
    expect(told).toEqual(["connected", "disconnected"]);
    await pass(250);
    expect(wire().attempts).toBe(2);
  });
});

describe("attempts", () => {
  test("follow each other at once for half a minute while nothing answers at all", async () => {
    client().connect();
    for (let n = 1; n <= 15; n += 1) {
      expect(wire().attempts).toBe(n);
      // Socket.IO gives the engine this long to open.
      expect(wire().timeoutMs).toBe(2_000);
      wire().hangs();
      await pass(0);
    }
    wire().hangs();
    await pass(2_000);
    expect(wire().attempts).toBe(16);
    await pass(3_000);
    expect(wire().attempts).toBe(17);
  });

  test("end after six seconds where the server opens and does not welcome", async () => {
    client().connect();
    wire().opens();
    await pass(5_999);
    expect(wire().attempts).toBe(1);
    await pass(2);
    expect(wire().attempts).toBe(2);
  });
});

describe("a socket in doubt", () => {
  function doubted(): SignalingClient {
    const signaling = client();
    signaling.connect();
    wire().welcomes();
    told.length = 0;
    signaling.prove();
    return signaling;
  }

  test("stays when the server answers on it, and the one beside it takes its leave", async () => {
    doubted();
    expect(wire().asked).toEqual(["room:sync"]);
    expect(wire(1).attempts).toBe(1);
    wire().answer?.({ ok: false, error: { code: "room.not_joined", message: "" } });
    await pass(60_000);
    expect(told).toEqual(["proven"]);
    expect(wire().left).toBe(false);
    expect(wire(1).left).toBe(true);
    expect(wire(1).attempts).toBe(1);
  });

  test("gives way to the one that the server answers on first", async () => {
    const signaling = doubted();
    wire(1).welcomes();
    expect(told).toEqual(["disconnected", "connected"]);
    expect(wire().left).toBe(true);
    void signaling.request("room:join", {}).catch(() => {});
    expect(wire(1).asked).toEqual(["room:join"]);
  });

  test("is given up after 3 s, and the one beside it is tried until it comes", async () => {
    doubted();
    for (let n = 0; n < 4; n += 1) {
      await pass(1_000);
      wire(1).hangs();
    }
    await pass(0);
    expect(told).toEqual(["disconnected"]);
    expect(wire(1).attempts).toBe(5);
    expect(wire().attempts).toBe(1);
    wire(1).welcomes();
    expect(told).toEqual(["disconnected", "connected"]);
    await pass(60_000);
    expect(wires.length).toBe(2);
  });

  test("is not doubted twice at a time", () => {
    doubted().prove();
    expect(wires.length).toBe(2);
  });

  test("that is away already is not waited for any longer", async () => {
    const signaling = client();
    signaling.connect();
    for (let n = 0; n < 4; n += 1) {
      wire().lose();
      await pass(4_000);
    }
    wire().lose();
    const before = wire().attempts;
    signaling.prove();
    expect(wire().attempts).toBe(before + 1);
    expect(wires.length).toBe(1);
  });
});
