"""Transport-wide congestion control feedback says what arrived, and when.

Source: draft-holmer-rmcat-transport-wide-cc-extensions-01, 3.1.
"""

import random
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import pytest

from tests.unit.media.relay.browser import EXTENSIONS, Browser
from tests.unit.media.relay.call import ALICE, Call


@dataclass(frozen=True, slots=True)
class Feedback:
    """arrivals: number -> seconds, None: not received."""

    number: int
    media_ssrc: int
    arrivals: dict[int, float | None]


def decode(packet: bytes) -> Feedback:
    """One feedback message, every length checked."""
    first, kind, words, _, media_ssrc = struct.unpack_from("!BBHII", packet)
    assert (first & 0xDF, kind) == (0x8F, 205)
    assert 4 * (words + 1) == len(packet)
    end = len(packet) - (packet[-1] if first & 0x20 else 0)
    base, count, reference = struct.unpack_from("!HHI", packet, 12)
    symbols: list[int] = []
    at = 20
    while len(symbols) < count:
        (chunk,) = struct.unpack_from("!H", packet, at)
        at += 2
        if not chunk & 0x8000:
            symbols += [chunk >> 13] * (chunk & 0x1FFF)
        elif chunk & 0x4000:
            symbols += [chunk >> shift & 3 for shift in range(12, -1, -2)]
        else:
            symbols += [chunk >> shift & 1 for shift in range(13, -1, -1)]
    arrivals: dict[int, float | None] = {}
    now = (reference >> 8) * 0.064
    for i, symbol in enumerate(symbols[:count]):
        number = (base + i) & 0xFFFF
        arrivals[number] = None
        if symbol:
            form = "!B" if symbol == 1 else "!h"
            (delta,) = struct.unpack_from(form, packet, at)
            at += struct.calcsize(form)
            now += delta * 0.00025
            arrivals[number] = now
    assert at == end, "nothing is left over"
    assert not any(symbols[count:]), "unused symbols are zero"
    return Feedback(reference & 0xFF, media_ssrc, arrivals)


class Uplink:
    """alice sends numbered packets and reads the feedback."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.sequence = 0
        self.messages: list[Feedback] = []

    def send(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            extension = {EXTENSIONS["twcc"]: struct.pack("!H", number & 0xFFFF)}
            self.call.send(self.sequence, self.sequence * 960, extensions=extension)
            self.sequence += 1

    def feedback(self) -> Feedback:
        self.messages.append(decode(self.call.alice.receive_rtcp_of(205, 15)))
        return self.messages[-1]

    def feedback_until(self, number: int) -> dict[int, float | None]:
        """Everything reported up to `number`, later reports over earlier ones."""
        seen: dict[int, float | None] = {}
        while number not in seen:
            seen |= self.feedback().arrivals
        return seen


@pytest.fixture
def uplink(call: Call) -> Uplink:
    return Uplink(call)


def received(arrivals: dict[int, float | None]) -> list[int]:
    return [number for number, when in arrivals.items() if when is not None]


def test_everything_that_arrived_is_reported(uplink: Uplink) -> None:
    uplink.send(range(100, 150))
    assert received(uplink.feedback_until(149)) == list(range(100, 150))
    assert uplink.messages[0].media_ssrc == ALICE


def test_losses_are_reported_as_losses(uplink: Uplink) -> None:
    numbers = [n for n in range(200) if n % 7 and n not in range(60, 110)]
    uplink.send(numbers)
    arrivals = uplink.feedback_until(199)
    assert received(arrivals) == numbers
    assert list(arrivals) == list(range(1, 200)), "every number in between is mentioned"


def test_reordered_packets_are_reported_as_received(uplink: Uplink) -> None:
    numbers = list(range(90))
    random.Random(7).shuffle(numbers)
    uplink.send(numbers)
    seen: dict[int, float | None] = {}
    while len(received(seen)) < 90:
        for number, when in uplink.feedback().arrivals.items():
            if when is not None:
                seen[number] = when
    assert sorted(seen) == list(range(90))


def test_a_packet_that_was_reported_lost_is_reported_when_it_comes(uplink: Uplink) -> None:
    uplink.send([0, 1, 3])
    assert received(uplink.feedback_until(3)) == [0, 1, 3]
    uplink.send([2, 4])
    assert 2 in received(uplink.feedback_until(4))


def test_numbers_wrap(uplink: Uplink) -> None:
    uplink.send(range(65500, 65600))
    arrivals = uplink.feedback_until(63)
    assert received(arrivals) == [n & 0xFFFF for n in range(65500, 65600)]


def test_arrival_times_have_the_distances_of_the_packets(uplink: Uplink) -> None:
    started = time.monotonic()
    uplink.send([0])
    pause(uplink.call.alice, 0.03)
    uplink.send([1])
    elapsed = time.monotonic() - started
    arrivals = uplink.feedback_until(1)
    first, second = arrivals[0], arrivals[1]
    assert first is not None
    assert second is not None
    assert 0.025 < second - first < elapsed + 0.01


def test_a_pause_of_more_than_eight_seconds_would_not_fit_a_delta_but_one_of_two_does(
    uplink: Uplink,
) -> None:
    uplink.send([0])
    uplink.feedback()
    pause(uplink.call.alice, 0.3)
    uplink.send([1, 2])
    assert received(uplink.feedback_until(2)) == [1, 2]


def pause(browser: Browser, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        browser.drain()


def test_messages_are_numbered_and_come_about_every_100_ms(uplink: Uplink) -> None:
    times: list[float] = []
    number = 0
    uplink.send([number])
    while len(times) < 5:
        number += 1
        uplink.send([number])
        uplink.call.bob.receive()
        uplink.call.alice.drain()
        while any(p[1] == 205 for p in uplink.call.alice.rtcp):
            uplink.feedback()
            times.append(time.monotonic())
    gaps = [b - a for a, b in pairwise(times)]
    assert [m.number for m in uplink.messages] == list(range(5))
    # A busy machine may gather 200 packets sooner; never much later.
    assert all(gap < 1 for gap in gaps), gaps


def test_many_packets_are_reported_before_the_interval_ends_in_bounded_messages(
    uplink: Uplink,
) -> None:
    uplink.send(range(1500))
    seen: dict[int, float | None] = {}
    while len(received(seen)) < 1500:
        packet = uplink.call.alice.receive_rtcp_of(205, 15)
        assert len(packet) <= 1200
        seen |= {n: t for n, t in decode(packet).arrivals.items() if t is not None}


def test_a_jump_beyond_memory_starts_again_there(uplink: Uplink) -> None:
    uplink.send([0, 1])
    uplink.send([20000, 20001])
    assert received(uplink.feedback_until(20001))[-2:] == [20000, 20001]


def test_padding_and_retransmissions_are_reported_too(uplink: Uplink) -> None:
    extension = EXTENSIONS["twcc"]
    call = uplink.call
    call.send(1, extensions={extension: b"\0\1"})
    call.send(2, payload=b"", padding=100, extensions={extension: b"\0\2"})
    call.send(1, payload_type=97, ssrc=ALICE + 1, extensions={extension: b"\0\3"})
    assert received(uplink.feedback_until(3)) == [1, 2, 3]


def test_any_pattern_of_losses_and_lateness_decodes_to_what_arrived(uplink: Uplink) -> None:
    source = random.Random(20260522)
    number = 0
    for _ in range(20):
        block = [number + i for i in range(source.randrange(5, 60))]
        number = block[-1] + 1
        kept = [n for n in block if source.random() > source.choice([0.0, 0.1, 0.6])]
        for i in range(0, len(kept) - 3, 3):
            if source.random() < 0.3:
                kept[i], kept[i + 2] = kept[i + 2], kept[i]
        kept.append(number)
        number += 1
        uplink.send(kept)
        seen: set[int] = set()
        while not seen >= set(kept):
            message = uplink.feedback().arrivals
            seen |= set(received(message))
            assert set(received(message)).isdisjoint(set(block) - set(kept))


def test_without_the_extension_there_is_no_feedback(call: Call) -> None:
    for i in range(20):
        call.send(i)
    call.alice.receive_rtcp_of(201)
    assert not [p for p in call.alice.rtcp if p[1] == 205]
