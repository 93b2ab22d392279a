"""Media over TCP: frames in and out, who may be connected, and that silence is silence."""

import random
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.relay import CLOSED, DTLS, STUN, Datagram, Relay, RelayError
from tests.support.eventually import eventually
from tests.unit.media.relay.browser import Browser
from tests.unit.media.relay.call import ALICE, SLOT, Call
from tests.unit.media.relay.rtp import Rtp
from tests.unit.media.relay.stream_browser import (
    SlowStreamBrowser,
    StreamBrowser,
    connect,
    frame,
    next_datagram,
    prove,
    stun_request,
)

Browsers = Callable[..., Browser]

CLIENT_HELLO = b"\x16\xfe\xff" + bytes(50)


@pytest.fixture
def stream_browser(relay: Relay) -> Iterator[Callable[..., StreamBrowser]]:
    """Make browsers that are connected over TCP."""
    with ExitStack() as made:

        def make(kind: type[StreamBrowser] = StreamBrowser) -> StreamBrowser:
            browser = kind(relay)
            made.callback(browser.close)
            return browser

        yield make


@contextmanager
def relay_with(**options: int) -> Iterator[Relay]:
    relay = Relay("127.0.0.1", **options)  # type: ignore[arg-type]
    relay.start()
    try:
        yield relay
    finally:
        relay.stop()


def open_connections(relay: Relay) -> int:
    stats = relay.stats()
    return stats["tcp_opened"] - stats["tcp_closed"]


async def lost_for_room(alice: Browser) -> int:
    """How many packets no connection took. The relay counts them one batch later."""
    relay = alice.relay
    before = relay.stats()["dropped_protocol"]
    alice.send_raw(b"\xff")
    await eventually(lambda: relay.stats()["dropped_protocol"] > before)
    return relay.stats()["dropped_tcp_send"]


def is_closed(stream: socket.socket) -> bool:
    """Whether the relay hung up."""
    with suppress(ConnectionResetError):
        return stream.recv(1) == b""
    return True


# Both ways


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_media_flows_both_ways_over_tcp(host: str) -> None:
    relay = Relay(host)
    relay.start()
    alice, bob = StreamBrowser(relay, host=host), StreamBrowser(relay, host=host)
    call = Call(relay, alice, bob)
    for number in range(100):
        call.send(number, payload=b"%d" % number)
    assert [packet.payload for packet in bob.receive_many(100)] == [b"%d" % n for n in range(100)]
    relay.stop()


@pytest.mark.parametrize("kinds", [(StreamBrowser, Browser), (Browser, StreamBrowser)])
def test_one_may_be_on_tcp_and_the_other_on_udp(
    relay: Relay, kinds: tuple[type[Browser], type[Browser]]
) -> None:
    alice, bob = (kind(relay) for kind in kinds)
    call = Call(relay, alice, bob, "video")
    call.send(1, payload=b"\x10\x00key")
    assert bob.receive().payload == b"\x10\x00key"


def test_subscribers_on_both_get_every_packet_of_a_burst(
    relay: Relay, browser: Browsers, stream_browser: Callable[..., StreamBrowser]
) -> None:
    alice, bob, carol, dave = browser(), stream_browser(), browser(), stream_browser()
    call = Call(relay, alice, bob)
    for other in (carol, dave):
        relay.set_source(relay.add_subscription(other.peer, "audio", "5", SLOT), call.track)
    for number in range(300):
        call.send(number, payload=bytes(number % 7 + 1))
    for other in (bob, carol, dave):
        packets = other.receive_many(300)
        assert [len(packet.payload) for packet in packets] == [n % 7 + 1 for n in range(300)]


def test_a_verb_sends_frames_over_tcp(relay: Relay) -> None:
    bob = StreamBrowser(relay)
    for packet in (b"\x01\x01reply", CLIENT_HELLO):
        relay.send(bob.address, packet)
        assert bob.read() == packet


def test_dtls_comes_up_with_the_connection_it_came_over(relay: Relay) -> None:
    bob = StreamBrowser(relay)
    bob.send_raw(CLIENT_HELLO)
    assert next_datagram(relay) == Datagram(DTLS, bob.peer, bob.address, CLIENT_HELLO)


# Frames


def test_a_frame_may_come_byte_by_byte(relay: Relay) -> None:
    bob = StreamBrowser(relay)
    for byte in frame(CLIENT_HELLO) + frame(CLIENT_HELLO[:-1]):
        bob.socket.sendall(bytes([byte]))
    assert [next_datagram(relay).data for _ in range(2)] == [CLIENT_HELLO, CLIENT_HELLO[:-1]]


def test_empty_frames_are_passed_over(relay: Relay) -> None:
    bob = StreamBrowser(relay)
    bob.socket.sendall(frame(b"") * 5000 + frame(CLIENT_HELLO) + frame(b""))
    assert next_datagram(relay).data == CLIENT_HELLO


async def test_a_frame_above_the_limit_closes_the_connection(relay: Relay) -> None:
    bob = StreamBrowser(relay)
    bob.send_raw(b"\x16" + bytes(1499))
    assert len(next_datagram(relay).data) == 1500
    bob.socket.sendall(struct.pack("!H", 1501))
    assert is_closed(bob.socket)
    assert relay.stats()["dropped_tcp_frame"] == 1
    assert open_connections(relay) == 0


async def test_a_frame_without_its_end_is_nothing(relay: Relay) -> None:
    bob = StreamBrowser(relay)
    up = relay.stats()["dtls_up"]
    bob.socket.sendall(frame(CLIENT_HELLO)[:-1])
    bob.close()
    await eventually(lambda: open_connections(relay) == 0, "the connection is closed")
    assert relay.stats()["dtls_up"] == up
    assert next_datagram(relay) == Datagram(CLOSED, bob.peer, bob.address, b"")


@settings(max_examples=40, deadline=None)
@given(
    packets=st.lists(st.binary(max_size=1499).map(lambda tail: b"\x16" + tail), max_size=40),
    cuts=st.lists(st.integers(min_value=1, max_value=3000), max_size=60),
)
def test_frames_are_the_same_however_they_are_cut(packets: list[bytes], cuts: list[int]) -> None:
    relay, bob = _bystander()
    stream = b"".join(map(frame, packets))
    at = 0
    for cut in [*cuts, len(stream)]:
        bob.socket.sendall(stream[at : at + cut])
        at += cut
    assert [next_datagram(relay).data for _ in packets] == packets


@settings(max_examples=40, deadline=None)
@given(junk=st.binary(max_size=4000))
def test_junk_on_a_connection_disturbs_nobody_else(junk: bytes) -> None:
    relay, bob = _bystander()
    with connect(relay) as stranger:
        with suppress(OSError):
            stranger.sendall(junk)
        bob.send_raw(CLIENT_HELLO)
        assert next_datagram(relay).data == CLIENT_HELLO


_KEPT: list[tuple[Relay, StreamBrowser]] = []


def _bystander() -> tuple[Relay, StreamBrowser]:
    """One for all examples: hypothesis runs them within one test."""
    if not _KEPT:
        relay = Relay("127.0.0.1")
        relay.start()
        _KEPT.append((relay, StreamBrowser(relay)))
    return _KEPT[0]


@pytest.fixture(autouse=True, scope="module")
def _stop_bystander() -> Iterator[None]:
    yield
    for relay, bob in _KEPT:
        bob.close()
        relay.stop()


# Room to send


async def test_a_full_connection_loses_whole_packets_and_no_other_ones(
    relay: Relay, browser: Browsers, stream_browser: Callable[..., StreamBrowser]
) -> None:
    alice, bob, carol = browser(), stream_browser(SlowStreamBrowser), browser()
    call = Call(relay, alice, bob)
    relay.set_source(relay.add_subscription(carol.peer, "audio", "5", SLOT), call.track)
    sizes = random.Random(3)
    sent = 0
    while relay.stats()["dropped_tcp_send"] < 500:
        call.send(sent, payload=sizes.randbytes(sizes.randint(1, 1100)))
        # In step with the relay: nothing is lost on the way in.
        assert carol.receive().payload
        sent += 1
    lost = await lost_for_room(alice)
    packets = bob.receive_many(sent - lost)
    assert all(before.sequence < after.sequence for before, after in pairwise(packets))
    # There is room again, behind the frame that was half out.
    call.send(sent, payload=b"the last")
    assert bob.receive().payload == b"the last"
    assert relay.stats()["dropped_send"] == 0


async def test_a_frame_that_was_begun_is_finished_without_another_one(
    relay: Relay, browser: Browsers, stream_browser: Callable[..., StreamBrowser]
) -> None:
    alice, bob, carol = browser(), stream_browser(SlowStreamBrowser), browser()
    call = Call(relay, alice, bob)
    relay.set_source(relay.add_subscription(carol.peer, "audio", "5", SLOT), call.track)
    sent = 0
    while relay.stats()["dropped_tcp_send"] == 0:
        call.send(sent, payload=bytes(999))
        carol.receive()
        sent += 1
    lost = await lost_for_room(alice)
    assert len(bob.receive_many(sent - lost)) == sent - lost


# Whose it is


async def test_a_connection_belongs_to_nobody_before_it_is_bound(relay: Relay) -> None:
    peer = relay.add_peer()
    with connect(relay) as stream:
        address = prove(relay, peer, stream)
        stream.sendall(frame(CLIENT_HELLO))
        await eventually(lambda: relay.stats()["dropped_unbound"] == 1)
        relay.bind(peer, address)
        stream.sendall(frame(CLIENT_HELLO[:-1]))
        assert next_datagram(relay).data == CLIENT_HELLO[:-1]


def test_the_same_port_on_udp_and_on_tcp_are_two_addresses(relay: Relay) -> None:
    bob = StreamBrowser(relay)
    host, port = bob.address[:2]
    other = relay.add_peer()
    relay.bind(other, (host, port))
    with pytest.raises(RelayError, match="address_in_use"):
        relay.bind(other, bob.address)
    assert relay.peer_stats(bob.peer)["addresses"] == 1


async def test_a_closed_connection_is_no_address(relay: Relay) -> None:
    peer = relay.add_peer()
    with connect(relay) as stream:
        address = prove(relay, peer, stream)
    await eventually(lambda: open_connections(relay) == 0, "the connection is closed")
    for verb in (relay.bind, relay.select):
        with pytest.raises(RelayError) as refused:
            verb(peer, address)
        assert refused.value.code == "relay.connection_closed"
    relay.send(address, CLIENT_HELLO)
    assert relay.stats()["dropped_tcp_send"] == 1


async def test_the_peer_is_told_that_its_connection_ended(relay: Relay, browser: Browsers) -> None:
    alice, bob = browser(), StreamBrowser(relay)
    call = Call(relay, alice, bob)
    bob.close()
    assert next_datagram(relay) == Datagram(CLOSED, bob.peer, bob.address, b"")
    sent = relay.stats()["packets_out"]
    call.send(1)
    await eventually(lambda: relay.stats()["rtp_in"] == 1, "the packet came")
    assert relay.stats()["packets_out"] == sent
    assert relay.peer_stats(bob.peer)["addresses"] == 0


def test_a_connection_goes_with_its_peer(relay: Relay) -> None:
    bob = StreamBrowser(relay)
    relay.remove_peer(bob.peer)
    assert open_connections(relay) == 0
    assert is_closed(bob.socket)


def test_what_waits_for_a_removed_peer_never_leaves(relay: Relay, browser: Browsers) -> None:
    alice, bob = browser(), SlowStreamBrowser(relay)
    call = Call(relay, alice, bob)
    sent = 0
    while relay.stats()["dropped_tcp_send"] == 0:
        call.send(sent, payload=bytes(999))
        sent += 1
    waiting = sent - relay.stats()["dropped_tcp_send"]
    relay.remove_peer(bob.peer)
    came = 0
    with suppress(ConnectionResetError):
        while True:
            bob.receive()
            came += 1
    assert came < waiting / 2


async def test_what_is_muted_stays_away_from_tcp_too(relay: Relay, browser: Browsers) -> None:
    alice, bob = browser(), StreamBrowser(relay)
    call = Call(relay, alice, bob)
    call.send(1)
    assert bob.receive()
    relay.set_forwarding(call.track, False)
    for number in range(2, 50):
        call.send(number)
    await eventually(lambda: relay.stats()["dropped_muted"] == 48)
    relay.set_forwarding(call.track, True)
    call.send(50, payload=b"after")
    assert bob.receive().payload == b"after"


def test_the_ninth_address_of_a_peer_closes_the_most_silent_connection(relay: Relay) -> None:
    peer = relay.add_peer()
    with ExitStack() as opened:
        streams = [opened.enter_context(connect(relay)) for _ in range(9)]
        for stream in streams:
            relay.bind(peer, prove(relay, peer, stream))
        assert is_closed(streams[0])
        assert open_connections(relay) == 8


def test_another_peer_may_prove_the_same_connection(relay: Relay) -> None:
    first, second = relay.add_peer(), relay.add_peer()
    with connect(relay) as stream:
        for peer in (first, second):
            relay.bind(peer, prove(relay, peer, stream))
        stream.sendall(frame(CLIENT_HELLO))
        assert next_datagram(relay).peer == second
        relay.remove_peer(first)
        assert open_connections(relay) == 1


# Limits


async def test_who_proves_nothing_in_time_is_closed() -> None:
    with relay_with(prove_within_ms=100) as relay, connect(relay) as silent:
        peer = relay.add_peer()
        with connect(relay) as proven:
            relay.bind(peer, prove(relay, peer, proven))
            silent.sendall(b"\0")
            assert is_closed(silent)
            await eventually(lambda: relay.stats()["dropped_tcp_unproven"] == 1)
            assert open_connections(relay) == 1


def test_a_check_that_nobody_vouched_for_proves_nothing() -> None:
    with relay_with(prove_within_ms=100) as relay, connect(relay) as forged:
        prove(relay, relay.add_peer(), forged)
        assert is_closed(forged)


def test_a_source_has_sixteen_connections_without_a_proof(relay: Relay) -> None:
    with ExitStack() as opened:
        streams = [opened.enter_context(connect(relay)) for _ in range(20)]
        for stream in streams[:4]:
            assert is_closed(stream)
        assert relay.stats()["dropped_tcp_limit"] == 4
        peer = relay.add_peer()
        for stream in streams[4:]:
            prove(relay, peer, stream)


def test_connections_that_hold_everything_keep_nobody_out(relay: Relay) -> None:
    with ExitStack() as opened:
        for _ in range(40):
            opened.enter_context(connect(relay))
        bob = StreamBrowser(relay)
        # The one that made room for it has no place any more.
        assert open_connections(relay) == 16
        relay.send(bob.address, CLIENT_HELLO)
        assert bob.read() == CLIENT_HELLO


async def test_who_says_much_and_proves_nothing_is_closed(relay: Relay) -> None:
    with connect(relay) as stream:
        with suppress(OSError):
            for _ in range(200):
                stream.sendall(frame(stun_request("unknown1:theirs")) * 10)
        assert is_closed(stream)
    assert relay.stats()["dropped_tcp_unproven"] == 1
    assert relay.stats()["dropped_ufrag"] < 1000


def test_stopping_closes_every_connection() -> None:
    with relay_with() as relay:
        bob = StreamBrowser(relay)
        stranger = connect(relay)
    assert is_closed(bob.socket)
    assert is_closed(stranger)
    relay.remove_peer(bob.peer)
    with pytest.raises(ConnectionRefusedError):
        connect(relay)


# The port


def test_udp_and_tcp_have_one_port() -> None:
    with relay_with() as relay, socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        with pytest.raises(OSError, match="in use"):
            taken.bind(("127.0.0.1", relay.port))
        assert StreamBrowser(relay).address[0] == "127.0.0.1"


def test_a_port_that_is_taken_for_tcp_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            Relay("127.0.0.1", port)
        relay = Relay("127.0.0.1", port, tcp=False)
        assert relay.port == port
        relay.stop()


def test_without_tcp_nobody_connects() -> None:
    with relay_with(tcp=False) as relay, pytest.raises(ConnectionRefusedError):
        connect(relay)


def test_a_relay_on_all_addresses_takes_tcp_of_both_families() -> None:
    relay = Relay()
    relay.start()
    browsers = [StreamBrowser(relay, host=host) for host in ("127.0.0.1", "::1")]
    assert [browser.address[0] for browser in browsers] == ["127.0.0.1", "::1"]
    relay.stop()


def test_unauthenticated_media_over_tcp_is_dropped(relay: Relay, browser: Browsers) -> None:
    bob = StreamBrowser(relay)
    call = Call(relay, bob, browser())
    bob.send_raw(Rtp(111, 1, 0, ALICE, b"plain").pack() + bytes(16))
    call.send(2, payload=b"sealed")
    assert call.bob.receive().payload == b"sealed"
    assert relay.stats()["dropped_authentication"] == 1


def test_a_check_over_tcp_is_a_stun_datagram(relay: Relay) -> None:
    peer = relay.add_peer()
    relay.expect(peer, "plummufrag")
    request = stun_request("plummufrag:theirs")
    with connect(relay) as stream:
        stream.sendall(frame(request))
        datagram = next_datagram(relay)
        assert (datagram.kind, datagram.peer, datagram.data) == (STUN, peer, request)
