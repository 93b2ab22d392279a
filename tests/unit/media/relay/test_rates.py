"""REMB both ways, and probes."""

import struct
import time
from collections.abc import Callable

import pytest

from media.relay import Relay, RelayError
from tests.support.eventually import eventually
from tests.unit.media.relay.acknowledgement import feedback, read_remb, remb
from tests.unit.media.relay.browser import (
    EXTENSIONS,
    VP8_DELTA,
    VP8_KEY,
    Browser,
    nack,
    receiver_report,
)
from tests.unit.media.relay.call import ALICE, SLOT, SLOT_RTX, Call
from tests.unit.media.relay.rtp import Rtp

Browsers = Callable[..., Browser]


@pytest.mark.parametrize(
    ("mantissa", "exponent", "rate"),
    [(1000, 0, 1000), (250_000, 3, 2_000_000), (0, 5, 0), (0x3FFFF, 63, 0x3FFFF << 44)],
)
async def test_what_a_subscriber_estimates_is_read(
    call: Call, mantissa: int, exponent: int, rate: int
) -> None:
    call.bob.send_rtcp(remb(mantissa, exponent, SLOT))
    await eventually(lambda: call.relay.downlink(call.bob.peer).estimates == 1)
    assert call.relay.downlink(call.bob.peer).estimate == rate


async def test_other_application_feedback_is_not_an_estimate(call: Call) -> None:
    call.bob.send_rtcp(remb(5, 0)[:12] + b"ABCD" + remb(5, 0)[16:])
    call.bob.send_rtcp(struct.pack("!BBHII", 0x8F, 206, 2, 1, 0))
    await eventually(lambda: call.relay.stats()["rtcp_in"] == 2)
    assert call.relay.downlink(call.bob.peer).estimates == 0


async def test_losses_in_receiver_reports_are_summed_up(call: Call) -> None:
    call.send(1)
    call.bob.receive()
    for fraction in (0, 64, 128):
        call.bob.send_rtcp(receiver_report(1, SLOT, fraction=fraction))
    await eventually(lambda: call.relay.downlink(call.bob.peer).blocks == 3)
    assert call.relay.downlink(call.bob.peer).fraction_lost == 192


def told_caps(browser: Browser, seconds: float) -> list[tuple[int, tuple[int, ...]]]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        browser.drain()
        time.sleep(0.01)
    found = [read_remb(p) for p in browser.rtcp if (p[1], p[0] & 31) == (206, 15)]
    browser.rtcp.clear()
    return found


def test_a_publisher_is_told_its_cap_at_once_and_again(call: Call) -> None:
    began = time.monotonic()
    call.relay.cap(call.track, 700_000)
    rate, ssrcs = read_remb(call.alice.receive_rtcp_of(206, 15))
    assert time.monotonic() - began < 0.5
    assert ssrcs == (ALICE,)
    # 18 bits of mantissa: within 1 of 131,072.
    assert 700_000 * (1 - 2**-17) <= rate <= 700_000
    again, _ = read_remb(call.alice.receive_rtcp_of(206, 15))
    assert again == rate
    assert 0.9 < time.monotonic() - began < 2


def test_another_cap_is_told_at_once_and_the_same_one_is_not(call: Call) -> None:
    call.relay.cap(call.track, 700_000)
    for _ in range(10):
        call.relay.cap(call.track, 700_000)
    call.relay.cap(call.track, 200_000)
    assert [rate for rate, _ in told_caps(call.alice, 0.3)][-1] == 200_000
    call.relay.cap(call.track, 200_000)
    assert len(told_caps(call.alice, 0.3)) == 0


def test_a_lifted_cap_is_told_as_a_high_one_and_then_no_more(call: Call) -> None:
    call.relay.cap(call.track, None)
    call.relay.cap(call.track, 700_000)
    told_caps(call.alice, 0.2)
    call.relay.cap(call.track, None)
    rates = [rate for rate, _ in told_caps(call.alice, 4)]
    assert len(rates) == 3
    assert min(rates) > 900_000_000


def test_a_cap_or_a_probe_that_makes_no_sense_is_refused(call: Call) -> None:
    peer = call.bob.peer
    for rate in (0, -5, 2_000_000_000):
        with pytest.raises(ValueError, match="no cap"):
            call.relay.cap(call.track, rate)
        with pytest.raises(ValueError, match="no probe"):
            call.relay.probe(peer, rate, 100)
    with pytest.raises(ValueError, match="no probe"):
        call.relay.probe(peer, 1000, 1001)
    call.relay.remove_peer(peer)
    for verb in (call.relay.downlink, lambda peer: call.relay.probe(peer, 1000, 100)):
        with pytest.raises(RelayError, match=r"relay\.unknown_handle"):
            verb(peer)
    call.relay.remove_track(call.track)
    with pytest.raises(RelayError, match=r"relay\.unknown_handle"):
        call.relay.cap(call.track, 1000)


def cluster(call: Call, bits_a_second: int, duration_ms: int) -> list[Rtp]:
    call.relay.probe(call.bob.peer, bits_a_second, duration_ms)
    deadline = time.monotonic() + duration_ms / 1000 + 0.2
    while time.monotonic() < deadline:
        call.bob.drain()
        time.sleep(0.01)
    packets = list(call.bob.rtp)
    call.bob.rtp.clear()
    return packets


def number(packet: Rtp) -> int:
    return int.from_bytes(packet.extensions[EXTENSIONS["twcc"]], "big")


def on_the_wire(packets: list[Rtp]) -> int:
    return sum(len(packet.pack()) + 16 + 28 for packet in packets)


def test_a_probe_is_padding_on_the_repairing_ssrc_at_its_rate(video_call: Call) -> None:
    call = video_call
    call.send(1, 90, payload=VP8_KEY)
    media = call.bob.receive()
    call.bob.send_rtcp(nack(1, SLOT, (media.sequence, 0)))
    again = call.bob.receive()
    packets = cluster(call, 1_000_000, 100)
    assert {(p.ssrc, p.payload_type, p.payload, p.padding) for p in packets} == {
        (SLOT_RTX, 97, b"", 255)
    }
    assert [p.sequence for p in packets] == [again.sequence + 1 + i for i in range(len(packets))]
    assert [number(p) for p in packets] == [number(again) + 1 + i for i in range(len(packets))]
    assert all(p.timestamp == media.timestamp for p in packets)
    # 100 ms of 1 Mbit/s are 12,500 bytes.
    assert 6_000 < on_the_wire(packets) < 13_000
    assert call.relay.stats()["probes_sent"] == len(packets)
    assert call.relay.downlink(call.bob.peer).padding_bytes == on_the_wire(packets)


def test_media_is_part_of_a_probe_and_leaves_less_to_padding(video_call: Call) -> None:
    call = video_call
    call.send(1, payload=VP8_KEY)
    call.relay.probe(call.bob.peer, 1_000_000, 200)
    for i in range(2, 42):
        call.send(i, 90 * i, payload=VP8_DELTA + bytes(1000))
    time.sleep(0.4)
    call.bob.drain()
    media = [p for p in call.bob.rtp if p.ssrc == SLOT]
    padding = [p for p in call.bob.rtp if p.ssrc == SLOT_RTX]
    assert len(media) == 41
    # Media alone was more than the 25,000 bytes of 200 ms.
    assert on_the_wire(padding) < 5_000


async def test_a_probes_result_is_the_rate_at_which_all_of_it_arrived(video_call: Call) -> None:
    call = video_call
    call.send(1, payload=VP8_KEY)
    call.bob.receive()
    packets = cluster(call, 1_000_000, 100)
    first, size = number(packets[0]), on_the_wire(packets[:1])
    half = len(packets) // 2
    # One each 10 ms, told in two messages.
    call.bob.send_rtcp(feedback(first, [10.0 * i for i in range(half)]))
    await eventually(lambda: call.relay.downlink(call.bob.peer).feedbacks == 1)
    assert call.relay.downlink(call.bob.peer).probes == 0
    rest = [10.0 * i for i in range(half, len(packets))]
    call.bob.send_rtcp(feedback(first + half, rest))
    await eventually(lambda: call.relay.downlink(call.bob.peer).probes == 1)
    assert call.relay.downlink(call.bob.peer).probe_bits_per_second == size * 8 * 100


async def test_a_probe_that_got_lost_arrived_at_no_rate(video_call: Call) -> None:
    call = video_call
    call.send(1, payload=VP8_KEY)
    call.bob.receive()
    packets = cluster(call, 500_000, 50)
    call.bob.send_rtcp(feedback(number(packets[0]), [None] * len(packets)))
    await eventually(lambda: call.relay.downlink(call.bob.peer).probes == 1)
    assert call.relay.downlink(call.bob.peer).probe_bits_per_second == 0


def test_a_probe_goes_out_while_no_picture_flows(video_call: Call) -> None:
    """Else nobody could find out that there is room for it again."""
    packets = cluster(video_call, 300_000, 50)
    assert {(p.ssrc, p.payload_type) for p in packets} == {(SLOT_RTX, 97)}


@pytest.mark.parametrize("missing", ["rtx", "twcc", "picture"])
def test_without_repairs_numbers_or_pictures_there_is_no_probe(
    relay: Relay, browser: Browsers, missing: str
) -> None:
    extensions = {"mid": 4} if missing == "twcc" else EXTENSIONS
    bob = browser(rtx={} if missing == "rtx" else {97: 96}, extensions=extensions)
    call = Call(relay, browser(), bob, "audio" if missing == "picture" else "video")
    assert cluster(call, 1_000_000, 50) == []
