"""What a publisher's losses lead to: asked again in time, a few times, and put in their place."""

import itertools
import struct
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from media.relay import Relay
from tests.support.eventually import eventually
from tests.unit.media.relay.browser import (
    VIDEO_PT,
    VP8_DELTA,
    VP8_KEY,
    Browser,
    nacked,
    receiver_report,
    sender_report,
)
from tests.unit.media.relay.call import ALICE, SLOT, Call
from tests.unit.media.relay.rtp import Rtp

Browsers = Callable[..., Browser]

RTX_PT = 97
# As recovery.pyx: asked for after 5 ms, twice in each of four round trips, a second at most.
GIVEN_UP_S = 1.2


def play(call: Call, numbers: Iterable[int], start: int = 0) -> None:
    """A keyframe at `start`, then these numbers."""
    call.send(start, payload=VP8_KEY)
    for number in numbers:
        call.send(start + number, payload=b"%b%d" % (VP8_DELTA, number))


def repair(call: Call, number: int, payload: bytes, rtx_number: int = 1, **fields: Any) -> None:
    call.alice.send(
        Rtp(
            RTX_PT,
            rtx_number,
            0,
            ALICE + 1,
            struct.pack("!H", number & 0xFFFF) + payload,
            **fields,
        )
    )


def asked(call: Call) -> list[int]:
    """The numbers of the next NACK to alice."""
    about, numbers = nacked(call.alice.receive_rtcp_of(205, 1))
    assert about == ALICE
    return numbers


def asked_for(call: Call, seconds: float) -> list[tuple[float, list[int]]]:
    """All NACKs to alice in this time, with when they came."""
    seen = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        call.alice.drain()
        for packet in list(call.alice.rtcp):
            if packet[:2] == b"\x81\xcd":
                seen.append((time.monotonic(), nacked(packet)[1]))
        call.alice.rtcp.clear()
        time.sleep(0.002)
    return seen


# What arrives after the keyframe 0, and what is asked for at once.
LOSSES = [
    ("one", [1, 2, 4, 5, 6], [3]),
    ("two apart", [1, 3, 4, 6, 7], [2, 5]),
    ("a burst over one item's mask", [1, *range(22, 26)], list(range(2, 22))),
    ("the first after the keyframe", [2, 3, 4], [1]),
    ("bursts far apart", [1, 4, 5, *range(6, 60), 70, 71], [2, 3, *range(60, 70)]),
    ("a burst as long as can be asked for", [257, 258, 259], list(range(1, 257))),
]


@pytest.mark.parametrize("start", [100, 65530], ids=["plain", "over the wrap"])
@pytest.mark.parametrize(
    ("arrived", "missing"), [row[1:] for row in LOSSES], ids=[row[0] for row in LOSSES]
)
def test_what_is_missing_is_asked_for_and_nothing_else(
    video_call: Call, start: int, arrived: list[int], missing: list[int]
) -> None:
    play(video_call, arrived, start)
    seen = asked(video_call)
    while len(seen) < len(missing):  # the bursts came apart on a busy machine
        seen += asked(video_call)
    assert seen == [(start + number) & 0xFFFF for number in missing]
    assert video_call.relay.track_stats(video_call.track)["nacks_sent"] == len(missing)


def test_a_loss_is_asked_for_at_once_and_twice_in_each_of_four_round_trips(
    video_call: Call,
) -> None:
    call = video_call
    play(call, [1, 3, 4])
    sent_at = time.monotonic()
    seen = asked_for(call, GIVEN_UP_S)
    assert [numbers for _, numbers in seen] == [[2]] * 8
    times = [at - sent_at for at, _ in seen]
    assert 0.004 < times[0] < 0.2
    assert all(later - sooner > 0.015 for sooner, later in itertools.pairwise(times))
    # 80 ms are taken for the way of a publisher that has not told it.
    assert all(later - sooner > 0.08 for sooner, later in itertools.pairwise(times[::2]))
    assert times[-1] < 1.0
    figures = call.relay.track_stats(call.track)
    assert (figures["nacks_sent"], figures["given_up"], figures["recovered"]) == (8, 1, 0)


def test_a_measured_round_trip_sets_the_distance_of_repeats(
    relay: Relay, browser: Browsers
) -> None:
    """alice hears bob, too: her reports about that tell how far she is."""
    call = Call(relay, browser(), browser(), "video")
    sound = relay.add_track(call.bob.peer, "audio", "0", ssrcs=[7])
    relay.set_source(relay.add_subscription(call.alice.peer, "audio", "9", 9), sound)
    call.bob.send(Rtp(111, 1, 0, 7))
    call.alice.receive()
    call.bob.send_rtcp(sender_report(7, 5 << 32 | 1 << 16, 0))
    assert call.alice.receive_rtcp_of(200)
    time.sleep(0.25)
    call.alice.send_rtcp(receiver_report(1, 9, last_report=5 << 16 | 1))
    play(call, [1, 3, 4])
    times = [at for at, _ in asked_for(call, 0.8)]
    assert len(times) >= 4
    assert all(b - a > 0.25 for a, b in itertools.pairwise(times[::2]))
    assert all(b - a < 0.1 for a, b in zip(times[::2], times[1::2], strict=False))


async def test_what_was_given_up_becomes_a_keyframe_request(video_call: Call) -> None:
    call = video_call
    play(call, [1])
    call.bob.receive_many(2)
    plis = call.relay.track_stats(call.track)["plis_sent"]
    for number in (3, 4):
        call.send(number, payload=VP8_DELTA)
    await eventually(lambda: call.relay.track_stats(call.track)["given_up"] == 1)
    await eventually(lambda: call.relay.track_stats(call.track)["plis_sent"] > plis)


async def test_more_missing_than_can_be_asked_for_is_a_keyframe_request_at_once(
    video_call: Call,
) -> None:
    call = video_call
    play(call, [1])
    call.bob.receive_many(2)
    plis = call.relay.track_stats(call.track)["plis_sent"]
    call.send(300, payload=VP8_DELTA)
    call.send(301, payload=VP8_DELTA)
    call.send(302, payload=VP8_DELTA)
    await eventually(lambda: call.relay.track_stats(call.track)["plis_sent"] > plis)
    figures = call.relay.track_stats(call.track)
    assert (figures["nacks_sent"], figures["given_up"]) == (0, 298)
    call.send(304, payload=VP8_DELTA)
    call.send(305, payload=VP8_DELTA)
    assert asked(call) == [303], "a loss after it is asked for"


@pytest.mark.parametrize("order", [[2, 1, 3, 4], [3, 1, 2, 4], [1, 2, 4, 3]])
def test_what_is_only_late_is_not_asked_for(video_call: Call, order: list[int]) -> None:
    play(video_call, order)
    assert asked_for(video_call, 0.15) == []


def test_a_loss_before_a_single_packet_is_asked_for_as_well(video_call: Call) -> None:
    play(video_call, [1, 3])
    assert asked(video_call) == [2]


def test_what_a_keyframe_makes_worthless_is_not_asked_for(video_call: Call) -> None:
    call = video_call
    play(call, [1, 3])
    call.send(4, payload=VP8_KEY)
    call.send(5, payload=VP8_DELTA)
    call.send(7, payload=VP8_DELTA)
    call.send(8, payload=VP8_DELTA)
    assert asked(call) == [6]


@pytest.mark.parametrize("start", [100, 65534], ids=["plain", "over the wrap"])
def test_rtx_fills_the_gap_in_its_place(video_call: Call, start: int) -> None:
    call = video_call
    play(call, [1, 3, 4], start)
    assert asked(call) == [(start + 2) & 0xFFFF]
    repair(call, start + 2, VP8_DELTA + b"2", extensions={4: b"0"})
    packets = call.bob.receive_many(5)
    first = packets[0].sequence
    assert [(p.sequence - first) & 0xFFFF for p in packets] == [0, 1, 3, 4, 2]
    late = packets[-1]
    assert late.payload == VP8_DELTA + b"2"
    assert (late.ssrc, late.payload_type) == (SLOT, VIDEO_PT)
    assert late.extensions[4] == b"5"
    figures = call.relay.track_stats(call.track)
    assert figures["recovered"] == figures["retransmissions_received"] == 1
    assert figures["lost"] == 1, "what was lost stays lost in reports"
    assert asked_for(call, 0.2) == [], "not asked for again"


def test_the_same_packet_under_its_own_number_fills_the_gap_too(video_call: Call) -> None:
    call = video_call
    play(call, [1, 3, 4])
    assert asked(call) == [2]
    call.send(2, payload=b"again")
    packets = call.bob.receive_many(5)
    assert packets[-1].payload == b"again"
    assert packets[-1].sequence == packets[0].sequence + 2
    assert call.relay.track_stats(call.track)["recovered"] == 1


def test_a_number_reaches_the_subscriber_once_whatever_way_it_comes(video_call: Call) -> None:
    call = video_call
    play(call, [1, 3])
    repair(call, 2, VP8_DELTA + b"2")
    repair(call, 2, VP8_DELTA + b"twice", 2)
    repair(call, 1, VP8_DELTA + b"never lost", 3)
    call.send(2, payload=b"itself, late")
    call.send(4, payload=VP8_DELTA + b"4")
    packets = call.bob.receive_many(5)
    assert [p.payload[7:] for p in packets[1:]] == [b"1", b"3", b"2", b"4"]
    stats = call.relay.stats()
    assert stats["dropped_duplicate"] == 3
    assert stats["dropped_protect"] == 0


def test_rtx_without_a_packet_in_it_is_padding(video_call: Call) -> None:
    call = video_call
    play(call, [1, 3])
    call.alice.send(Rtp(RTX_PT, 1, 0, ALICE + 1, b"", padding=200))
    call.alice.send(Rtp(RTX_PT, 2, 0, ALICE + 1, b"\0", padding=200))
    call.send(4, payload=b"fence")
    assert call.bob.receive_many(4)[-1].payload == b"fence"
    assert call.relay.stats()["padding_only"] == 2


@pytest.mark.parametrize(
    ("number", "what"), [(-5000, "far too old"), (5, "ahead of the newest"), (30000, "nonsense")]
)
def test_rtx_of_what_was_never_missing_is_dropped(video_call: Call, number: int, what: str) -> None:
    call = video_call
    play(call, [1, 2])
    repair(call, number, b"x")
    call.send(3, payload=b"fence")
    packets = call.bob.receive_many(4)
    assert packets[-1].payload == b"fence", what
    assert packets[-1].sequence == packets[0].sequence + 3


def test_a_layers_repair_is_known_by_its_rid(relay: Relay, browser: Browsers) -> None:
    extensions = {"mid": 4, "rid": 5, "repaired_rid": 6}
    alice, bob = browser(extensions=extensions), browser()
    track = relay.add_track(alice.peer, "video", "0", nack=True)
    relay.set_source(relay.add_subscription(bob.peer, "video", "5", SLOT), track)
    alice.send(Rtp(VIDEO_PT, 1, 0, 50, VP8_KEY, extensions={4: b"0", 5: b"q"}))
    alice.send(Rtp(VIDEO_PT, 9, 0, 60, VP8_KEY, extensions={4: b"0", 5: b"h"}))
    for number in (3, 4):
        alice.send(Rtp(VIDEO_PT, number, 0, 50, VP8_DELTA))
    layer = {4: b"0", 6: b"h"}
    alice.send(Rtp(RTX_PT, 1, 0, 61, b"\0\2other layer", extensions=layer))
    alice.send(Rtp(RTX_PT, 1, 0, 51, b"\0\2this layer", extensions={4: b"0", 6: b"q"}))
    packets = bob.receive_many(4)
    assert packets[-1].payload == b"this layer"
    assert packets[-1].sequence == packets[0].sequence + 1


def test_nothing_is_asked_of_a_publisher_that_did_not_agree(
    relay: Relay, browser: Browsers
) -> None:
    call = Call(relay, browser(), browser(), "video")
    relay.remove_track(call.track)
    call.track = relay.add_track(call.alice.peer, "video", "0", ssrcs=[ALICE])
    relay.set_source(call.slot, call.track)
    play(call, [1, 3, 4])
    assert asked_for(call, 0.2) == []
    call.send(2, payload=b"late")
    assert call.bob.receive_many(5)[-1].payload == b"late"


def test_sound_is_never_asked_for_again(call: Call) -> None:
    for number in (1, 2, 5, 6, 7):
        call.send(number)
    assert asked_for(call, 0.2) == []


async def test_a_muted_or_unwatched_track_is_asked_for_nothing(video_call: Call) -> None:
    call = video_call
    play(call, [1, 3, 4])
    call.bob.receive_many(4)
    call.relay.set_forwarding(call.track, False)
    for number in (6, 8, 9):
        call.send(number, payload=VP8_DELTA)
    await eventually(lambda: call.relay.stats()["dropped_muted"] == 3)
    call.relay.set_forwarding(call.track, True)
    call.send(12, payload=VP8_KEY)
    call.bob.receive()
    call.relay.set_source(call.slot, None)
    for number in (15, 16, 17):
        call.send(number, payload=VP8_DELTA)
    await eventually(lambda: call.relay.track_stats(call.track)["packets"] == 11)
    call.relay.set_source(call.slot, call.track)
    call.send(20, payload=VP8_KEY)
    call.bob.receive()
    assert asked_for(call, 0.3) == []


async def test_another_ssrc_of_the_track_begins_anew(relay: Relay, browser: Browsers) -> None:
    call = Call(relay, browser(), browser(), "video")
    play(call, [1, 3])
    call.bob.receive_many(3)
    await eventually(lambda: relay.track_stats(call.track)["age_ms"] > 1600)
    other: dict[str, Any] = {"ssrc": 77, "extensions": {4: b"0"}}
    call.send(30000, payload=VP8_KEY, **other)
    for number in (30001, 30003, 30004):
        call.send(number, payload=VP8_DELTA, **other)
    call.alice.drain()
    call.alice.rtcp.clear()
    about, numbers = nacked(call.alice.receive_rtcp_of(205, 1))
    assert (about, numbers) == (77, [30002])
