"""What a subscriber sees of a publisher's packets, field by field."""

from collections.abc import Callable

import pytest

from media.relay import H264, OPUS, VP8, Relay
from tests.support.eventually import eventually
from tests.unit.media.relay.browser import (
    AUDIO_PT,
    EXTENSIONS,
    PROFILES,
    VIDEO_PT,
    VP8_DELTA,
    VP8_KEY,
    Browser,
)
from tests.unit.media.relay.call import ALICE, SLOT, Call
from tests.unit.media.relay.rtp import Rtp

Browsers = Callable[..., Browser]


def test_a_packet_arrives_with_its_payload_and_the_subscribers_own_ssrc_and_mid(
    call: Call,
) -> None:
    call.send(10, 0, payload=b"opus", marker=True)
    packet = call.bob.receive()
    assert packet.ssrc == SLOT
    assert packet.payload_type == AUDIO_PT
    assert packet.payload == b"opus"
    assert packet.marker
    assert packet.extensions[EXTENSIONS["mid"]] == b"5"


def test_sequence_numbers_and_timestamps_keep_their_distances(call: Call) -> None:
    for i in range(4):
        call.send(100 + i, 5000 + 960 * i)
    packets = call.bob.receive_many(4)
    assert [p.sequence - packets[0].sequence for p in packets] == [0, 1, 2, 3]
    assert [p.timestamp - packets[0].timestamp & 0xFFFFFFFF for p in packets] == [
        0,
        960,
        1920,
        2880,
    ]


def test_the_first_sequence_number_is_below_2_to_the_15(relay: Relay, browser: Browsers) -> None:
    """RFC 3711, 3.3.1: a receiver that misses the first packets could mistake the ROC."""
    alice, bob = browser(), browser()
    track = relay.add_track(alice.peer, "audio", "0", ssrcs=[ALICE])
    for i in range(20):
        relay.set_source(relay.add_subscription(bob.peer, "audio", "5", SLOT + i), track)
    alice.send(Rtp(AUDIO_PT, 65000, 0, ALICE))
    packets = bob.receive_many(20)
    assert all(p.sequence < 2**15 for p in packets)
    assert len({p.sequence for p in packets}) > 1
    assert len({p.timestamp for p in packets}) > 1


def test_a_wrapping_publisher_stays_continuous(call: Call) -> None:
    for i in range(6):
        call.send(65533 + i, 2**32 - 2000 + 960 * i, payload=b"%d" % i)
    packets = call.bob.receive_many(6)
    assert [p.payload for p in packets] == [b"0", b"1", b"2", b"3", b"4", b"5"]
    assert [(p.sequence - packets[0].sequence) & 0xFFFF for p in packets] == list(range(6))
    assert [(p.timestamp - packets[0].timestamp) & 0xFFFFFFFF for p in packets] == [
        960 * i for i in range(6)
    ]


def test_both_roll_over_counters_grow_with_a_long_stream(call: Call) -> None:
    """Past 2**16 packets on each leg: the SRTP sessions of both ends must agree on the ROC."""
    step = 20000
    first = None
    for i in range(9):
        call.send(i * step, 0, payload=b"%d" % i)
        packet = call.bob.receive()
        first = packet.sequence if first is None else first
        assert packet.payload == b"%d" % i
        assert packet.sequence == (first + i * step) & 0xFFFF


@pytest.mark.parametrize("publisher", PROFILES)
@pytest.mark.parametrize("subscriber", PROFILES)
def test_every_profile_reaches_every_other(
    relay: Relay, browser: Browsers, publisher: str, subscriber: str
) -> None:
    call = Call(relay, browser(profile=publisher), browser(profile=subscriber))
    call.send(1, payload=b"secret")
    assert call.bob.receive().payload == b"secret"


def test_csrcs_are_copied(call: Call) -> None:
    call.send(1, csrcs=(7, 8, 9))
    assert call.bob.receive().csrcs == (7, 8, 9)


def test_padding_is_stripped_and_its_bit_cleared(call: Call) -> None:
    call.send(1, payload=b"kept", padding=20)
    packet = call.bob.receive()
    assert packet.payload == b"kept"
    assert packet.padding == 0


def test_padding_only_packets_leave_no_gap(call: Call) -> None:
    call.send(1, payload=b"a")
    call.send(2, payload=b"", padding=200)
    call.send(3, payload=b"", padding=200)
    call.send(4, payload=b"b")
    a, b = call.bob.receive_many(2)
    assert (a.payload, b.payload) == (b"a", b"b")
    assert b.sequence == a.sequence + 1


def test_a_packet_that_overtook_padding_keeps_its_own_place(call: Call) -> None:
    """1, (2 late), 3 padding, 4: number 2 is placed between 1 and 4, not on 4's number."""
    call.send(1, payload=b"1")
    call.send(3, payload=b"", padding=10)
    call.send(4, payload=b"4")
    call.send(2, payload=b"2")
    one, four, two = call.bob.receive_many(3)
    assert [p.payload for p in (one, four, two)] == [b"1", b"4", b"2"]
    assert two.sequence == one.sequence + 1
    assert four.sequence == one.sequence + 2


def test_every_output_number_is_used_once_whatever_is_padding_and_whatever_is_late(
    call: Call,
) -> None:
    order = [1, 2, 5, 3, 4, 9, 7, 8, 6, 10, 14, 12, 11, 13, 15]
    padding = {3, 8, 10, 11}
    for number in order:
        empty = number in padding
        call.send(number, payload=b"" if empty else b"%d" % number, padding=10 if empty else 0)
    packets = call.bob.receive_many(len(order) - len(padding))
    by_sequence = sorted(packets, key=lambda p: p.sequence)
    assert len({p.sequence for p in packets}) == len(packets)
    assert [int(p.payload) for p in by_sequence] == [n for n in range(1, 16) if n not in padding]


def test_reordered_packets_keep_their_place(call: Call) -> None:
    for number in (10, 12, 11, 14, 13):
        call.send(number, number * 960, payload=b"%d" % number)
    packets = call.bob.receive_many(5)
    first = packets[0].sequence
    assert [p.sequence - first for p in packets] == [0, 2, 1, 4, 3]
    assert [int(p.payload) for p in packets] == [10, 12, 11, 14, 13]


def test_a_lost_packet_stays_a_gap(call: Call) -> None:
    call.send(1)
    call.send(3)
    a, b = call.bob.receive_many(2)
    assert b.sequence == a.sequence + 2


def test_a_late_packet_from_before_the_first_forwarded_one_is_dropped(call: Call) -> None:
    call.send(100)
    call.send(99, payload=b"too early to place")
    call.send(101, payload=b"next")
    first, second = call.bob.receive_many(2)
    assert second.payload == b"next"
    assert second.sequence == first.sequence + 1


def test_a_replayed_packet_is_forwarded_once(call: Call) -> None:
    datagram = call.send(1, payload=b"once")
    for _ in range(3):
        call.alice.send_raw(datagram)
    call.send(2, payload=b"next")
    assert [p.payload for p in call.bob.receive_many(2)] == [b"once", b"next"]
    assert call.relay.stats()["dropped_replay"] == 3
    assert call.relay.peer_stats(call.alice.peer)["replays"] == 3


def test_a_late_packet_after_the_wrap_is_forwarded_once(call: Call) -> None:
    call.send(65534, payload=b"a")
    call.send(0, payload=b"c")
    datagram = call.send(65535, payload=b"b")
    call.alice.send_raw(datagram)
    call.send(1, payload=b"d")
    packets = call.bob.receive_many(4)
    assert [p.payload for p in packets] == [b"a", b"c", b"b", b"d"]
    first = packets[0].sequence
    assert [(p.sequence - first) & 0xFFFF for p in packets] == [0, 2, 1, 3]


def test_extensions_go_under_the_subscribers_ids_and_the_rest_stays_behind(
    relay: Relay, browser: Browsers
) -> None:
    alice = browser(
        extensions={"mid": 9, "audio_level": 3, "twcc": 4, "rid": 5, "video_orientation": 6}
    )
    bob = browser(extensions={"audio_level": 12, "mid": 1, "video_orientation": 2, "twcc": 7})
    call = Call(relay, alice, bob)
    call.send(1, extensions={9: b"0", 3: b"\x8a", 4: b"\0\1", 5: b"hi", 6: b"\x02", 8: b"unknown"})
    packet = call.bob.receive()
    # 7: the transport-wide number is the subscriber's own.
    assert packet.extensions == {1: b"5", 12: b"\x8a", 2: b"\x02", 7: b"\0\0"}
    assert not packet.two_byte


def test_the_absolute_send_time_is_the_relays_own(relay: Relay, browser: Browsers) -> None:
    call = Call(relay, browser(), browser(extensions={"abs_send_time": 2}))
    call.send(1, extensions={EXTENSIONS["abs_send_time"]: b"\xff\xff\xff"})
    call.send(2)
    first, second = call.bob.receive_many(2)
    assert first.extensions[2] != b"\xff\xff\xff"
    times = [int.from_bytes(p.extensions[2]) for p in (first, second)]
    assert 0 <= (times[1] - times[0]) & 0xFFFFFF < 5 << 18, "less than five seconds apart"


def told_delay(packet: Rtp) -> tuple[int, int]:
    """The least and the most, ms, under the id 6."""
    field = int.from_bytes(packet.extensions[6])
    return field >> 12 & 0xFFF, field & 0xFFF


def test_how_long_pictures_are_to_wait_is_told_with_every_packet_once_it_is_known(
    relay: Relay, browser: Browsers
) -> None:
    alice = browser(extensions={"playout_delay": 3})
    call = Call(relay, alice, browser(extensions={"playout_delay": 6}), "video")
    call.send(1, payload=VP8_KEY, extensions={3: b"\x01\x20\x30"})
    assert call.bob.receive().extensions == {}, "the publisher's own says nothing to others"
    for number, delay_ms in enumerate((190, 10_000, 0)):
        relay.set_playout_delay(call.slot, delay_ms)
        for again in range(2):
            call.send(2 + 2 * number + again, payload=VP8_KEY)
            assert told_delay(call.bob.receive()) == (delay_ms // 10, 1000)


@pytest.mark.parametrize("delay_ms", [-1, 10_001])
def test_a_delay_out_of_range_is_refused(relay: Relay, browser: Browsers, delay_ms: int) -> None:
    call = Call(relay, browser(), browser(), "video")
    with pytest.raises(ValueError, match="is 0"):
        relay.set_playout_delay(call.slot, delay_ms)


def test_a_viewer_that_did_not_agree_is_told_no_delay(relay: Relay, browser: Browsers) -> None:
    call = Call(relay, browser(), browser(extensions={"mid": 1}), "video")
    relay.set_playout_delay(call.slot, 190)
    call.send(1, payload=VP8_KEY)
    assert call.bob.receive().extensions == {1: b"5"}


def test_a_subscriber_without_extensions_gets_none(relay: Relay, browser: Browsers) -> None:
    call = Call(relay, browser(), browser(extensions={}))
    call.send(1, payload=b"bare", extensions={EXTENSIONS["mid"]: b"0"})
    packet = call.bob.receive()
    assert packet.extensions == {}
    assert packet.payload == b"bare"


@pytest.mark.parametrize("length", [3, 16, 17, 120])
def test_a_dependency_descriptor_stays_behind(relay: Relay, browser: Browsers, length: int) -> None:
    """Its frame numbers would jump at a change of source. Over 16 bytes it comes in the
    two-byte form (RFC 8285, 4.3)."""
    call = Call(
        relay,
        browser(extensions={"dependency_descriptor": 8}),
        browser(extensions={"dependency_descriptor": 11, "mid": 1}),
    )
    call.send(1, extensions={8: bytes(range(1, length + 1))}, two_byte=length > 16)
    packet = call.bob.receive()
    assert packet.extensions == {1: b"5"}
    assert not packet.two_byte


def test_an_id_above_14_takes_the_two_byte_form(relay: Relay, browser: Browsers) -> None:
    call = Call(
        relay, browser(extensions={"audio_level": 200}), browser(extensions={"audio_level": 15})
    )
    call.send(1, extensions={200: b"\x7f"}, two_byte=True)
    packet = call.bob.receive()
    assert packet.two_byte
    assert packet.extensions == {15: b"\x7f"}


def test_the_payload_type_is_the_subscribers_for_the_same_codec_and_variant(
    relay: Relay, browser: Browsers
) -> None:
    alice = browser(codecs={111: (OPUS, 1), 96: (VP8, 2), 102: (H264, 3), 104: (H264, 4)})
    bob = browser(codecs={100: (OPUS, 1), 120: (VP8, 2), 45: (H264, 4), 46: (H264, 3)})
    call = Call(relay, alice, bob, "video")
    key = b"\x67\x42sps"
    for sequence, (sent, seen, payload) in enumerate(
        [(96, 120, VP8_KEY), (102, 46, key), (104, 45, key), (96, 120, VP8_KEY)]
    ):
        call.send(sequence, payload_type=sent, payload=payload)
        assert call.bob.receive().payload_type == seen


def test_a_codec_the_subscriber_does_not_have_is_dropped_without_a_gap(
    relay: Relay, browser: Browsers
) -> None:
    alice = browser(codecs={111: (OPUS, 1), 63: (OPUS, 9)})
    call = Call(relay, alice, browser())
    call.send(1)
    call.send(2, payload_type=63)
    call.send(3, payload_type=13)
    call.send(4, payload=b"next")
    first, second = call.bob.receive_many(2)
    assert second.payload == b"next"
    assert second.sequence == first.sequence + 1
    assert relay.stats()["dropped_payload_type"] == 2
    assert relay.subscription_stats(call.slot)["dropped"] == 2


def test_a_changed_negotiation_holds_from_the_next_packet(relay: Relay, browser: Browsers) -> None:
    call = Call(relay, browser(), browser())
    call.send(1)
    assert call.bob.receive().payload_type == AUDIO_PT
    relay.configure_peer(call.bob.peer, {77: (OPUS, 1)}, {}, {"mid": 9})
    call.send(2)
    packet = call.bob.receive()
    assert packet.payload_type == 77
    assert packet.extensions == {9: b"5"}


def test_an_unlisted_ssrc_is_known_by_its_mid_and_remembered(
    relay: Relay, browser: Browsers
) -> None:
    alice, bob = browser(), browser()
    track = relay.add_track(alice.peer, "audio", "mic")
    relay.set_source(relay.add_subscription(bob.peer, "audio", "5", SLOT), track)
    alice.send(Rtp(AUDIO_PT, 1, 0, 77, b"nobody's yet"))
    alice.send(Rtp(AUDIO_PT, 2, 0, 77, b"with mid", extensions={4: b"mic"}))
    alice.send(Rtp(AUDIO_PT, 3, 0, 77, b"without"))
    assert [p.payload for p in bob.receive_many(2)] == [b"with mid", b"without"]
    assert relay.stats()["dropped_unknown_ssrc"] == 1


def test_an_ssrc_that_carried_its_mid_before_the_track_was_there_is_the_tracks(
    relay: Relay, browser: Browsers
) -> None:
    """Also what happens when a section pauses and comes back after the MIDs ended."""
    alice, bob = browser(), browser()
    slot = relay.add_subscription(bob.peer, "audio", "5", SLOT)
    alice.send(Rtp(AUDIO_PT, 1, 0, 77, b"early", extensions={4: b"mic"}))
    alice.send(Rtp(AUDIO_PT, 2, 0, 77, b"early"))
    for round_number in range(2):
        listed = relay.add_track(alice.peer, "audio", "other", ssrcs=[78])
        relay.set_source(slot, listed)
        alice.send(Rtp(AUDIO_PT, 1 + round_number, 0, 78, b"fence"))
        assert bob.receive().payload == b"fence"
        track = relay.add_track(alice.peer, "audio", "mic")
        relay.set_source(slot, track)
        alice.send(Rtp(AUDIO_PT, 3 + round_number, 0, 77, b"now"))
        assert bob.receive().payload == b"now"
        relay.remove_track(track)
        relay.remove_track(listed)


def test_retransmissions_of_nothing_that_is_missing_are_not_forwarded(
    relay: Relay, browser: Browsers
) -> None:
    alice, bob = browser(), browser()
    track = relay.add_track(alice.peer, "video", "0", ssrcs=[ALICE], rtx_ssrcs=[ALICE + 1])
    relay.set_source(relay.add_subscription(bob.peer, "video", "5", SLOT), track)
    alice.send(Rtp(97, 1, 0, ALICE + 1, b"listed"))
    alice.send(Rtp(97, 2, 0, ALICE + 2, b"by payload type", extensions={4: b"0"}))
    alice.send(Rtp(97, 3, 0, ALICE + 2, b"remembered"))
    alice.send(Rtp(97, 3, 0, ALICE, b"payload type on the media SSRC"))
    alice.send(Rtp(VIDEO_PT, 4, 0, ALICE, VP8_KEY))
    assert bob.receive().payload == VP8_KEY
    assert relay.stats()["retransmissions_received"] == 4
    assert relay.track_stats(track)["packets"] == 1


def test_a_repaired_rid_marks_retransmissions(relay: Relay, browser: Browsers) -> None:
    alice, bob = browser(extensions={"mid": 4, "rid": 5, "repaired_rid": 6}), browser()
    track = relay.add_track(alice.peer, "video", "0")
    relay.set_source(relay.add_subscription(bob.peer, "video", "5", SLOT), track)
    alice.send(Rtp(VIDEO_PT, 1, 0, 50, VP8_KEY, extensions={4: b"0", 6: b"h"}))
    alice.send(Rtp(VIDEO_PT, 1, 0, 51, VP8_KEY + b"media", extensions={4: b"0", 5: b"h"}))
    assert bob.receive().payload == VP8_KEY + b"media"
    assert relay.stats()["retransmissions_received"] == 1


def test_a_second_ssrc_of_a_track_waits_until_the_first_is_silent(call: Call) -> None:
    """Two layers of one MID must not be mixed into one stream."""
    call.relay.remove_track(call.track)
    call.track = call.relay.add_track(call.alice.peer, "audio", "0", ssrcs=[ALICE, ALICE + 1])
    call.relay.set_source(call.slot, call.track)
    call.send(1, payload=b"first")
    call.send(1, ssrc=ALICE + 1, payload=b"second")
    call.send(2, payload=b"first again")
    assert [p.payload for p in call.bob.receive_many(2)] == [b"first", b"first again"]
    assert call.relay.stats()["dropped_other_ssrc"] == 1


async def test_a_second_ssrc_takes_over_when_the_first_fell_silent(call: Call) -> None:
    call.relay.remove_track(call.track)
    call.track = call.relay.add_track(call.alice.peer, "audio", "0", ssrcs=[ALICE, ALICE + 1])
    call.relay.set_source(call.slot, call.track)
    call.send(500, payload=b"before")
    before = call.bob.receive()
    await eventually(lambda: call.relay.track_stats(call.track)["age_ms"] > 1600)
    call.send(9, 7, ssrc=ALICE + 1, payload=b"after")
    after = call.bob.receive()
    assert after.payload == b"after"
    assert after.sequence == before.sequence + 1


def test_twelve_peers_each_see_all_the_others(relay: Relay, browser: Browsers) -> None:
    peers = [browser() for _ in range(12)]
    tracks = [
        relay.add_track(each.peer, "audio", "0", ssrcs=[ALICE + i]) for i, each in enumerate(peers)
    ]
    for i, each in enumerate(peers):
        for j, track in enumerate(tracks):
            if i != j:
                slot = relay.add_subscription(each.peer, "audio", str(j), SLOT + j)
                relay.set_source(slot, track)
    rounds = 20
    for number in range(rounds):
        for i, each in enumerate(peers):
            each.send(Rtp(AUDIO_PT, number, number * 960, ALICE + i, b"%d:%d" % (i, number)))
    for i, each in enumerate(peers):
        seen: dict[int, list[bytes]] = {}
        for packet in each.receive_many(11 * rounds):
            seen.setdefault(packet.ssrc - SLOT, []).append(packet.payload)
        assert sorted(seen) == [j for j in range(12) if j != i]
        for j, payloads in seen.items():
            assert payloads == [b"%d:%d" % (j, number) for number in range(rounds)]


def test_the_figures_count_what_happened(relay: Relay, browser: Browsers) -> None:
    call = Call(relay, browser(), browser(), "video")
    assert relay.track_stats(call.track)["age_ms"] == -1
    call.send(1, payload=VP8_KEY)
    call.send(3, payload=VP8_DELTA)
    call.bob.receive_many(2)
    figures = relay.track_stats(call.track)
    assert (figures["packets"], figures["lost"], figures["keyframes"]) == (2, 1, 1)
    assert figures["bytes"] == len(VP8_KEY + VP8_DELTA)
    assert figures["age_ms"] >= 0
    slot = relay.subscription_stats(call.slot)
    assert (slot["packets"], slot["bytes"]) == (2, len(VP8_KEY + VP8_DELTA))
    assert relay.peer_stats(call.alice.peer)["packets_in"] == 2
    assert relay.peer_stats(call.bob.peer)["packets_out"] == 2
