"""Mute, switched sources and returning slots: the subscriber sees one continuous stream."""

from collections.abc import Callable
from itertools import pairwise

from media.relay import Relay
from tests.support.eventually import eventually
from tests.unit.media.relay.browser import (
    AUDIO_PT,
    VIDEO_PT,
    VP8_DELTA,
    VP8_KEY,
    Browser,
)
from tests.unit.media.relay.call import ALICE, SLOT, Call
from tests.unit.media.relay.rtp import Rtp

Browsers = Callable[..., Browser]

CAROL = 3000


async def test_mute_drops_every_packet_and_leaves_no_gap(call: Call) -> None:
    call.send(1, 960, payload=b"before")
    before = call.bob.receive()
    call.relay.set_forwarding(call.track, False)
    for i in range(50):
        call.send(2 + i, 960 * (2 + i), payload=b"muted")
    await eventually(lambda: call.relay.stats()["dropped_muted"] == 50)
    call.relay.set_forwarding(call.track, True)
    call.send(52, 960 * 52, payload=b"after")
    after = call.bob.receive()
    assert after.payload == b"after"
    assert after.sequence == before.sequence + 1
    assert (after.timestamp - before.timestamp) & 0xFFFFFFFF == 960 * 51, "its clock went on"


async def test_a_packet_of_the_muted_time_that_comes_late_stays_dropped(call: Call) -> None:
    call.send(1, payload=b"1")
    first = call.bob.receive()
    call.relay.set_forwarding(call.track, False)
    call.send(2, payload=b"muted")
    await eventually(lambda: call.relay.stats()["dropped_muted"] == 1)
    call.relay.set_forwarding(call.track, True)
    call.send(4, payload=b"4")
    call.send(3, payload=b"muted too")
    call.send(5, payload=b"5")
    packets = call.bob.receive_many(2)
    assert [p.payload for p in packets] == [b"4", b"5"]
    assert [p.sequence - first.sequence for p in packets] == [1, 2]


def test_setting_the_state_it_has_changes_nothing(call: Call) -> None:
    call.send(1)
    call.relay.set_forwarding(call.track, True)
    call.send(3)
    a, b = call.bob.receive_many(2)
    assert b.sequence == a.sequence + 2, "still the same stream: a loss is a gap"


async def test_unmuted_video_begins_with_a_keyframe(video_call: Call) -> None:
    call = video_call
    call.send(1, payload=VP8_KEY)
    call.bob.receive()
    call.relay.set_forwarding(call.track, False)
    call.send(2, payload=VP8_KEY + b"muted")
    await eventually(lambda: call.relay.stats()["dropped_muted"] == 1)
    call.relay.set_forwarding(call.track, True)
    call.send(3, payload=VP8_DELTA)
    call.send(4, payload=VP8_KEY + b"again")
    call.send(5, payload=VP8_DELTA)
    packets = call.bob.receive_many(2)
    assert [p.payload for p in packets] == [VP8_KEY + b"again", VP8_DELTA]
    assert call.relay.stats()["dropped_waiting_keyframe"] == 1


def test_unmuting_video_asks_for_a_keyframe(video_call: Call) -> None:
    call = video_call
    call.alice.receive_rtcp_of(206, 1)
    call.send(1, payload=VP8_KEY)
    call.bob.receive()
    call.relay.set_forwarding(call.track, False)
    call.relay.set_forwarding(call.track, True)
    assert call.alice.receive_rtcp_of(206, 1)[8:12] == ALICE.to_bytes(4)


def test_another_source_goes_on_at_the_next_sequence_number_and_the_time_that_passed(
    relay: Relay, browser: Browsers
) -> None:
    call = Call(relay, browser(), browser())
    carol = browser()
    other = relay.add_track(carol.peer, "audio", "0", ssrcs=[CAROL])
    call.send(100, 5000)
    last = call.bob.receive()
    relay.set_source(call.slot, other)
    carol.send(Rtp(AUDIO_PT, 60000, 4_000_000_000, CAROL, b"carol"))
    carol.send(Rtp(AUDIO_PT, 60001, 4_000_000_960, CAROL, b"carol"))
    first, second = call.bob.receive_many(2)
    assert (first.ssrc, first.payload) == (SLOT, b"carol")
    assert first.sequence == last.sequence + 1
    elapsed = (first.timestamp - last.timestamp) & 0xFFFFFFFF
    assert 0 < elapsed < 5 * 48000, "the milliseconds between them, at 48 kHz"
    assert second.sequence == first.sequence + 1
    assert (second.timestamp - first.timestamp) & 0xFFFFFFFF == 960


def test_the_old_source_is_heard_no_more(relay: Relay, browser: Browsers) -> None:
    call = Call(relay, browser(), browser())
    carol = browser()
    other = relay.add_track(carol.peer, "audio", "0", ssrcs=[CAROL])
    call.send(1)
    call.bob.receive()
    relay.set_source(call.slot, other)
    call.send(2, payload=b"old")
    carol.send(Rtp(AUDIO_PT, 1, 0, CAROL, b"new"))
    assert call.bob.receive().payload == b"new"


def test_a_switch_to_video_waits_for_its_keyframe(relay: Relay, browser: Browsers) -> None:
    call = Call(relay, browser(), browser(), "video")
    carol = browser()
    other = relay.add_track(carol.peer, "video", "0", ssrcs=[CAROL])
    call.send(1, payload=VP8_KEY)
    last = call.bob.receive()
    relay.set_source(call.slot, other)
    assert carol.receive_rtcp_of(206, 1)[8:12] == CAROL.to_bytes(4), "a PLI at once"
    for i in range(5):
        carol.send(Rtp(VIDEO_PT, 10 + i, 90, CAROL, VP8_DELTA))
    carol.send(Rtp(VIDEO_PT, 15, 3090, CAROL, VP8_KEY))
    carol.send(Rtp(VIDEO_PT, 16, 6090, CAROL, VP8_DELTA))
    key, delta = call.bob.receive_many(2)
    assert (key.payload, delta.payload) == (VP8_KEY, VP8_DELTA)
    assert key.sequence == last.sequence + 1
    assert delta.sequence == key.sequence + 1
    assert relay.subscription_stats(call.slot)["dropped"] == 5


def test_a_packet_of_a_keyframe_that_came_before_its_first_one_is_not_placed(
    video_call: Call,
) -> None:
    call = video_call
    call.send(11, payload=VP8_DELTA)
    call.send(10, payload=VP8_KEY)
    call.send(12, payload=VP8_DELTA)
    packets = call.bob.receive_many(2)
    assert [p.payload for p in packets] == [VP8_KEY, VP8_DELTA]
    assert packets[1].sequence == packets[0].sequence + 2, "number 11 is a loss"


async def test_no_source_is_silence_and_the_same_source_goes_on(call: Call) -> None:
    call.send(1, 960)
    last = call.bob.receive()
    call.relay.set_source(call.slot, None)
    call.send(2, 1920, payload=b"nobody's")
    await eventually(lambda: call.relay.track_stats(call.track)["packets"] == 2)
    call.relay.set_source(call.slot, call.track)
    call.send(3, 2880, payload=b"next")
    packet = call.bob.receive()
    assert packet.payload == b"next"
    assert packet.sequence == last.sequence + 1
    assert (packet.timestamp - last.timestamp) & 0xFFFFFFFF == 1920


def test_there_and_back_again_never_steps_backwards(relay: Relay, browser: Browsers) -> None:
    call = Call(relay, browser(), browser())
    carol = browser()
    other = relay.add_track(carol.peer, "audio", "0", ssrcs=[CAROL])
    seen = []
    for i in range(6):
        relay.set_source(call.slot, other if i % 2 else call.track)
        if i % 2:
            carol.send(Rtp(AUDIO_PT, 5 + i, 99 * i, CAROL))
        else:
            call.send(60000 + i, 2**31 + i)
        seen.append(call.bob.receive())
    for before, after in pairwise(seen):
        assert after.sequence == before.sequence + 1
        assert 0 < (after.timestamp - before.timestamp) & 0xFFFFFFFF < 2**31


def test_a_slot_that_returns_with_its_ssrc_goes_on_where_it_ended(call: Call) -> None:
    """With the same keys a sequence number must never come twice (RFC 7714, 9)."""
    call.send(1)
    call.send(2)
    last = call.bob.receive_many(2)[1]
    call.relay.remove_subscription(call.slot)
    call.slot = call.relay.add_subscription(call.bob.peer, "audio", "6", SLOT)
    call.relay.set_source(call.slot, call.track)
    call.send(3, payload=b"back")
    packet = call.bob.receive()
    assert packet.payload == b"back"
    assert packet.sequence == last.sequence + 1
    assert packet.extensions[4] == b"6"


async def test_a_pause_of_the_subscriber_leaves_no_gap(call: Call) -> None:
    call.send(1)
    last = call.bob.receive()
    call.relay.select(call.bob.peer, None)
    call.send(2)
    await eventually(lambda: call.relay.track_stats(call.track)["packets"] == 2)
    call.relay.select(call.bob.peer, call.bob.address)
    call.send(3, payload=b"back")
    packet = call.bob.receive()
    assert (packet.payload, packet.sequence) == (b"back", last.sequence + 1)


def test_a_subscriber_that_becomes_ready_late_has_a_keyframe_asked_for(
    relay: Relay, browser: Browsers
) -> None:
    alice, bob = browser(), browser()
    relay.select(bob.peer, None)
    track = relay.add_track(alice.peer, "video", "0", ssrcs=[ALICE])
    relay.set_source(relay.add_subscription(bob.peer, "video", "5", SLOT), track)
    assert relay.track_stats(track)["plis_sent"] == 0
    relay.select(bob.peer, bob.address)
    assert alice.receive_rtcp_of(206, 1)[8:12] == ALICE.to_bytes(4)


def test_one_track_starts_each_subscriber_at_its_own_keyframe(
    relay: Relay, browser: Browsers
) -> None:
    call = Call(relay, browser(), browser(), "video")
    call.send(1, payload=VP8_KEY)
    call.bob.receive()
    carol = browser()
    relay.set_source(relay.add_subscription(carol.peer, "video", "5", SLOT), call.track)
    call.send(2, payload=VP8_DELTA)
    call.send(3, payload=VP8_KEY + b"2")
    assert [p.payload for p in call.bob.receive_many(2)] == [VP8_DELTA, VP8_KEY + b"2"]
    assert carol.receive().payload == VP8_KEY + b"2"
