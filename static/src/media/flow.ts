/**
 * What the browser's statistics say about whether media moves. Pure.
 */

export interface FlowSample {
  /** When it was taken, ms on a clock that never jumps. */
  at: number;
  /** Totals since the connection was made. */
  packetsSent: number;
  bytesReceived: number;
  /** A counter per receiving section that grows while its picture or sound moves. */
  progress: ReadonlyMap<string, number>;
  /** ms; absent before the first measurement. */
  rttMs: number | undefined;
  /** How long ago the last packet came, ms; absent where the browser does not say. */
  silentMs: number | undefined;
}

interface StatsEntry {
  type: string;
  timestamp?: number;
  kind?: string;
  mid?: string;
  packetsSent?: number;
  packetsReceived?: number;
  framesDecoded?: number;
  bytesReceived?: number;
  nominated?: boolean;
  currentRoundTripTime?: number;
  lastPacketReceivedTimestamp?: number;
}

/**
 * One sample of a connection. visible: while the page is hidden a browser may stop decoding,
 * so that only arriving packets count as progress of a picture.
 */
export function sampleFlow(
  report: ReadonlyMap<string, unknown>,
  at: number,
  visible: boolean,
): FlowSample {
  const progress = new Map<string, number>();
  let [packetsSent, bytesReceived] = [0, 0];
  let [rttMs, silentMs]: (number | undefined)[] = [];
  for (const entry of report.values() as Iterable<StatsEntry>) {
    if (entry.type === "outbound-rtp") packetsSent += entry.packetsSent ?? 0;
    if (entry.type === "inbound-rtp") {
      const decoded = entry.kind === "video" && visible ? entry.framesDecoded : undefined;
      if (entry.mid !== undefined) {
        progress.set(entry.mid, decoded ?? entry.packetsReceived ?? 0);
      }
    }
    if (entry.type === "candidate-pair") {
      bytesReceived += entry.bytesReceived ?? 0;
      if (entry.nominated && entry.currentRoundTripTime !== undefined) {
        rttMs = entry.currentRoundTripTime * 1000;
      }
      if (entry.timestamp !== undefined && entry.lastPacketReceivedTimestamp) {
        const ago = entry.timestamp - entry.lastPacketReceivedTimestamp;
        silentMs = Math.min(silentMs ?? ago, ago);
      }
    }
  }
  return {
    at,
    packetsSent,
    bytesReceived,
    progress,
    rttMs,
    silentMs,
  };
}

/** Whether everything that ought to move (sections by mid) moved between two samples. */
export function moved(before: FlowSample, now: FlowSample, expected: Iterable<string>): boolean {
  for (const mid of expected) {
    if ((now.progress.get(mid) ?? 0) <= (before.progress.get(mid) ?? 0)) return false;
  }
  // The relay answers whatever we send (feedback, reports), so silence from it is a sign as well.
  const silent = now.bytesReceived <= before.bytesReceived;
  return !(silent && now.packetsSent > before.packetsSent);
}

/** Notices that the whole connection has fallen silent, from samples taken now and then. */
export class StallWatch {
  // While media is sent, the relay gives feedback every 100 ms. What is lost at once on a bad link,
  // 300 ms, is no stall; one round trip goes by before the feedback is here again.
  static readonly SILENCE_MS = 350;
  // Fewer packets sent than this, as in silence with DTX, may have been lost one by one.
  static readonly UNANSWERED = 8;
  // 2.5 s where nothing is sent: reports come once a second, and Wi-Fi roams take up to two.
  static readonly LIMIT_MS = 2_500;
  // The first ICE checks and the DTLS handshake may cross a slow network or a relay of its own.
  static readonly FIRST_LIMIT_MS = 8_000;
  #lastMoved: FlowSample | undefined;
  #wasUp = false;
  #doubtful = false;

  /** Nothing came since the sample before: worth another look soon. */
  get doubtful(): boolean {
    return this.#doubtful;
  }

  /** transportUp: the browser calls the connection "connected". True when stalled. */
  observe(sample: FlowSample, transportUp: boolean): boolean {
    this.#wasUp ||= transportUp;
    const last = this.#lastMoved;
    this.#doubtful = last !== undefined && !(transportUp && moved(last, sample, []));
    if (last === undefined || !this.#doubtful) {
      this.#lastMoved = sample;
      return false;
    }
    const silentMs = sample.at - last.at;
    if (!this.#wasUp) return silentMs > StallWatch.FIRST_LIMIT_MS;
    if (silentMs > StallWatch.LIMIT_MS) return true;
    const unanswered = sample.packetsSent - last.packetsSent;
    if (sample.rttMs === undefined || unanswered < StallWatch.UNANSWERED) return false;
    return (sample.silentMs ?? silentMs) > StallWatch.SILENCE_MS + sample.rttMs;
  }

  reset(): void {
    this.#lastMoved = undefined;
    this.#wasUp = false;
    this.#doubtful = false;
  }
}
