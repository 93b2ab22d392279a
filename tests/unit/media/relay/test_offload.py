"""The kernel's UDP segmentation (GSO) and coalescing (GRO), used, not used and refused."""

import os
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from media.relay import Relay
from tests.unit.media.relay.browser import AUDIO_PT, Browser
from tests.unit.media.relay.call import ALICE, SLOT, Call
from tests.unit.media.relay.rtp import Rtp

# linux/udp.h, asm-generic/socket.h
SOL_UDP: Final = 17
UDP_SEGMENT: Final = 103
UDP_GRO: Final = 104
SO_NO_CHECK: Final = 11

Make = Callable[..., Call]


@pytest.fixture
def make_call() -> Iterator[Make]:
    opened: list[Relay | Browser] = []

    def make(*, offload: bool, host: str = "127.0.0.1", every: bool = False) -> Call:
        """every: the relay listens on every address, IPv4 and IPv6."""
        relay = Relay("" if every else host, offload=offload)
        relay.start()
        alice, bob = Browser(relay, host=host), Browser(relay, host=host)
        opened.extend((relay, alice, bob))
        return Call(relay, alice, bob)

    yield make
    for each in opened:
        each.close() if isinstance(each, Browser) else each.stop()


def send_burst(call: Call, payloads: list[bytes], first: int = 0) -> None:
    """All packets in one system call. They are equally long; the last may be shorter."""
    datagrams = [
        call.alice.sending.protect(Rtp(AUDIO_PT, first + i, 0, ALICE, payload).pack())
        for i, payload in enumerate(payloads)
    ]
    size = struct.pack("H", len(datagrams[0]))
    call.alice.socket.sendmsg(
        [b"".join(datagrams)], [(SOL_UDP, UDP_SEGMENT, size)], 0, call.alice.relay_address
    )


def longest_message(call: Call, payloads: list[bytes]) -> int:
    """Of those in which bob's kernel hands a burst over, when it may leave them whole."""
    call.bob.socket.setsockopt(SOL_UDP, UDP_GRO, 1)
    send_burst(call, payloads)
    lengths = [len(call.bob.socket.recv(65536))]
    while sum(lengths) < sum(map(len, payloads)):
        lengths.append(len(call.bob.socket.recv(65536)))
    return max(lengths)


each_family = pytest.mark.parametrize(
    ("host", "every"), [("127.0.0.1", False), ("127.0.0.1", True), ("::1", False), ("::1", True)]
)


@each_family
@pytest.mark.parametrize("offload", [True, False])
def test_a_coalesced_burst_is_forwarded_packet_by_packet(
    make_call: Make, offload: bool, host: str, every: bool
) -> None:
    call = make_call(offload=offload, host=host, every=every)
    payloads = [b"%03d" % i + bytes(700) for i in range(40)] + [b"short"]
    send_burst(call, payloads)
    packets = call.bob.receive_many(41)
    assert [p.payload for p in packets] == payloads
    assert [p.sequence - packets[0].sequence for p in packets] == list(range(41))
    assert call.relay.stats()["packets_in"] == 41


@each_family
def test_a_burst_leaves_as_one_message(make_call: Make, host: str, every: bool) -> None:
    call = make_call(offload=True, host=host, every=every)
    assert longest_message(call, [bytes(500)] * 20) > 10 * 500


def test_without_offload_every_packet_is_a_message(make_call: Make) -> None:
    call = make_call(offload=False)
    assert longest_message(call, [bytes(500)] * 20) < 600


def test_more_than_one_message_may_hold_still_arrives_in_order(make_call: Make) -> None:
    call = make_call(offload=True)
    expected = []
    for burst in range(10):
        payloads = [b"%d-%02d" % (burst, i) + bytes(900) for i in range(50)]
        send_burst(call, payloads, first=burst * 50)
        expected += payloads
    assert [p.payload for p in call.bob.receive_many(500)] == expected


def test_sizes_that_differ_are_segmented_apart(make_call: Make) -> None:
    call = make_call(offload=True)
    sizes = [400, 400, 401, 401, 399, 400, 5, 5, 900, 1]
    for i, size in enumerate(sizes):
        call.send(i, payload=bytes(size))
    assert [len(p.payload) for p in call.bob.receive_many(len(sizes))] == sizes


def test_a_burst_for_many_subscribers_reaches_each_whole(make_call: Make) -> None:
    """500 outputs: more than the relay makes without letting go of its lock."""
    call = make_call(offload=True)
    others = [Browser(call.relay) for _ in range(11)]
    for each in others:
        slot = call.relay.add_subscription(each.peer, "audio", "5", SLOT)
        call.relay.set_source(slot, call.track)
    payloads = [b"%02d" % i + bytes(600) for i in range(42)]
    send_burst(call, payloads)
    for each in [call.bob, *others]:
        assert [p.payload for p in each.receive_many(42)] == payloads
    for each in others:
        each.close()


def test_packets_that_gather_under_load_all_arrive_in_order() -> None:
    """Far above the rate at which the relay lets them gather, here for the longest time."""
    relay = Relay("127.0.0.1", gather_us=5000)
    relay.start()
    call = Call(relay, Browser(relay), Browser(relay))
    last = -1
    for round_number in range(40):
        for burst in range(8):
            first = (round_number * 8 + burst) * 40
            send_burst(call, [b"%05d" % (first + i) for i in range(40)], first=first)
        for packet in call.bob.receive_many(320):
            assert int(packet.payload) == last + 1
            last += 1
    assert relay.subscription_stats(call.slot)["packets"] == 12800
    relay.stop()
    call.alice.close()
    call.bob.close()


def relay_socket(relay: Relay) -> socket.socket:
    """A second descriptor of the relay's own socket."""
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if not str(entry.readlink()).startswith("socket:"):
                continue
            found = socket.socket(fileno=os.dup(int(entry.name)))
            # Other sockets of the process may be of families whose names have no port.
            inet = found.family in (socket.AF_INET, socket.AF_INET6)
            if inet and found.type == socket.SOCK_DGRAM and found.getsockname()[1] == relay.port:
                return found
            found.close()
        except OSError:
            continue
    raise AssertionError("the relay has no socket")


def test_when_the_kernel_refuses_to_segment_the_packets_go_one_by_one(make_call: Make) -> None:
    """Segmentation needs checksums; a socket without them has it refused, like some devices."""
    call = make_call(offload=True)
    with relay_socket(call.relay) as same:
        same.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
    payloads = [b"%02d" % i + bytes(500) for i in range(20)] + [b"short"]
    send_burst(call, payloads)
    assert [p.payload for p in call.bob.receive_many(21)] == payloads
    send_burst(call, payloads, first=21)
    assert [p.payload for p in call.bob.receive_many(21)] == payloads
    assert call.relay.stats()["offload_refused"] > 0
    assert call.relay.stats()["dropped_send"] == 0
