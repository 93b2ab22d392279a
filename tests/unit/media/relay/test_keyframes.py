"""Finding keyframes in payloads, and asking publishers for them."""

import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from media.relay import AV1, H264, VP8, VP9, Relay
from tests.support.eventually import eventually
from tests.unit.media.relay.browser import (
    VP8_DELTA,
    VP8_KEY,
    Browser,
    fir,
    pli,
    receiver_report,
)
from tests.unit.media.relay.call import ALICE, SLOT, Call
from tests.unit.media.relay.rtp import Rtp

Browsers = Callable[..., Browser]

KEYFRAMES = [
    (VP8, "10 00", "the shortest descriptor"),
    (VP8, "90 80 05 00", "with a 7-bit picture id"),
    (VP8, "90 80 85 01 00", "with a 15-bit picture id"),
    (VP8, "90 e0 85 01 07 40 00", "with picture id, TL0PICIDX and TID"),
    (VP8, "90 10 00 00", "with KEYIDX only"),
    (VP8, "b0 80 05 00", "non-reference bit"),
    (VP9, "08 82", "no picture id, no layers"),
    (VP9, "8c 05 82", "picture id of 7 bits"),
    (VP9, "8c 85 01 82", "picture id of 15 bits"),
    (VP9, "a8 05 00 07 82", "layer indices, spatial layer 0"),
    (AV1, "18 0a", "N: a new coded video sequence"),
    (AV1, "28 0a", "N beside W"),
    (H264, "67 42 00", "a sequence parameter set"),
    (H264, "65 88", "an IDR slice"),
    (H264, "78 00 02 67 42 00 02 68 ce", "an aggregate with a parameter set"),
    (H264, "78 00 02 06 01 00 02 65 88", "an aggregate with an IDR slice behind an SEI"),
    (H264, "7c 85 88", "the first fragment of an IDR slice"),
]
OTHERS = [
    (VP8, "10 01", "an interframe"),
    (VP8, "00 00", "not the beginning of a partition"),
    (VP8, "11 00", "partition 1"),
    (VP8, "90 80 85 01 01", "an interframe with a picture id"),
    (VP8, "90", "cut off in the descriptor"),
    (VP8, "90 80 85", "cut off in the picture id"),
    (VP8, "90 f0 85 01 07 40", "nothing behind the descriptor"),
    (VP9, "48 82", "inter-picture predicted"),
    (VP9, "04 82", "not the beginning of a frame"),
    (VP9, "a8 05 02 07 82", "an upper spatial layer"),
    (VP9, "88", "cut off"),
    (AV1, "10 32", "no new sequence"),
    (AV1, "08", "nothing behind the header"),
    (H264, "41 9a", "another slice"),
    (H264, "7c 05 88", "a later fragment of an IDR slice"),
    (H264, "7c 81 9a", "the first fragment of another slice"),
    (H264, "78 00 02 06 01 00 02 41 9a", "an aggregate without a key unit"),
    (H264, "78 00 09 67 42", "an aggregate whose unit is longer than the packet"),
    (H264, "78 00 00 67", "an empty unit"),
    (H264, "67", "one byte"),
]


def begins(relay: Relay, browser: Browsers, family: int, payload: str) -> bool:
    """Whether a waiting subscriber starts at this payload."""
    codecs = {96: (family, 5), 120: (VP8 if family != VP8 else VP9, 6)}
    call = Call(relay, browser(codecs=codecs), browser(codecs=codecs), "video")
    call.send(1, payload_type=96, payload=bytes.fromhex(payload))
    fence = b"\x10\x00" if family != VP8 else b"\x08\x82"
    call.send(2, payload_type=120, payload=fence)
    return call.bob.receive().payload != fence


@pytest.mark.parametrize(("family", "payload", "what"), KEYFRAMES)
def test_a_keyframe_is_recognised(
    relay: Relay, browser: Browsers, family: int, payload: str, what: str
) -> None:
    assert begins(relay, browser, family, payload), what


@pytest.mark.parametrize(("family", "payload", "what"), OTHERS)
def test_what_is_no_keyframe_does_not_start_a_picture(
    relay: Relay, browser: Browsers, family: int, payload: str, what: str
) -> None:
    assert not begins(relay, browser, family, payload), what


def pli_times(browser: Browser, count: int) -> list[float]:
    times: list[float] = []
    for _ in range(count):
        browser.receive_rtcp_of(206, 1)
        times.append(time.monotonic())
    return times


def test_a_new_source_is_asked_at_once_and_again_until_its_keyframe(video_call: Call) -> None:
    call = video_call
    times = pli_times(call.alice, 3)
    assert all(0.45 < b - a < 2 for a, b in pairwise(times))
    call.send(1, payload=VP8_KEY)
    call.bob.receive()
    asked = call.relay.track_stats(call.track)["plis_sent"]
    deadline = time.monotonic() + 0.7
    while time.monotonic() < deadline:
        call.alice.drain()
    assert call.relay.track_stats(call.track)["plis_sent"] == asked


def test_no_more_than_one_request_in_half_a_second_reaches_the_publisher(
    video_call: Call,
) -> None:
    call = video_call
    first = pli_times(call.alice, 1)[0]
    call.send(1, payload=VP8_KEY)
    call.bob.receive()
    for number in range(20):
        call.bob.send_rtcp(pli(1, SLOT))
        call.bob.send_rtcp(fir(1, SLOT, number))
        call.relay.request_keyframe(call.track)
    second = pli_times(call.alice, 1)[0]
    assert second - first > 0.45
    call.alice.drain()
    assert not call.alice.rtcp


@pytest.mark.parametrize("request_packet", [pli(1, SLOT), fir(1, SLOT, 3)])
async def test_a_subscribers_request_reaches_the_publisher(
    video_call: Call, request_packet: bytes
) -> None:
    call = video_call
    pli_times(call.alice, 1)
    call.send(1, payload=VP8_KEY)
    call.bob.receive()
    call.bob.send_rtcp(request_packet)
    packet = call.alice.receive_rtcp_of(206, 1)
    assert packet[8:12] == ALICE.to_bytes(4)
    assert len(packet) == 12


async def test_a_request_for_anothers_slot_or_for_sound_is_ignored(
    relay: Relay, browser: Browsers
) -> None:
    call = Call(relay, browser(), browser(), "video")
    carol = browser()
    call.send(1, payload=VP8_KEY)
    call.bob.receive()
    asked = relay.track_stats(call.track)["plis_sent"]
    for each in (carol, call.alice):
        each.send_rtcp(pli(1, SLOT))
    call.bob.send_rtcp(pli(1, ALICE))
    await eventually(lambda: relay.stats()["rtcp_in"] == 3)
    deadline = time.monotonic() + 0.6
    while time.monotonic() < deadline:
        call.alice.drain()
    assert relay.track_stats(call.track)["plis_sent"] == asked


def test_a_track_whose_ssrc_is_not_known_yet_is_asked_when_it_is(
    relay: Relay, browser: Browsers
) -> None:
    alice, bob = browser(), browser()
    track = relay.add_track(alice.peer, "video", "0")
    relay.set_source(relay.add_subscription(bob.peer, "video", "5", SLOT), track)
    alice.send(Rtp(96, 1, 0, 55, VP8_DELTA, extensions={4: b"0"}))
    assert alice.receive_rtcp_of(206, 1)[8:12] == (55).to_bytes(4)


def test_sound_is_never_asked_for_a_keyframe(relay: Relay, browser: Browsers) -> None:
    call = Call(relay, browser(), browser())
    call.send(1)
    call.bob.receive()
    assert relay.track_stats(call.track)["plis_sent"] == 0


async def silent_for_two_seconds(call: Call) -> None:
    """Nobody sends anything, until that is long enough to be an absence."""
    await eventually(lambda: call.relay.track_stats(call.track)["age_ms"] > 2050)
    for browser in (call.alice, call.bob):
        browser.drain()
        browser.rtcp.clear()


def play_and_be_heard(call: Call) -> None:
    """A picture goes on from alice to bob, and bob's report is heard."""
    call.send(1, payload=VP8_KEY)
    call.bob.receive()
    call.bob.send_rtcp(receiver_report(1, SLOT))
    call.send(2, payload=VP8_DELTA)
    call.bob.receive()


async def test_a_publisher_that_was_away_is_asked_at_once_when_it_is_heard_again(
    video_call: Call,
) -> None:
    call = video_call
    play_and_be_heard(call)
    await silent_for_two_seconds(call)
    asked = call.relay.track_stats(call.track)["plis_sent"]
    call.send(3, payload=VP8_DELTA)  # nothing is missing as far as numbers tell
    await eventually(lambda: call.relay.track_stats(call.track)["plis_sent"] == asked + 1)


async def test_a_viewer_that_was_away_gets_a_keyframe_without_asking(video_call: Call) -> None:
    call = video_call
    play_and_be_heard(call)
    await silent_for_two_seconds(call)
    asked = call.relay.track_stats(call.track)["plis_sent"]
    call.bob.send_rtcp(receiver_report(1, SLOT))
    await eventually(lambda: call.relay.track_stats(call.track)["plis_sent"] == asked + 1)


def test_nobody_is_asked_for_who_reports_all_the_time(video_call: Call) -> None:
    call = video_call
    play_and_be_heard(call)
    asked = call.relay.track_stats(call.track)["plis_sent"]
    started = time.monotonic()
    number = 3
    while time.monotonic() < started + 2.5:
        call.send(number, payload=VP8_DELTA)
        call.bob.receive()
        call.bob.send_rtcp(receiver_report(1, SLOT))
        call.alice.drain()
        number += 1
        time.sleep(0.05)
    assert call.relay.track_stats(call.track)["plis_sent"] == asked
