"""The native relay: one port, UDP and TCP, one thread without the GIL, a few verbs.

A peer is one browser's transport. A track is one source that a peer sends; a subscription
is one slot of a peer's that receives, with an SSRC of its own for its whole life: its
source may change, what the subscriber sees stays one continuous stream.

Every verb is safe from any Python thread and takes effect before it returns. Handles are
never reused; a stale one raises RelayError(code="relay.unknown_handle").
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

# (IP, port) on UDP, (IP, port, connection) on TCP. A connection's number is never used again.
Address: TypeAlias = tuple[str, int] | tuple[str, int, int]

STUN: Final = 1
DTLS: Final = 2
CLOSED: Final = 3

# Codec families: what the relay must know to read a payload's descriptor.
OPUS: Final = 1
VP8: Final = 2
VP9: Final = 3
AV1: Final = 4
H264: Final = 5
OTHER_AUDIO: Final = 6
RED: Final = 7

class RelayError(Exception):
    """A verb that could not be done. Arguments out of their documented range are ValueErrors.

    code: "relay.unknown_handle"; "relay.address_in_use" (bind); "relay.not_bound" (select);
        "relay.connection_closed" (bind, select: a TCP address whose connection ended);
        "relay.ssrc_in_use" (add_subscription); "relay.forked" (any verb in a child process).
    """

    code: str

class Downlink(NamedTuple):
    """What is known of the way to a peer: totals since it was added, unless said otherwise.

    sent_bytes: everything that was sent, with 28 bytes of IP and UDP headers each;
        padding_bytes of them were in probes.
    From transport-wide feedback, all 0 where none comes:
    arrived_packets, arrived_bytes, lost_packets: RTP, what it said of each; a packet that
        was taken for lost and came moves over. What a lost message told of is in neither.
    arrival_us: how long arrived_bytes took to arrive, by the peer's clock.
    delay_us: the sum over arrived_packets of how much longer each was on its way than the
        first one; negative where the first one was slow.
    feedbacks: messages.
    probes: clusters whose result is known; probe_bits_per_second: at what rate the last arrived.
    From REMB: estimate (bit/s, the last one) and estimates (how many came).
    From receiver reports: blocks about what the peer receives, the sum of their
        fraction_lost (of 256), and round_trip_us (the last one; 0: not known).
    """

    sent_bytes: int
    padding_bytes: int
    arrived_packets: int
    arrived_bytes: int
    lost_packets: int
    arrival_us: int
    delay_us: int
    feedbacks: int
    probes: int
    probe_bits_per_second: int
    estimate: int
    estimates: int
    blocks: int
    fraction_lost: int
    round_trip_us: int

class Datagram(NamedTuple):
    """One packet that is not media, for Python to answer.

    STUN: a binding request whose USERNAME starts with an expected ufrag, not authenticated yet.
    DTLS: a record from an address that is bound to the peer.
    CLOSED: the TCP connection that was this address of the peer's ended, not by a verb; no data.
        Nothing is sent to the peer if it was the selected one.
    """

    kind: int
    peer: int
    address: Address
    data: bytes

class Relay:
    def __init__(
        self,
        host: str = "",
        port: int = 0,
        *,
        gather_us: int = 1000,
        offload: bool = True,
        tcp: bool = True,
        prove_within_ms: int = 10_000,
    ) -> None:
        """Bind one port; port 0 picks a free one. host "" means every address, IPv6 too.

        gather_us: how long packets may gather before a wake-up under load, 0..5000 µs.
        offload: use UDP GSO and GRO where the kernel has them.
        tcp: listen on the same port for TCP connections that carry frames (RFC 4571).
        prove_within_ms: after so long a connection that no peer is bound to is closed.
        At most 1,024 connections, or a quarter of the descriptors that the process may have; 16
            of one source (IPv4 address, IPv6 /64) that are bound to nobody: the oldest of these
            makes room. One is closed, too, for a frame over 1,500 bytes, for 16 KiB without a
            proof, and with the peer that it is bound to.
        Raises OSError when the port is taken, for UDP or TCP.
        """
    @property
    def port(self) -> int: ...
    @property
    def tcp(self) -> bool:
        """Whether it takes TCP connections."""
    def start(self) -> None: ...
    def stop(self) -> None:
        """End the thread, close the sockets and every connection; idempotent."""
    def wake(self) -> int:
        """Have the thread make a turn that it would not make yet; the turns it has made so far."""
    @property
    def turns(self) -> int:
        """How often the thread has gone round: received, forwarded, sent. A live one goes on
        within 2 ms of `wake`, whatever its load; one that ended or hangs never does."""
    @property
    def busy_us(self) -> int:
        """How long the thread was at work since the start, its waits left out; what others took
        of its core meanwhile is in it. As of its last turn."""
    def fileno(self) -> int:
        """An eventfd, readable when poll() has something."""
    def poll(self, limit: int = 64) -> list[Datagram]:
        """Take at most `limit` waiting datagrams; clears the eventfd when none is left."""
    def send(self, address: Address, data: bytes) -> None:
        """Send one datagram (STUN, DTLS) from the relay's port, or one frame over a connection;
        a full socket drops it."""

    # Peers
    def add_peer(
        self,
        payload_types: Mapping[int, tuple[int, int]] = ...,
        rtx: Mapping[int, int] = ...,
        extensions: Mapping[str, int] = ...,
    ) -> int: ...
    def configure_peer(
        self,
        peer: int,
        payload_types: Mapping[int, tuple[int, int]],
        rtx: Mapping[int, int],
        extensions: Mapping[str, int],
    ) -> None:
        """What this peer negotiated, valid for both directions (RFC 8843: one BUNDLE group).

        payload_types: payload type -> (codec family, variant). A packet is forwarded to a
            subscriber under that subscriber's payload type of the same family and variant,
            and dropped (counted) where it has none; of RED, a subscriber without it gets each
            packet's own block, under that one's family and variant.
        rtx: retransmission payload type -> payload type it repairs.
        extensions: name -> id (1..14 one-byte, to 255 two-byte). Names: mid, rid,
            repaired_rid, twcc, audio_level, video_orientation, dependency_descriptor,
            abs_send_time, playout_delay. Others are ignored.
        """
    def remove_peer(self, peer: int) -> None:
        """Forget it with its tracks, subscriptions and addresses; no packet to or from it after."""
    def expect(self, peer: int, ufrag: str) -> None:
        """STUN for this local ufrag is this peer's."""
    def forget(self, ufrag: str) -> None: ...
    def bind(self, peer: int, address: Address) -> None:
        """This address proved that it is the peer: accept DTLS, RTP and RTCP from it.

        Moves an address that was bound to another peer, but not while that one's media goes
        there and it was heard from there in the last 2 s: RelayError("relay.address_in_use").
        At most 8 per peer: the one that has been silent longest gives way, but not the one
        that media is sent to.
        """
    def select(self, peer: int, address: Address | None) -> None:
        """Send the peer's media to this bound address; None stops sending (consent lost)."""
    def set_keys(self, peer: int, profile: str, receive_key: bytes, send_key: bytes) -> None:
        """Start SRTP and SRTCP. profile: "SRTP_AEAD_AES_128_GCM", "SRTP_AEAD_AES_256_GCM" or
        "SRTP_AES128_CM_SHA1_80"; the keys are master key and salt, joined."""

    # What a peer sends
    def add_track(
        self,
        peer: int,
        kind: Literal["audio", "video"],
        mid: str,
        ssrcs: Sequence[int] = (),
        rtx_ssrcs: Sequence[int] = (),
        *,
        nack: bool = False,
        rids: Sequence[str] = (),
    ) -> int:
        """Packets with one of these SSRCs, or whose MID extension is `mid`, are this track's.

        rtx_ssrcs[i] repairs ssrcs[i]; without them RTX is known by payload type, MID and
            repaired RID.
        nack: the publisher sends again what is asked for. While video has a subscriber, a
            packet missing for 20 ms is asked for, up to four times within a second, and
            takes its place at the subscribers when it comes; one that does not come, or
            more than 256 missing, is a keyframe request. Without effect on sound.

        rids: the layers of its simulcast, lowest first, at most 4 of 1..16 bytes: a stream with
            RID i is layer i. Without them the track has one layer, whatever RID a stream has.

        An SSRC seen with the MID (and RID) once is remembered: browsers stop sending them after
        a second. One SSRC is forwarded at a time for each layer; another takes over when it has
        been silent for 1.5 s. mid: at most 32 bytes. Of a video layer that a subscriber gets,
        or is to get, the last packets are kept (256 KiB) for NACKs.
        """
    def remove_track(self, track: int) -> None: ...
    def set_forwarding(self, track: int, enabled: bool) -> None:
        """False drops the track's packets before any subscriber (mute); none leaves after it
        returns. Subscribers see no sequence gap. Video resumes at a keyframe."""
    def request_keyframe(self, track: int) -> None:
        """Send the publisher a PLI, at most one in 500 ms; asked again until a keyframe comes."""

    # What a peer receives
    def add_subscription(
        self,
        peer: int,
        kind: Literal["audio", "video"],
        mid: str,
        ssrc: int,
        rtx_ssrc: int = 0,
    ) -> int:
        """A slot. An SSRC that the peer had before goes on where it ended, never again from the
        start: the keys are the same. An rtx_ssrc belongs to its ssrc for ever.

        The subscriber's NACKs are answered as RTX with rtx_ssrc under the payload type that
        repairs the packet's (see configure_peer), from the source's last packets; not at all
        where either is missing (0), nor for a number that was sent again in the last 40 ms,
        nor beyond as many bytes as were sent at first and 64 KiB.
        """
    def remove_subscription(self, subscription: int) -> None: ...
    def set_source(self, subscription: int, track: int | None) -> None:
        """Feed the slot from another track, or from none.

        The subscriber's SSRC stays; its sequence number goes on at last + 1 and its timestamp
        at last + elapsed time. Video asks the new source for a keyframe and drops until it.
        """
    def set_layer(self, subscription: int, spatial: int, temporal: int = 7) -> None:
        """Which layer of its source the slot is to get, of whatever source it has.

        spatial: 0..7, of a simulcast track's layers, lowest first, or of a scalable stream's
            spatial layers (VP9; AV1 with a dependency descriptor); a number beyond them is the
            highest, which a new subscription is to get. -1: nothing flows, audio or video,
            and no packet leaves after it returns; no gap is seen.
        temporal: 0..7, the highest temporal layer of VP9 and AV1. Without effect on others.

        A switch happens at a keyframe of the new layer, which is asked for; until then the old
        one goes on, for ever if need be: that the publisher stopped a layer is the caller's to
        see (layer_stats) and to act on. A slot that gets nothing yet begins with the first
        keyframe of its layer or a lower one. A scalable stream goes down with the next picture.
        """

    def set_playout_delay(self, subscription: int, delay_ms: int) -> None:
        """The least time, 0..10000 ms in steps of 10, that the viewer's browser is to hold a
        picture back before it shows it. Told with every packet from now on, where playout_delay
        is negotiated; without effect elsewhere.

        Source: http://www.webrtc.org/experiments/rtp-hdrext/playout-delay
        """

    # Rates
    def downlink(self, peer: int) -> Downlink:
        """What is known of the way to this peer. Cheap: a microsecond."""
    def probe(self, peer: int, bits_per_second: int, duration_ms: int) -> None:
        """See whether that rate arrives: for so long (1..1000 ms) padding fills up what media
        leaves of it. Each goes out at the next 5 ms.

        The result is in downlink() once feedback has told of all of it. A new probe takes the
        place of one that is not over. Nothing is sent to a peer that agreed on no RTX, has no
        video slot or no transport-wide numbers.
        """
    def cap(self, track: int, bits_per_second: int | None) -> None:
        """Tell the publisher of this track to send at most so much, everything it sends
        together (REMB): at once, and again every second. None lifts it."""

    # Figures
    def stats(self) -> dict[str, int]:
        """Totals since start: packets and bytes in and out, a counter per reason of a drop.

        packets_in, bytes_in, packets_out, bytes_out, stun_up, dtls_up, rtp_in, rtcp_in,
        padding_only, probes_sent, offload_refused, and dropped_*: protocol, stun, ufrag, unbound,
        oversize, ring_full, no_keys, authentication, replay, malformed, ssrc_limit, unknown_ssrc,
        other_ssrc, duplicate, muted, payload_type, waiting_keyframe, late, protect, send,
        receive_buffer.
        TCP: tcp_opened, tcp_closed (connections), dropped_tcp_limit and dropped_tcp_unproven
        (connections that made room, or proved nothing), dropped_tcp_frame (connections with a
        frame too long), dropped_tcp_send (packets that a connection had no room for).
        Loss from publishers: nacks_sent (numbers asked for, each time), retransmissions_received
        (RTX packets), recovered (numbers that came after they were asked for), given_up (that
        never came, or were too many). To subscribers: nacks_received (numbers),
        retransmissions_sent.
        dropped_duplicate: video that came before, as itself or as RTX, or over 1,024 numbers late.
        """
    def objects(self) -> dict[str, int]:
        """What there is now: peers, tracks, subscriptions."""
    def peer_stats(self, peer: int) -> dict[str, int]:
        """packets_in, bytes_in, packets_out, bytes_out, authentication_failures, replays,
        addresses, ssrcs, round_trip_us (-1: not known; of its last receiver report)."""
    def track_stats(self, track: int) -> dict[str, int]:
        """packets, bytes, lost, jitter (clock units), keyframes, plis_sent, nacks_sent,
        retransmissions_received, recovered, given_up, age_ms.

        packets, bytes, lost: of what was sent first; recovered ones stay lost here.
        age_ms: since the last packet; -1 before the first.
        """
    def layer_stats(self, track: int) -> list[dict[str, int]]:
        """packets, bytes, age_ms (-1: never), keyframes of each layer, lowest first, since the
        track was added. They count what arrives, whether or not somebody gets it. Of a track
        without simulcast: of each spatial layer that was seen, what it alone carries; its
        keyframes are the lowest one's."""
    def silences_ms(self, peers: Sequence[int]) -> list[int]:
        """How long ago an authentic packet last came from each peer; -1: never, or no such peer."""

    def audio_levels(self, tracks: Sequence[int]) -> list[int]:
        """The loudest level of each track since it was last asked for here, by its audio_level
        extension: 0 (full scale) to 127 dB below; 127 where nothing came, or is forwarded."""
    def subscription_stats(self, subscription: int) -> dict[str, int]:
        """packets, bytes, dropped, nacks_received, retransmissions_sent, fraction_lost (of 256),
        round_trip_us (-1: not known), layer (that flows now; -1: none)."""
