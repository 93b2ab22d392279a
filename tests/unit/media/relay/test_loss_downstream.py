"""What a subscriber asks for again comes from the cache, as RTX, and within bounds."""

import struct
import time
from collections.abc import Callable

import pytest

from media.relay import H264, VP8, Relay
from tests.support.eventually import eventually
from tests.unit.media.relay.browser import (
    EXTENSIONS,
    VIDEO_PT,
    VP8_DELTA,
    VP8_KEY,
    Browser,
    nack,
)
from tests.unit.media.relay.call import ALICE, SLOT, SLOT_RTX, Call
from tests.unit.media.relay.rtp import Rtp

Browsers = Callable[..., Browser]

RTX_PT = 97


def ask(call: Call, *items: tuple[int, int]) -> None:
    call.bob.send_rtcp(nack(1, SLOT, *items))


def original(packet: Rtp) -> tuple[int, bytes]:
    """The number and payload that an RTX packet repeats."""
    assert (packet.ssrc, packet.payload_type) == (SLOT_RTX, RTX_PT)
    return struct.unpack_from("!H", packet.payload)[0], packet.payload[2:]


def fence(call: Call, sequence: int) -> list[Rtp]:
    """What bob is sent until alice's next packet."""
    call.send(sequence, payload=b"fence")
    packets: list[Rtp] = []
    while not packets or packets[-1].payload != b"fence":
        packets.append(call.bob.receive())
    return packets[:-1]


def play(call: Call, count: int, start: int = 0, size: int = 0) -> list[Rtp]:
    """A keyframe and more packets, as bob received them."""
    packets = []
    for number in range(count):
        payload = (VP8_DELTA if number else VP8_KEY) + b"%d" % number + bytes(size)
        call.send(start + number, 90 * number, payload=payload, marker=number % 2 == 1)
        packets.append(call.bob.receive())
    return packets


@pytest.mark.parametrize("start", [100, 65533], ids=["plain", "over the wrap"])
def test_what_was_lost_on_the_way_down_comes_again_as_rtx(video_call: Call, start: int) -> None:
    call = video_call
    packets = play(call, 6, start)
    lost = packets[3]
    ask(call, (lost.sequence, 0))
    again = call.bob.receive()
    assert original(again) == (lost.sequence, lost.payload)
    assert (again.timestamp, again.marker) == (lost.timestamp, lost.marker)
    assert again.extensions[EXTENSIONS["mid"]] == b"5"
    figures = call.relay.subscription_stats(call.slot)
    assert (figures["nacks_received"], figures["retransmissions_sent"]) == (1, 1)


def test_retransmissions_have_numbers_of_their_own_below_2_to_the_15(video_call: Call) -> None:
    call = video_call
    packets = play(call, 5)
    ask(call, (packets[1].sequence, 0b101))
    first, second = call.bob.receive_many(2)
    assert original(first)[0] == packets[1].sequence
    assert original(second)[0] == packets[2].sequence
    assert second.sequence == first.sequence + 1
    assert first.sequence < 2**15
    again = call.bob.receive()
    assert original(again)[0] == packets[4].sequence
    assert again.sequence == first.sequence + 2


def test_padding_and_losses_do_not_shift_what_is_meant(video_call: Call) -> None:
    """The number that bob knows leads back to alice's, whatever was left out between."""
    call = video_call
    call.send(10, payload=VP8_KEY)
    kept = [call.bob.receive()]
    padding = {12, 13, 17, 20, 21, 22, 30}
    lost = {15, 25}
    for number in range(11, 40):
        if number in lost:
            continue
        if number in padding:
            call.send(number, payload=b"", padding=20)
            continue
        call.send(number, payload=b"%d" % number)
        kept.append(call.bob.receive())
    for packet in kept:
        ask(call, (packet.sequence, 0))
        assert original(call.bob.receive()) == (packet.sequence, packet.payload)
    ask(call, (kept[0].sequence - 1, 0), (kept[-1].sequence + 1, 0), (kept[0].sequence - 9999, 0))
    assert fence(call, 40) == [], "numbers that were never given out"


def test_a_packet_that_came_by_rtx_itself_is_sent_again_whole(video_call: Call) -> None:
    call = video_call
    first = play(call, 2)[0]
    call.send(3, payload=VP8_DELTA)
    call.bob.receive()
    call.alice.send(Rtp(RTX_PT, 1, 0, ALICE + 1, b"\0\2" + b"recovered"))
    recovered = call.bob.receive()
    assert (recovered.payload, recovered.sequence) == (b"recovered", first.sequence + 2)
    ask(call, (recovered.sequence, 0))
    assert original(call.bob.receive()) == (recovered.sequence, b"recovered")


def test_a_repeat_within_40_ms_is_ignored_and_a_later_one_answered(video_call: Call) -> None:
    call = video_call
    packets = play(call, 3)
    for _ in range(5):
        ask(call, (packets[1].sequence, 0))
    assert len(fence(call, 3)) == 1
    time.sleep(0.05)
    ask(call, (packets[1].sequence, 0))
    assert original(call.bob.receive())[0] == packets[1].sequence


def test_a_storm_is_answered_with_what_was_sent_and_64_kib_at_most(video_call: Call) -> None:
    call = video_call
    packets = play(call, 30, size=1100)
    media = sum(len(packet.payload) for packet in packets)
    again = 0
    number = 30
    for _ in range(6):
        for _ in range(20):
            ask(call, (packets[0].sequence, 0xFFFF), (packets[16].sequence, 0x3FFF))
        answers = fence(call, number)
        number += 1
        again += sum(len(packet.payload) - 2 for packet in answers)
        time.sleep(0.05)
    assert media + 60_000 < again <= media + 65_536 + 6 * len(b"fence")
    assert call.relay.subscription_stats(call.slot)["nacks_received"] > 2000


def test_a_keyframe_that_came_late_starts_a_subscriber_who_asks_for_the_rest(
    video_call: Call,
) -> None:
    """What followed it was dropped for want of a keyframe, and is in the cache."""
    call = video_call
    for number in (1, 3, 4):
        call.send(number, payload=VP8_DELTA + b"%d" % number)
    call.alice.send(Rtp(RTX_PT, 1, 0, ALICE + 1, b"\0\2" + VP8_KEY))
    call.send(5, payload=VP8_DELTA + b"5")
    key, newest = call.bob.receive_many(2)
    assert (key.payload, newest.payload) == (VP8_KEY, VP8_DELTA + b"5")
    assert newest.sequence == key.sequence + 3
    ask(call, (key.sequence + 1, 1))
    again = [original(each) for each in call.bob.receive_many(2)]
    assert again == [
        (key.sequence + 1, VP8_DELTA + b"3"),
        (key.sequence + 2, VP8_DELTA + b"4"),
    ]


def test_two_subscribers_share_one_cache_and_have_limits_of_their_own(
    relay: Relay, browser: Browsers
) -> None:
    call = Call(relay, browser(), browser(), "video")
    carol = browser()
    slot = relay.add_subscription(carol.peer, "video", "5", SLOT, SLOT_RTX)
    relay.set_source(slot, call.track)
    packets = play(call, 3)
    hers = carol.receive_many(3)
    ask(call, (packets[1].sequence, 0))
    carol.send_rtcp(nack(1, SLOT, (hers[1].sequence, 0)))
    assert original(call.bob.receive()) == (packets[1].sequence, packets[1].payload)
    assert original(carol.receive()) == (hers[1].sequence, hers[1].payload)


def test_what_the_cache_no_longer_holds_is_not_answered(video_call: Call) -> None:
    """256 KiB: of 1,100 bytes each, about 215."""
    call = video_call
    packets = play(call, 300, size=1100)
    ask(call, (packets[10].sequence, 0))
    ask(call, (packets[150].sequence, 0))
    answers = fence(call, 300)
    assert [original(each)[0] for each in answers] == [packets[150].sequence]
    assert original(answers[0])[1] == packets[150].payload


def test_more_packets_than_the_cache_has_entries_overwrite_the_oldest(video_call: Call) -> None:
    call = video_call
    packets = play(call, 1100)
    ask(call, (packets[10].sequence, 0))
    ask(call, (packets[200].sequence, 0))
    answers = fence(call, 1100)
    assert [original(each)[0] for each in answers] == [packets[200].sequence]


@pytest.mark.parametrize("missing", ["rtx payload type", "rtx ssrc"])
async def test_without_rtx_nothing_is_sent_again(
    relay: Relay, browser: Browsers, missing: str
) -> None:
    """Under the media SSRC a number must never protect two texts (RFC 7714, 9)."""
    bob = browser(rtx={} if missing == "rtx payload type" else {RTX_PT: VIDEO_PT})
    call = Call(relay, browser(), bob, "video")
    if missing == "rtx ssrc":
        relay.remove_subscription(call.slot)
        call.slot = relay.add_subscription(bob.peer, "video", "5", SLOT)
        relay.set_source(call.slot, call.track)
    packets = play(call, 3)
    ask(call, (packets[1].sequence, 0))
    assert fence(call, 3) == []
    assert relay.stats()["nacks_received"] == 1


def test_sound_is_not_sent_again(call: Call) -> None:
    call.send(1)
    packet = call.bob.receive()
    ask(call, (packet.sequence, 0))
    assert fence(call, 2) == []


def test_the_repairing_payload_type_goes_with_the_codec(relay: Relay, browser: Browsers) -> None:
    alice = browser(codecs={96: (VP8, 2), 102: (H264, 3)})
    bob = browser(codecs={120: (VP8, 2), 46: (H264, 3)}, rtx={121: 120, 47: 46})
    call = Call(relay, alice, bob, "video")
    for sequence, (sent, repairs, payload) in enumerate(
        [(96, 121, VP8_KEY), (102, 47, b"\x67\x42sps"), (96, 121, VP8_KEY)]
    ):
        call.send(sequence, payload_type=sent, payload=payload)
        packet = bob.receive()
        ask(call, (packet.sequence, 0))
        again = bob.receive()
        assert (again.payload_type, again.payload[2:]) == (repairs, payload)


def test_after_a_switch_only_the_new_source_is_sent_again(relay: Relay, browser: Browsers) -> None:
    call = Call(relay, browser(), browser(), "video")
    carol = browser()
    other = relay.add_track(carol.peer, "video", "0", ssrcs=[3000])
    old = play(call, 3)
    relay.set_source(call.slot, other)
    carol.send(Rtp(VIDEO_PT, 1, 0, 3000, VP8_KEY + b"carol"))
    carol.send(Rtp(VIDEO_PT, 2, 0, 3000, VP8_DELTA + b"carol"))
    new = call.bob.receive_many(2)
    assert new[0].sequence == old[-1].sequence + 1
    ask(call, (old[1].sequence, 0))
    ask(call, (new[1].sequence, 0))
    assert original(call.bob.receive()) == (new[1].sequence, new[1].payload)
    assert relay.subscription_stats(call.slot)["retransmissions_sent"] == 1


async def test_after_a_mute_only_what_came_since_is_sent_again(video_call: Call) -> None:
    call = video_call
    old = play(call, 3)
    call.relay.set_forwarding(call.track, False)
    ask(call, (old[1].sequence, 0))
    call.send(3, payload=VP8_DELTA + b"muted")
    await eventually(lambda: call.relay.stats()["dropped_muted"] == 1)
    call.relay.set_forwarding(call.track, True)
    new = play(call, 2, start=4)
    ask(call, (old[1].sequence, 0))
    ask(call, (new[1].sequence, 0))
    assert original(call.bob.receive())[0] == new[1].sequence
    assert call.relay.subscription_stats(call.slot)["retransmissions_sent"] == 1


def test_a_slot_that_returns_goes_on_with_its_retransmissions_numbers(video_call: Call) -> None:
    """With the same keys a number must never come twice, on either SSRC (RFC 7714, 9)."""
    call = video_call
    last = play(call, 2)[-1]
    ask(call, (last.sequence, 0))
    before = call.bob.receive()
    call.relay.remove_subscription(call.slot)
    call.slot = call.relay.add_subscription(call.bob.peer, "video", "6", SLOT, SLOT_RTX)
    call.relay.set_source(call.slot, call.track)
    packet = play(call, 1, start=2)[0]
    ask(call, (packet.sequence, 0))
    after = call.bob.receive()
    assert original(after)[0] == packet.sequence
    assert after.sequence == before.sequence + 1


async def test_nothing_is_sent_again_to_a_peer_that_receives_nothing(video_call: Call) -> None:
    call = video_call
    packets = play(call, 3)
    call.relay.select(call.bob.peer, None)
    ask(call, (packets[1].sequence, 0))
    await eventually(lambda: call.relay.stats()["nacks_received"] == 1)
    assert call.relay.stats()["retransmissions_sent"] == 0


@pytest.mark.parametrize("about", [ALICE, SLOT_RTX, 0])
async def test_a_nack_about_another_ssrc_is_ignored(video_call: Call, about: int) -> None:
    call = video_call
    packets = play(call, 3)
    call.bob.send_rtcp(nack(1, about, (packets[1].sequence, 0)))
    await eventually(lambda: call.relay.stats()["rtcp_in"] == 1)
    assert call.relay.stats()["nacks_received"] == 0


def test_an_rtx_ssrc_that_another_slot_has_is_refused(video_call: Call) -> None:
    relay, peer = video_call.relay, video_call.bob.peer
    for ssrc, rtx_ssrc in ((SLOT_RTX, 5), (6, SLOT), (7, SLOT_RTX)):
        with pytest.raises(Exception, match=r"relay\.ssrc_in_use"):
            relay.add_subscription(peer, "video", "8", ssrc, rtx_ssrc)
    with pytest.raises(ValueError, match="of their own"):
        relay.add_subscription(peer, "video", "8", 9, 9)
