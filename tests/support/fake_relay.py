"""The relay's verbs without a socket: what the media plane told it, as plain values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from media.relay import Downlink, RelayError

Address = tuple[str, int] | tuple[str, int, int]


@dataclass
class FakePeer:
    ufrags: set[str] = field(default_factory=set)
    bound: set[Address] = field(default_factory=set)
    selected: Address | None = None
    keys: tuple[str, bytes, bytes] | None = None
    packets_in: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    round_trip_us: int = -1
    downlink: Downlink = field(default_factory=lambda: Downlink(*[0] * len(Downlink._fields)))
    probes: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class FakeTrack:
    peer: int
    kind: str
    mid: str
    ssrcs: tuple[int, ...]
    nack: bool
    rids: tuple[str, ...] = ()
    forwarding: bool = True
    level: int = 127
    packets: int = 0
    lost: int = 0
    recovered: int = 0
    jitter: int = 0
    layers: list[dict[str, int]] = field(default_factory=list)
    caps: list[int | None] = field(default_factory=list)


@dataclass
class FakeSubscription:
    peer: int
    kind: str
    mid: str
    ssrc: int
    rtx_ssrc: int
    source: int | None = None
    layer: tuple[int, int] = (7, 7)
    playout_delays: list[int] = field(default_factory=list)
    flowing: int = -1
    packets: int = 0
    fraction_lost: int = 0


class FakeRelay:
    """Keeps what media/relay/core.pyi says it keeps; stale handles raise KeyError."""

    port = 5004
    tcp = True

    def __init__(self) -> None:
        self._handles = count(1)
        self.peers: dict[int, FakePeer] = {}
        self.tracks: dict[int, FakeTrack] = {}
        self.subscriptions: dict[int, FakeSubscription] = {}
        self.closed: set[Address] = set()
        self.sent: list[tuple[Address, bytes]] = []
        self.deliver: Callable[[Address, bytes], None] = lambda *_: None

    def add_peer(self) -> int:
        handle = next(self._handles)
        self.peers[handle] = FakePeer()
        return handle

    def configure_peer(
        self,
        peer: int,
        payload_types: Mapping[int, tuple[int, int]],  # noqa: ARG002  the contract's names
        rtx: Mapping[int, int],  # noqa: ARG002
        extensions: Mapping[str, int],  # noqa: ARG002
    ) -> None:
        _ = self.peers[peer]

    def remove_peer(self, peer: int) -> None:
        del self.peers[peer]
        for track in [t for t, held in self.tracks.items() if held.peer == peer]:
            self.remove_track(track)
        self.subscriptions = {
            s: held for s, held in self.subscriptions.items() if held.peer != peer
        }

    def expect(self, peer: int, ufrag: str) -> None:
        self.peers[peer].ufrags.add(ufrag)

    def forget(self, ufrag: str) -> None:
        for peer in self.peers.values():
            peer.ufrags.discard(ufrag)

    def close(self, address: Address) -> None:
        """A TCP connection ends."""
        self.closed.add(address)
        for peer in self.peers.values():
            peer.bound.discard(address)
            peer.selected = None if peer.selected == address else peer.selected

    def bind(self, peer: int, address: Address) -> None:
        if address in self.closed:
            raise RelayError("relay.connection_closed", "the TCP connection is closed")
        if any(other.selected == address for n, other in self.peers.items() if n != peer):
            raise RelayError("relay.address_in_use", "another peer's media goes to this address")
        self.peers[peer].bound.add(address)

    def select(self, peer: int, address: Address | None) -> None:
        self.peers[peer].selected = address

    def set_keys(self, peer: int, profile: str, receive_key: bytes, send_key: bytes) -> None:
        self.peers[peer].keys = (profile, receive_key, send_key)

    def send(self, address: Address, data: bytes) -> None:
        self.sent.append((address, data))
        self.deliver(address, data)

    def add_track(
        self,
        peer: int,
        kind: str,
        mid: str,
        ssrcs: Sequence[int] = (),
        rtx_ssrcs: Sequence[int] = (),  # noqa: ARG002
        *,
        nack: bool = False,
        rids: Sequence[str] = (),
    ) -> int:
        handle = next(self._handles)
        self.tracks[handle] = FakeTrack(peer, kind, mid, tuple(ssrcs), nack, tuple(rids))
        return handle

    def remove_track(self, track: int) -> None:
        del self.tracks[track]
        for subscription in self.subscriptions.values():
            if subscription.source == track:
                subscription.source = None

    def set_forwarding(self, track: int, enabled: bool) -> None:
        self.tracks[track].forwarding = enabled

    def add_subscription(self, peer: int, kind: str, mid: str, ssrc: int, rtx_ssrc: int = 0) -> int:
        handle = next(self._handles)
        self.subscriptions[handle] = FakeSubscription(peer, kind, mid, ssrc, rtx_ssrc)
        return handle

    def remove_subscription(self, subscription: int) -> None:
        del self.subscriptions[subscription]

    def set_source(self, subscription: int, track: int | None) -> None:
        assert track is None or track in self.tracks, "a stale track"
        self.subscriptions[subscription].source = track

    def set_layer(self, subscription: int, spatial: int, temporal: int = 7) -> None:
        self.subscriptions[subscription].layer = (spatial, temporal)

    def set_playout_delay(self, subscription: int, delay_ms: int) -> None:
        self.subscriptions[subscription].playout_delays.append(delay_ms)

    def probe(self, peer: int, bits_per_second: int, duration_ms: int) -> None:
        self.peers[peer].probes.append((bits_per_second, duration_ms))

    def cap(self, track: int, bits_per_second: int | None) -> None:
        self.tracks[track].caps.append(bits_per_second)

    # Figures: what a test put there

    def downlink(self, peer: int) -> Downlink:
        return self.peers[peer].downlink

    def layer_stats(self, track: int) -> list[dict[str, int]]:
        held = self.tracks[track]
        silent = {"packets": 0, "bytes": 0, "age_ms": -1, "keyframes": 0}
        return held.layers or [silent] * max(1, len(held.rids))

    def audio_levels(self, tracks: Sequence[int]) -> list[int]:
        return [self.tracks[track].level for track in tracks]

    def peer_stats(self, peer: int) -> dict[str, int]:
        held = self.peers[peer]
        return {
            "packets_in": held.packets_in,
            "bytes_in": held.bytes_in,
            "bytes_out": held.bytes_out,
            "round_trip_us": held.round_trip_us,
        }

    def track_stats(self, track: int) -> dict[str, int]:
        held = self.tracks[track]
        return {
            "packets": held.packets,
            "lost": held.lost,
            "recovered": held.recovered,
            "jitter": held.jitter,
        }

    def subscription_stats(self, subscription: int) -> dict[str, int]:
        held = self.subscriptions[subscription]
        return {
            "packets": held.packets,
            "fraction_lost": held.fraction_lost,
            "layer": held.flowing,
        }
