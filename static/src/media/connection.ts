/**
 * One RTCPeerConnection to the relay: what we send, what we receive, and the offers about it.
 *
 * The browser always offers. One offer is outstanding at a time; whatever is asked meanwhile
 * goes into the next one. Knows neither the socket nor the page: `exchange` carries the offer.
 */

import type { Answer, Layers, Offer, Sections, Source, TrackSlot } from "../signaling/protocol";
import { relayedCodecs } from "./codecs";
import { cameraEncodings, LayerSwitch, type Size } from "./layers";
import { type Played, playedBySection, soundTarget } from "./lips";

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
  readonly #senders: Record<"microphone" | "camera", RTCRtpTransceiver> & {
    screen?: RTCRtpTransceiver;
  };
  readonly #cameraLayers: LayerSwitch;
  readonly #exchange: Exchange;
  readonly #listener: ConnectionListener;
  #slots: TrackSlot[] = [];
  #seq = 0;
  #closed = false;
  /** What was played when `keepLips` last looked, by section. */
  #played = new Map<string, Played>();
  #established = false;
  #offerWanted = false;
  #offering: Promise<void> | undefined;

  /**
   * layers: what the server last said is watched of what we send, if it did.
   * camera: the size of the picture that is to be sent.
   */
  constructor(
    iceServers: RTCIceServer[],
    exchange: Exchange,
    listener: ConnectionListener,
    layers: Layers | undefined,
    camera: Size,
  ) {
    this.#exchange = exchange;
    this.#listener = listener;
    this.#pc = new RTCPeerConnection(configuration(iceServers));
    // Both sections exist from the start, so that a device that comes later needs no new offer.
    this.#senders = {
      microphone: this.#pc.addTransceiver("audio", { direction: "sendonly" }),
      camera: this.#addVideo("sendonly", cameraEncodings(camera)),
    };
    this.#cameraLayers = new LayerSwitch(this.#senders.camera.sender, watchedOf(layers));
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

  /**
   * Send this track, or nothing, in place of what the source sent so far. The first screen makes a
   * section, which stays for the ones to come, and an offer.
   */
  async send(source: Source, track: MediaStreamTrack | null): Promise<void> {
    if (this.#closed) return;
    const known = this.#senders[source];
    if (known === undefined && track === null) return;
    const { sender } = known ?? this.#addScreen();
    if (sender.track !== track) await sender.replaceTrack(track);
    if (source === "camera") await this.#cameraLayers.settle();
    if (known === undefined && this.#seq > 0) await this.#offer();
  }

  /** The server said which layers of what we send are watched. */
  watch(layers: Layers): void {
    const watched = watchedOf(layers);
    if (watched !== undefined) void this.#cameraLayers.watch(watched);
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

  /**
   * Look for another way to the relay at once: it takes checks from new ports before it has heard
   * of them. The offer that belongs to them is `unanswered` meanwhile.
   */
  async seekPath(): Promise<void> {
    if (this.#offering !== undefined || this.#pc.signalingState !== "stable") return;
    this.#pc.restartIce();
    await this.#pc.setLocalDescription();
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

  stats(): Promise<RTCStatsReport> {
    return this.#pc.getStats();
  }

  /** report: of `stats`, about once a second. Holds sound back where pictures are held back. */
  keepLips(report: RTCStatsReport): void {
    const played = playedBySection(report as never);
    for (const { participant_id: id, source, mid } of this.#slots) {
      if (source !== "microphone") continue;
      const camera = this.#slots.find((s) => s.participant_id === id && s.source === "camera");
      const [sound, picture] = [played.get(mid), played.get(camera?.mid ?? "")];
      const before = this.#played.get(mid);
      const receiver = this.#pc.getTransceivers().find((t) => t.mid === mid)?.receiver;
      // Browsers without jitterBufferTarget do as they like.
      if (!sound || !picture || !before || receiver?.jitterBufferTarget === undefined) continue;
      const target = soundTarget(before, sound, picture, receiver.jitterBufferTarget);
      if (target !== receiver.jitterBufferTarget) receiver.jitterBufferTarget = target;
    }
    this.#played = played;
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

  #addScreen(): RTCRtpTransceiver {
    this.#senders.screen = this.#addVideo("sendonly");
    return this.#senders.screen;
  }

  #addVideo(
    direction: "sendonly" | "recvonly",
    sendEncodings: RTCRtpEncodingParameters[] = [],
  ): RTCRtpTransceiver {
    const transceiver = this.#pc.addTransceiver("video", { direction, sendEncodings });
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
      // What was set before the first answer, Chromium has forgotten with it.
      await this.#cameraLayers.settle();
      this.#slots = answer.sections.tracks;
      if (this.#addSections(answer.sections)) this.#offerWanted = true;
      this.#listener.tracksChanged();
    }
  }

  #sources(): Record<string, Source> {
    const sources: Record<string, Source> = {};
    for (const source of ["microphone", "camera", "screen"] as const) {
      const mid = this.#senders[source]?.mid ?? null;
      if (mid !== null) sources[mid] = source;
    }
    return sources;
  }
}

function watchedOf(layers: Layers | undefined): ReadonlySet<string> | undefined {
  const camera = layers?.tracks.find(({ source }) => source === "camera");
  return camera && new Set(camera.layers);
}
