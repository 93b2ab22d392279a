"""RTCP reports, both ways. Source: RFC 3550, 6.4."""

import struct
import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from media.relay import OTHER_AUDIO, Relay
from tests.support.eventually import eventually
from tests.unit.media.relay.browser import (
    AUDIO_PT,
    VIDEO_PT,
    VP8_DELTA,
    VP8_KEY,
    Browser,
    receiver_report,
    sender_report,
)
from tests.unit.media.relay.call import ALICE, SLOT, Call, wait_until_taken_in
from tests.unit.media.relay.rtp import Rtp

Browsers = Callable[..., Browser]

NTP = 0xE0000001_40000000
MIDDLE = NTP >> 16 & 0xFFFFFFFF


def blocks(report: bytes) -> list[tuple[int, int, int, int, int, int, int]]:
    """SSRC, fraction lost, cumulative lost, extended highest, jitter, LSR, DLSR."""
    found = []
    for at in range(8, len(report), 24):
        ssrc, lost, highest, jitter, last, delay = struct.unpack_from("!6I", report, at)
        cumulative = lost & 0xFFFFFF
        if cumulative & 0x800000:
            cumulative -= 1 << 24
        found.append((ssrc, lost >> 24, cumulative, highest, jitter, last, delay))
    return found


def test_a_sender_report_comes_with_the_subscribers_ssrc_timestamp_and_counts(call: Call) -> None:
    call.send(1, 48000, payload=b"12345")
    call.send(2, 48960, payload=b"678")
    _, second = call.bob.receive_many(2)
    call.alice.send_rtcp(sender_report(ALICE, NTP, 49440))
    report = call.bob.receive_rtcp_of(200)
    ssrc, ntp, timestamp, packets, octets = struct.unpack_from("!IQIII", report, 4)
    assert (ssrc, ntp) == (SLOT, NTP)
    assert timestamp == (second.timestamp + 480) & 0xFFFFFFFF
    assert (packets, octets) == (2, 8)
    assert len(report) == 28


def test_one_sender_report_reaches_every_subscriber_in_its_own_time(
    relay: Relay, browser: Browsers
) -> None:
    call = Call(relay, browser(), browser())
    carol = browser()
    relay.set_source(relay.add_subscription(carol.peer, "audio", "7", SLOT + 1), call.track)
    call.send(1, 100)
    seen = {SLOT: call.bob.receive(), SLOT + 1: carol.receive()}
    call.alice.send_rtcp(sender_report(ALICE, NTP, 100))
    for each in (call.bob, carol):
        ssrc, _, timestamp = struct.unpack_from("!IQI", each.receive_rtcp_of(200), 4)
        assert timestamp == seen[ssrc].timestamp


def test_a_subscriber_that_starts_later_gets_the_last_report_with_its_first_packet(
    relay: Relay, browser: Browsers
) -> None:
    call = Call(relay, browser(), browser())
    call.send(1, 100)
    call.bob.receive()
    call.alice.send_rtcp(sender_report(ALICE, NTP, 100))
    call.bob.receive_rtcp_of(200)
    carol = browser()
    relay.set_source(relay.add_subscription(carol.peer, "audio", "7", SLOT), call.track)
    call.send(2, 1060)
    first = carol.receive()
    timestamp = struct.unpack_from("!I", carol.receive_rtcp_of(200), 16)[0]
    assert timestamp == (first.timestamp - 960) & 0xFFFFFFFF


def test_a_new_source_without_a_report_gives_none(relay: Relay, browser: Browsers) -> None:
    call = Call(relay, browser(), browser())
    carol = browser()
    other = relay.add_track(carol.peer, "audio", "0", ssrcs=[5])
    call.send(1, 100)
    call.bob.receive()
    call.alice.send_rtcp(sender_report(ALICE, NTP, 100))
    call.bob.receive_rtcp_of(200)
    relay.set_source(call.slot, other)
    carol.send(Rtp(111, 1, 7000, 5))
    carol.send(Rtp(111, 2, 7960, 5))
    first, _ = call.bob.receive_many(2)
    assert not call.bob.rtcp
    carol.send_rtcp(sender_report(5, NTP + 1, 7000))
    _, ntp, timestamp = struct.unpack_from("!IQI", call.bob.receive_rtcp_of(200), 4)
    assert (ntp, timestamp) == (NTP + 1, first.timestamp)


def distance_at_switch(call: Call, browser: Browsers, *, apart_s: float, after: int) -> int:
    """From the last timestamp of alice's to the first of carol's, in bob's stream.

    apart_s: how much later carol's report is on the clock that both may share.
    after: what her first packet is taken after her report, in ticks.
    """
    carol = browser()
    other = call.relay.add_track(carol.peer, "audio", "0", ssrcs=[5])
    call.send(1, 100)
    before = call.bob.receive()
    call.alice.send_rtcp(sender_report(ALICE, NTP, 100))
    call.bob.receive_rtcp_of(200)
    carol.send(Rtp(AUDIO_PT, 1, 7000, 5))
    carol.send_rtcp(sender_report(5, NTP + round(apart_s * 2**32), 7000))
    carol.send(Rtp(AUDIO_PT, 2, 7000, 5))
    wait_until_taken_in(call.relay, other, 2)
    call.relay.set_source(call.slot, other)
    carol.send(Rtp(AUDIO_PT, 3, 7000 + after, 5))
    distance = (call.bob.receive().timestamp - before.timestamp) & 0xFFFFFFFF
    _, ntp, _ = struct.unpack_from("!IQI", call.bob.receive_rtcp_of(200), 4)
    assert ntp == NTP + round(apart_s * 2**32)
    return distance


def test_a_new_stream_of_the_same_clock_keeps_it_to_the_tick(
    relay: Relay, browser: Browsers
) -> None:
    """60 ms apart and 20 more: 3,840 ticks of 48,000 a second, whenever they arrive."""
    distances = {
        distance_at_switch(Call(relay, browser(), browser()), browser, apart_s=0.06, after=960)
        for _ in range(3)
    }
    # A busy machine may need longer than the tenth of a second in which clocks are one.
    assert 3840 in distances


@pytest.mark.parametrize(
    ("apart_s", "after", "what"),
    [
        (5.0, 960, "another machine's clock"),
        (-5.0, 960, "one that is behind"),
        (20_000.0, 960, "hours away"),
        (-0.05, 0, "the same clock, and earlier than what was sent"),
    ],
)
def test_a_stream_that_cannot_keep_the_clock_goes_on_as_it_arrives(
    call: Call, browser: Browsers, apart_s: float, after: int, what: str
) -> None:
    started = time.monotonic()
    distance = distance_at_switch(call, browser, apart_s=apart_s, after=after)
    assert 0 < distance <= 48_000 * (time.monotonic() - started) + 1, what


def test_no_sender_report_comes_before_the_first_packet(video_call: Call) -> None:
    call = video_call
    call.send(1, 90, payload=VP8_DELTA)
    call.alice.send_rtcp(sender_report(ALICE, NTP, 90))
    call.send(2, 180, payload=VP8_KEY)
    key = call.bob.receive()
    assert not call.bob.rtcp
    timestamp = struct.unpack_from("!I", call.bob.receive_rtcp_of(200), 16)[0]
    assert timestamp == (key.timestamp - 90) & 0xFFFFFFFF


def test_the_publisher_gets_a_receiver_report_about_once_a_second(call: Call) -> None:
    times: list[float] = []
    number = 0
    while len(times) < 3:
        call.send(number, 960 * number)
        number += 1
        call.bob.receive()
        call.alice.drain()
        while call.alice.rtcp:
            packet = call.alice.rtcp.popleft()
            if packet[1] == 201:
                times.append(time.monotonic())
    gaps = [b - a for a, b in pairwise(times)]
    assert all(0.9 < gap < 3 for gap in gaps), gaps


def test_a_receiver_report_says_what_was_lost_and_where_the_stream_is(call: Call) -> None:
    """RFC 3550, A.3: 8 of 10 expected arrive; a late one counts as received."""
    for number in (65530, 65531, 65533, 65532, 65534, 0, 2, 3):
        call.send(number)
    call.bob.receive_many(8)
    (block,) = blocks(call.alice.receive_rtcp_of(201))
    ssrc, fraction, cumulative, highest, _, last, delay = block
    assert ssrc == ALICE
    assert cumulative == 2
    assert fraction == 2 * 256 // 10
    assert highest == 65536 + 3
    assert (last, delay) == (0, 0), "no sender report yet"


def test_each_report_has_the_loss_since_the_one_before(call: Call) -> None:
    for number in (0, 1, 2, 4):
        call.send(number)
    (first,) = blocks(call.alice.receive_rtcp_of(201))
    for number in (5, 6, 7, 8):
        call.send(number)
    (second,) = blocks(call.alice.receive_rtcp_of(201))
    assert (first[1], first[2]) == (256 // 5, 1)
    assert (second[1], second[2]) == (0, 1)


def test_a_receiver_report_names_the_last_sender_report_and_its_age(call: Call) -> None:
    call.send(1)
    call.alice.send_rtcp(sender_report(ALICE, NTP, 0))
    started = time.monotonic()
    (block,) = blocks(call.alice.receive_rtcp_of(201))
    elapsed = time.monotonic() - started
    assert block[5] == MIDDLE
    assert 0 < block[6] / 65536 <= elapsed + 0.02


def test_a_steady_stream_has_little_jitter_and_a_jumping_one_much(
    relay: Relay, browser: Browsers
) -> None:
    """RFC 3550, A.8: jitter is in units of the timestamp."""
    call = Call(relay, browser(), browser())
    for number in range(64):
        call.send(number, number * 9600 if number % 2 else number)
    (block,) = blocks(call.alice.receive_rtcp_of(201))
    assert block[4] > 10000
    assert relay.track_stats(call.track)["jitter"] == block[4]


def test_every_media_ssrc_has_its_block_and_retransmissions_have_none(
    relay: Relay, browser: Browsers
) -> None:
    alice = browser()
    relay.add_track(alice.peer, "audio", "0", ssrcs=[10])
    relay.add_track(alice.peer, "video", "1", ssrcs=[20], rtx_ssrcs=[21])
    alice.send(Rtp(111, 1, 0, 10))
    alice.send(Rtp(VIDEO_PT, 1, 0, 20, VP8_KEY))
    alice.send(Rtp(97, 1, 0, 21))
    assert sorted(block[0] for block in blocks(alice.receive_rtcp_of(201))) == [10, 20]


def test_a_silent_publisher_gets_no_reports(call: Call) -> None:
    call.send(1)
    call.alice.receive_rtcp_of(201)
    deadline = time.monotonic() + 1.3
    while time.monotonic() < deadline:
        call.alice.drain()
    assert [p for p in call.alice.rtcp if p[1] == 201] == []


def test_eight_kilohertz_sound_continues_on_its_own_clock(relay: Relay, browser: Browsers) -> None:
    codecs = {0: (OTHER_AUDIO, 1)}
    call = Call(relay, browser(codecs=codecs), browser(codecs=codecs))
    carol = browser(codecs=codecs)
    other = relay.add_track(carol.peer, "audio", "0", ssrcs=[5])
    call.send(1, payload_type=0)
    before = call.bob.receive()
    started = time.monotonic()
    relay.set_source(call.slot, other)
    while time.monotonic() - started < 0.1:
        carol.drain()
    carol.send(Rtp(0, 1, 0, 5))
    after = call.bob.receive()
    elapsed = time.monotonic() - started
    ticks = (after.timestamp - before.timestamp) & 0xFFFFFFFF
    assert 0.09 * 8000 < ticks < (elapsed + 0.1) * 8000


async def test_the_subscribers_report_gives_loss_and_round_trip_time(call: Call) -> None:
    call.send(1)
    call.bob.receive()
    assert call.relay.subscription_stats(call.slot)["round_trip_us"] == -1
    call.alice.send_rtcp(sender_report(ALICE, NTP, 0))
    call.bob.receive_rtcp_of(200)
    held = 0.05
    deadline = time.monotonic() + held
    while time.monotonic() < deadline:
        call.bob.drain()
    report = receiver_report(1, SLOT, fraction=64, last_report=MIDDLE, delay=int(held * 65536))
    call.bob.send_rtcp(report)
    await eventually(lambda: call.relay.subscription_stats(call.slot)["fraction_lost"] == 64)
    round_trip_us = call.relay.subscription_stats(call.slot)["round_trip_us"]
    assert 0 <= round_trip_us < 1_000_000
    assert call.relay.peer_stats(call.bob.peer)["round_trip_us"] == max(round_trip_us, 1)
    assert call.relay.peer_stats(call.alice.peer)["round_trip_us"] == -1


async def test_a_report_about_an_older_sender_report_changes_no_round_trip_time(
    call: Call,
) -> None:
    call.send(1)
    call.bob.receive()
    call.bob.send_rtcp(receiver_report(1, SLOT, fraction=1, last_report=12345, delay=1))
    await eventually(lambda: call.relay.subscription_stats(call.slot)["fraction_lost"] == 1)
    assert call.relay.subscription_stats(call.slot)["round_trip_us"] == -1


@pytest.mark.parametrize(
    "packet",
    [
        sender_report(ALICE, NTP, 0)[:24],
        sender_report(ALICE, NTP, 0)[:2] + b"\xff\xff" + sender_report(ALICE, NTP, 0)[4:],
        receiver_report(1, SLOT)[:16],
        b"\x9f" + receiver_report(1, SLOT)[1:],
        sender_report(ALICE, NTP, 0) + b"\x41" + receiver_report(1, SLOT)[1:],
        struct.pack("!BBHI", 0x84, 206, 1, 1),
        struct.pack("!BBHII", 0x8F, 206, 2, 1, SLOT),
        struct.pack("!BBHII", 0x81, 205, 2, 1, SLOT),
        struct.pack("!BBHI", 0x81, 203, 1, ALICE),
        struct.pack("!BBHI", 0x80, 192, 1, 1) + bytes(4),
    ],
)
async def test_authentic_but_malformed_or_foreign_rtcp_changes_nothing(
    call: Call, packet: bytes
) -> None:
    call.send(1)
    first = call.bob.receive()
    call.alice.send_rtcp(packet)
    call.bob.send_rtcp(packet)
    await eventually(lambda: call.relay.stats()["rtcp_in"] == 2)
    call.send(2)
    assert call.bob.receive().sequence == first.sequence + 1
    assert call.relay.subscription_stats(call.slot)["fraction_lost"] == 0
