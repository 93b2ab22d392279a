"""What a peer is sent has transport-wide numbers, and its feedback about them is summed up."""

import random
import struct
import time
from collections.abc import Callable
from typing import Final

import pytest

from media.relay import Downlink, Relay
from tests.support.eventually import eventually
from tests.unit.media.relay.acknowledgement import feedback, message, one_bit, run, two_bit
from tests.unit.media.relay.browser import EXTENSIONS, VP8_DELTA, VP8_KEY, Browser, nack
from tests.unit.media.relay.call import SLOT, SLOT_RTX, Call
from tests.unit.media.relay.rtp import Rtp

Browsers = Callable[..., Browser]

# Of IP and UDP, and of AES-GCM's tag.
HEADERS: Final = 28
TAG: Final = 16


def number(packet: Rtp) -> int:
    (value,) = struct.unpack("!H", packet.extensions[EXTENSIONS["twcc"]])
    assert isinstance(value, int)
    return value


def play(call: Call, count: int, start: int = 0) -> list[Rtp]:
    packets = []
    for i in range(start, start + count):
        call.send(i, 960 * i)
        packets.append(call.bob.receive())
    return packets


async def told(call: Call, *messages: bytes) -> Downlink:
    """What is known of bob's downlink once all these were taken in."""
    expected = call.relay.stats()["rtcp_in"] + len(messages)
    for each in messages:
        call.bob.send_rtcp(each)
    await eventually(lambda: call.relay.stats()["rtcp_in"] == expected)
    return call.relay.downlink(call.bob.peer)


def test_sound_and_pictures_and_what_is_sent_again_share_one_numbering(
    relay: Relay, browser: Browsers
) -> None:
    alice, bob = browser(), browser()
    video = Call(relay, alice, bob, "video")
    sound = relay.add_track(alice.peer, "audio", "1", [3000])
    slot = relay.add_subscription(bob.peer, "audio", "6", 4000)
    relay.set_source(slot, sound)
    video.send(1, payload=VP8_KEY)
    packets = [bob.receive()]
    alice.send(Rtp(111, 1, 0, 3000))
    packets.append(bob.receive())
    bob.send_rtcp(nack(1, SLOT, (packets[0].sequence, 0)))
    packets.append(bob.receive())
    video.send(2, payload=VP8_DELTA)
    packets.append(bob.receive())
    assert [packet.ssrc for packet in packets] == [SLOT, 4000, SLOT_RTX, SLOT]
    assert [number(packet) for packet in packets] == [0, 1, 2, 3]


def test_each_peer_has_numbers_of_its_own(relay: Relay, browser: Browsers) -> None:
    call = Call(relay, browser(), browser())
    play(call, 3)
    carol = browser()
    relay.set_source(relay.add_subscription(carol.peer, "audio", "5", SLOT), call.track)
    (hers,) = play(call, 1, start=3)
    assert number(hers) == 3
    assert number(carol.receive()) == 0


def test_without_the_extension_nothing_is_numbered(relay: Relay, browser: Browsers) -> None:
    call = Call(relay, browser(), browser(extensions={"mid": 4}))
    (packet,) = play(call, 1)
    assert list(packet.extensions) == [4]


async def test_what_arrived_and_what_was_lost_is_counted(call: Call) -> None:
    packets = play(call, 5)
    seen = await told(call, feedback(0, [0, 5, None, 10, None]))
    size = len(packets[0].pack()) + TAG + HEADERS
    assert (seen.arrived_packets, seen.lost_packets, seen.feedbacks) == (3, 2, 1)
    assert seen.arrived_bytes == 3 * size
    assert seen.arrival_us == 10_000
    assert seen.sent_bytes >= 5 * size


async def test_a_packet_that_was_taken_for_lost_moves_over_when_it_comes(call: Call) -> None:
    play(call, 3)
    await told(call, feedback(0, [0, None, 5]))
    seen = await told(call, feedback(1, [7, 5]))
    assert (seen.arrived_packets, seen.lost_packets) == (3, 0)
    again = await told(call, feedback(0, [0, None, 5]), feedback(0, [0, 7, 5]))
    assert (again.arrived_packets, again.lost_packets) == (3, 0), "nothing is counted twice"


async def test_the_delay_is_how_much_later_each_came_than_the_first(call: Call) -> None:
    began = time.monotonic()
    play(call, 3)
    took_us = (time.monotonic() - began) * 1e6
    seen = await told(call, feedback(0, [0, 1000, 3000]))
    assert 4_000_000 - 2 * took_us <= seen.delay_us <= 4_000_000
    play(call, 1, start=3)
    less = (await told(call, feedback(3, [0]))).delay_us - seen.delay_us
    assert -1_000_000 * (time.monotonic() - began) <= less < 0, "faster than the first"


async def test_the_time_between_two_messages_counts(call: Call) -> None:
    play(call, 4)
    seen = await told(call, feedback(0, [0, 4]), feedback(2, [10, 20]))
    assert seen.arrival_us == 20_000


async def test_what_a_lost_message_told_of_is_in_no_sum_nor_is_its_time(call: Call) -> None:
    packets = play(call, 6)
    seen = await told(call, feedback(0, [0, 4]), feedback(4, [1000, 1004]))
    assert seen.arrival_us == 8_000
    assert seen.lost_packets == 0
    assert seen.arrived_bytes == 4 * (len(packets[0].pack()) + TAG + HEADERS)


async def test_the_reference_time_wraps(call: Call) -> None:
    play(call, 4)
    last = 2**24 - 1
    seen = await told(
        call, feedback(0, [0, 4], reference=last), feedback(2, [0, 4], reference=last + 1)
    )
    assert seen.arrival_us == 64_000 + 4_000


async def test_the_numbers_wrap(call: Call) -> None:
    """65,600 packets of which the last ones are told of."""
    sent = 0
    while sent < 65_600:
        for _ in range(100):
            call.send(sent, sent * 960)
            sent += 1
        packets = call.bob.receive_many(100)
    assert number(packets[-1]) == 65_599 - 65_536
    seen = await told(call, feedback(65_530, [*range(10), None]))
    assert (seen.arrived_packets, seen.lost_packets) == (10, 1)


async def test_every_kind_of_chunk_and_delta_is_read(call: Call) -> None:
    play(call, 40)
    chunks = run(1, 15) + one_bit([0, 1] * 7) + two_bit([2, 0, 1, 2, 1, 0, 1]) + run(0, 4)
    deltas = bytes(15 * [4] + 7 * [8]) + struct.pack("!hBhBB", 400, 4, -40, 4, 4)
    seen = await told(call, message(0, 40, chunks, deltas))
    assert (seen.arrived_packets, seen.lost_packets) == (15 + 7 + 5, 7 + 2 + 4)
    # The first arrives at 4 ticks; the latest is 404 ticks behind the last of the bits.
    assert seen.arrival_us == 250 * (14 * 4 + 7 * 8 + 404)


async def test_numbers_that_were_never_sent_or_are_forgotten_count_for_nothing(call: Call) -> None:
    play(call, 5)
    seen = await told(call, feedback(-3, [0] * 3), feedback(5, [0, None, 0]), feedback(9000, [0]))
    assert (seen.arrived_packets, seen.lost_packets) == (0, 0)
    play(call, 2100, start=5)
    seen = await told(call, feedback(0, [0, 0, None]))
    assert (seen.arrived_packets, seen.lost_packets) == (0, 0)


@pytest.mark.parametrize(
    "malformed",
    [
        message(0, 0, b"", b""),
        message(0, 2049, run(0, 2049), b""),
        message(0, 5, b"", b""),
        message(0, 50, run(0, 10) + run(0, 0), b""),
        message(0, 4, run(1, 4), b"\1"),
        message(0, 2, run(2, 2), b"\1\2"),
        message(0, 4, run(3, 4), bytes(8)),
        message(0, 1, run(1, 1), b"")[:16],
    ],
    ids=["empty", "too many", "no chunk", "runs of 0", "small", "large", "reserved", "cut"],
)
async def test_a_malformed_message_is_counted_and_the_next_one_read(
    call: Call, malformed: bytes
) -> None:
    play(call, 5)
    length = len(malformed) // 4 - 1
    malformed = malformed[:2] + struct.pack("!H", length) + malformed[4:]
    seen = await told(call, malformed)
    assert call.relay.stats()["dropped_malformed"] == 1
    assert seen.feedbacks == 0
    assert (await told(call, feedback(0, [0] * 5))).feedbacks == 1


async def test_random_bytes_leave_the_relay_forwarding(call: Call) -> None:
    source = random.Random(20261124)
    play(call, 100)
    hostile = []
    for _ in range(2000):
        body = source.randbytes(source.choice([0, 3, 8, 20, 60, 1000]) & ~3)
        base = source.choice([0, 50, 65530, source.randrange(65536)])
        head = struct.pack("!IIHH", 1, 0, base, source.choice([1, 20, 2048, 65535]))
        words = (len(head) + len(body)) // 4
        hostile.append(struct.pack("!BBH", 0x8F, 205, words) + head + body)
    for at in range(0, len(hostile), 50):
        await told(call, *hostile[at : at + 50])
    assert len(play(call, 5, start=100)) == 5


async def test_a_peer_without_numbers_may_say_what_it_wants(
    relay: Relay, browser: Browsers
) -> None:
    call = Call(relay, browser(), browser(extensions={"mid": 4}))
    play(call, 3)
    seen = await told(call, feedback(0, [0, 1, 2]))
    assert (seen.arrived_packets, seen.feedbacks) == (0, 0)
    assert seen.sent_bytes > 0
