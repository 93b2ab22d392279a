/**
 * One RTCPeerConnection to the relay: what we send, what we receive, and the offers about it.
 *
 * The browser always offers. One offer is outstanding at a time; whatever is asked meanwhile
 * goes into the next one. Knows neither the socket nor the page: `exchange` carries the offer.
 */

import type { Answer, Offer, Sections, Source, TrackSlot } from "../signaling/protocol";
import { relayedCodecs } from "./codecs";
import type { Device } from "./devices";

// Browsers repeat the last level for ten seconds after the last packet.
const LEVEL_AGE_MS = 500;

export type Exchange = (offer: Offer) => Promise<Answer>;

export interface ConnectionListener {
  /** The browser's view of the transport changed. */
  transportChanged(): void;
  /** Another participant's tracks are now elsewhere: read `received()` again. */
  tracksChanged(): void;
  /** An offer of our own accord (new sections) could not be answered. */
  offerFailed(error: unknown): void;
}

export interface ReceivedTrack extends TrackSlot {
  track: MediaStreamTrack;
}

function configuration(iceServers: RTCIceServer[]): RTCConfiguration {
  // max-bundle: one transport from the first packet on; Firefox's ICE flaps at each offer without.
  return { iceServers, bundlePolicy: "max-bundle" };
}

export class MediaConnection {
  readonly id = crypto.randomUUID();
  readonly #pc: RTCPeerConnection;
  readonly #senders: Record<Device, RTCRtpTransceiver>;
  readonly #exchange: Exchange;
  readonly #listener: ConnectionListener;
  #slots: TrackSlot[] = [];
  #seq = 0;
  #closed = false;
  #established = false;
  #offerWanted = false;
  #offering: Promise<void> | undefined;

  constructor(iceServers: RTCIceServer[], exchange: Exchange, listener: ConnectionListener) {
    this.#exchange = exchange;
    this.#listener = listener;
    this.#pc = new RTCPeerConnection(configuration(iceServers));
    // Both sections exist from the start, so that a device that comes later needs no new offer.
    this.#senders = {
      microphone: this.#pc.addTransceiver("audio", { direction: "sendonly" }),
      camera: this.#addVideo("sendonly"),
    };
    this.#pc.addEventListener("connectionstatechange", () => {
      this.#established ||= this.state === "connected";
      listener.transportChanged();
    });
  }

  get state(): RTCPeerConnectionState {
    return this.#pc.connectionState;
  }

  /** Media could flow at some time. */
  get established(): boolean {
    return this.#established;
  }

  /** Beyond repair: an ICE restart cannot help. */
  get broken(): boolean {
    const transport = this.#senders.microphone.sender.transport;
    return this.#pc.connectionState === "closed" || transport?.state === "failed";
  }

  /** The last offer got no answer, for example because the socket went away meanwhile. */
  get unanswered(): boolean {
    return this.#pc.signalingState === "have-local-offer" && this.#offering === undefined;
  }

  /** Send this track, or nothing, in place of what the source sent so far. */
  async send(source: Device, track: MediaStreamTrack | null): Promise<void> {
    if (this.#closed) return;
    const { sender } = this.#senders[source];
    if (sender.track !== track) await sender.replaceTrack(track);
  }

  /** Have the sections that the server asks for; makes the first offer, and later ones as needed. */
  async connect(sections: Sections): Promise<void> {
    this.#addSections(sections);
    await this.#offer();
  }

  /** Take what the server says flows where; offers only when it asks for more sections. */
  take(sections: Sections): void {
    if (this.#closed) return;
    this.#slots = sections.tracks;
    if (this.#addSections(sections)) {
      this.#offer().catch((error: unknown) => this.#listener.offerFailed(error));
    }
    this.#listener.tracksChanged();
  }

  /**
   * New ICE credentials on the same connection; done when the answer is in.
   * iceServers: the latest; the credentials of earlier ones may have expired.
   */
  async restartIce(iceServers: RTCIceServer[]): Promise<void> {
    this.#pc.setConfiguration(configuration(iceServers));
    this.#pc.restartIce();
    await this.#offer();
  }

  /** Offer again what was not answered. */
  async resume(): Promise<void> {
    await this.#offer();
  }

  /** The tracks that others send us, as far as the answer has settled their sections. */
  received(): ReceivedTrack[] {
    const byMid = new Map(this.#pc.getTransceivers().map((t) => [t.mid, t.receiver.track]));
    return this.#slots.flatMap((slot) => {
      const track = byMid.get(slot.mid);
      return track === undefined ? [] : [{ ...slot, track }];
    });
  }

  /** The audio level (0..1) of each section that sound comes in just now, by its mid. */
  audioLevels(): Map<string, number> {
    const levels = new Map<string, number>();
    const recent = performance.timeOrigin + performance.now() - LEVEL_AGE_MS;
    for (const { mid, receiver } of this.#pc.getTransceivers()) {
      if (mid === null || receiver.track.kind !== "audio") continue;
      const [source] = receiver.getSynchronizationSources();
      if (source !== undefined && source.timestamp > recent)
        levels.set(mid, source.audioLevel ?? 0);
    }
    return levels;
  }

  stats(): Promise<RTCStatsReport> {
    return this.#pc.getStats();
  }

  close(): void {
    this.#closed = true;
    this.#pc.close();
  }

  #addSections({ audios, videos }: Sections): boolean {
    let added = false;
    for (const [kind, wanted] of [
      ["audio", audios],
      ["video", videos],
    ] as const) {
      const have = this.#pc
        .getTransceivers()
        .filter((t) => t.direction === "recvonly" && t.receiver.track.kind === kind).length;
      for (let i = have; i < wanted; i++) {
        if (kind === "video") this.#addVideo("recvonly");
        else this.#pc.addTransceiver("audio", { direction: "recvonly" });
        added = true;
      }
    }
    return added;
  }

  #addVideo(direction: "sendonly" | "recvonly"): RTCRtpTransceiver {
    const transceiver = this.#pc.addTransceiver("video", { direction });
    const side = direction === "sendonly" ? RTCRtpSender : RTCRtpReceiver;
    transceiver.setCodecPreferences(relayedCodecs(side.getCapabilities("video")?.codecs ?? []));
    return transceiver;
  }

  #offer(): Promise<void> {
    this.#offerWanted = true;
    this.#offering ??= this.#offerUntilSettled().finally(() => {
      this.#offering = undefined;
    });
    return this.#offering;
  }

  async #offerUntilSettled(): Promise<void> {
    while (this.#offerWanted && !this.#closed) {
      this.#offerWanted = false;
      await this.#pc.setLocalDescription();
      this.#seq += 1;
      const answer = await this.#exchange({
        connection: this.id,
        seq: this.#seq,
        // Sent before candidates are gathered: an ICE-lite server needs none of ours.
        sdp: this.#pc.localDescription?.sdp ?? "",
        sources: this.#sources(),
      });
      if (this.#closed) return;
      await this.#pc.setRemoteDescription({ type: "answer", sdp: answer.sdp });
      this.#slots = answer.sections.tracks;
      if (this.#addSections(answer.sections)) this.#offerWanted = true;
      this.#listener.tracksChanged();
    }
  }

  #sources(): Record<string, Source> {
    const sources: Record<string, Source> = {};
    for (const source of ["microphone", "camera"] as const) {
      const mid = this.#senders[source].mid;
      if (mid !== null) sources[mid] = source;
    }
    return sources;
  }
}
