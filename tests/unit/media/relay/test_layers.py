"""Simulcast: each viewer gets the layer it is given, and changes it at a keyframe, gapless."""

import struct
import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from media.relay import Relay, RelayError
from tests.support.eventually import eventually
from tests.unit.media.relay.browser import VIDEO_PT, Browser, nack, nacked, pli
from tests.unit.media.relay.call import Call
from tests.unit.media.relay.rtp import Rtp, gapless
from tests.unit.media.relay.simulcast import (
    DELTA,
    FIRST_RTX,
    FIRST_SSRC,
    KEY,
    LAYERED,
    RIDS,
    SLOT,
    SLOT_RTX,
    Simulcast,
    name,
    names,
)

Browsers = Callable[..., Browser]


@pytest.fixture
def camera(relay: Relay, browser: Browsers) -> Simulcast:
    return Simulcast(relay, browser)


def asked_for_keyframes(camera: Simulcast) -> set[int]:
    """The layers whose keyframes alice is asked for in the next round of PLIs."""
    asked = [camera.alice.receive_rtcp_of(206, 1)]
    camera.alice.drain()
    asked += [packet for packet in camera.alice.rtcp if packet[1] == 206]
    camera.alice.rtcp.clear()
    return {struct.unpack_from("!I", packet, 8)[0] - FIRST_SSRC for packet in asked}


# Which layer a viewer gets

# (the layer given or None, what is sent as (layer, number, key), what arrives)
STARTS = [
    ("the highest, unless told otherwise", None, [(0, 1, 1), (1, 1, 1), (2, 1, 1), (2, 2, 0)], 2),
    ("the lowest", 0, [(0, 1, 1), (1, 1, 1), (2, 1, 1), (0, 2, 0)], 0),
    ("the middle one", 1, [(1, 1, 1), (0, 1, 1), (2, 1, 1), (1, 2, 0)], 1),
    ("more than there is", 7, [(2, 1, 1), (1, 1, 1), (2, 2, 0)], 2),
]


@pytest.mark.parametrize(
    ("given", "sent", "layer"), [row[1:] for row in STARTS], ids=[row[0] for row in STARTS]
)
def test_a_viewer_gets_its_layer_and_no_packet_of_a_higher_one(
    camera: Simulcast,
    browser: Browsers,
    given: int | None,
    sent: list[tuple[int, int, int]],
    layer: int,
) -> None:
    bob = browser()
    slot = camera.viewer(bob, given)
    for which, number, key in sent:
        camera.send(which, number, key=bool(key))
    while bob.receive().payload[2:] != name(layer, 2):
        pass
    assert camera.relay.subscription_stats(slot)["layer"] == layer
    camera.send(layer, 3)
    assert names([bob.receive()]) == [name(layer, 3).decode()]


def test_a_viewer_starts_with_a_lower_layer_until_its_own_has_a_keyframe(
    camera: Simulcast, browser: Browsers
) -> None:
    """Browsers send the lowest layer first, until they know that there is room for more."""
    bob = browser()
    camera.viewer(bob, 2)
    camera.send(0, 1, key=True)
    camera.send(0, 2)
    packets = bob.receive_many(2)
    camera.send(1, 1, key=True)  # it flows: what is not its own does not interest any more
    camera.send(2, 1)
    camera.send(0, 3)
    packets += [bob.receive()]
    camera.send(2, 2, key=True)
    packets += [bob.receive()]
    camera.send(0, 4)
    camera.send(2, 3)
    packets += [bob.receive()]
    assert names(packets) == ["q1", "q2", "q3", "f2", "f3"]
    assert gapless(packets)


def test_two_viewers_of_one_camera_get_different_layers(
    camera: Simulcast, browser: Browsers
) -> None:
    bob, carol = browser(), browser()
    camera.viewer(bob, 0)
    camera.viewer(carol, 2)
    for number in range(1, 4):
        for layer in (2, 1, 0):
            camera.send(layer, number, key=number == 1)
    assert names(bob.receive_many(3)) == ["q1", "q2", "q3"]
    assert names(carol.receive_many(3)) == ["f1", "f2", "f3"]


# Switching


@pytest.mark.parametrize(("before", "after"), [(2, 0), (0, 2), (1, 2), (2, 1)])
def test_a_switch_happens_at_the_keyframe_of_the_wanted_layer(
    camera: Simulcast, browser: Browsers, before: int, after: int
) -> None:
    bob = browser()
    slot = camera.viewer(bob, before)
    camera.send(before, 100, 90_000, key=True)
    camera.send(before, 101, 93_000)
    packets = bob.receive_many(2)
    camera.relay.set_layer(slot, after)
    camera.send(after, 7000, 5_000)  # not a keyframe
    camera.send(before, 102, 96_000)
    camera.send(3 - before - after, 50, key=True)  # of neither
    camera.send(before, 103, 99_000, key=True)  # of the old layer
    packets += bob.receive_many(2)
    camera.send(after, 7001, 8_000, key=True)
    packets += [bob.receive()]
    camera.send(before, 104, 102_000)
    camera.send(after, 7002, 11_000)
    packets += [bob.receive()]
    old, new = RIDS[before], RIDS[after]
    assert names(packets) == [
        *(f"{old}{number}" for number in (100, 101, 102, 103)),
        *(f"{new}{number}" for number in (7001, 7002)),
    ]
    assert gapless(packets)
    steps = [(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in pairwise(packets)]
    assert steps[:3] == [3000, 3000, 3000]
    assert 0 < steps[3] < 90_000, "the time that passed"
    assert steps[4] == 3000
    assert {packet.ssrc for packet in packets} == {SLOT}
    assert camera.relay.subscription_stats(slot)["layer"] == after
    assert camera.relay.subscription_stats(slot)["dropped"] == 0


def test_a_viewer_that_changes_its_mind_before_the_keyframe_stays(
    camera: Simulcast, browser: Browsers
) -> None:
    bob = browser()
    slot = camera.viewer(bob, 2)
    camera.send(2, 1, key=True)
    packets = [bob.receive()]
    camera.relay.set_layer(slot, 0)
    camera.relay.set_layer(slot, 2)
    camera.send(0, 1, key=True)
    camera.send(2, 2)
    packets += [bob.receive()]
    assert names(packets) == ["f1", "f2"]
    assert gapless(packets)


def test_packets_of_the_old_layer_that_come_late_are_not_forwarded_after_the_switch(
    camera: Simulcast, browser: Browsers
) -> None:
    bob = browser()
    slot = camera.viewer(bob, 2)
    camera.send(2, 1, key=True)
    camera.send(2, 3)
    packets = bob.receive_many(2)
    camera.relay.set_layer(slot, 0)
    camera.send(0, 20, key=True)
    packets += [bob.receive()]
    camera.send(2, 2)
    camera.send(0, 21)
    packets += [bob.receive()]
    assert names(packets) == ["f1", "f3", "q20", "q21"]
    assert [p.sequence - packets[0].sequence for p in packets] == [0, 2, 3, 4]


def test_a_packet_from_before_the_new_layers_keyframe_is_refused(
    camera: Simulcast, browser: Browsers
) -> None:
    bob = browser()
    slot = camera.viewer(bob, 2)
    camera.send(2, 1, key=True)
    bob.receive()
    camera.relay.set_layer(slot, 0)
    camera.send(0, 20, key=True)
    camera.send(0, 19)
    camera.send(0, 21)
    assert names(bob.receive_many(2)) == ["q20", "q21"]


def test_what_is_lost_of_the_new_layers_keyframe_is_asked_for_and_takes_its_place(
    camera: Simulcast, browser: Browsers
) -> None:
    bob = browser()
    slot = camera.viewer(bob, 0)
    camera.send(0, 1, key=True)
    packets = [bob.receive()]
    camera.relay.set_layer(slot, 2)
    camera.send(2, 50, key=True)
    camera.send(2, 52)
    camera.send(2, 53)
    assert nacked(camera.alice.receive_rtcp_of(205, 1)) == (FIRST_SSRC + 2, [51])
    camera.resend(2, 51, 1)
    packets += bob.receive_many(4)
    assert names(packets) == ["q1", "f50", "f52", "f53", "f51"]
    assert [p.sequence - packets[0].sequence for p in packets] == [0, 1, 3, 4, 2]


def test_a_switch_whose_keyframe_begins_with_a_loss_waits_for_the_repair(
    camera: Simulcast, browser: Browsers
) -> None:
    """The layer is followed from when it is wanted: its losses are known before it flows."""
    bob = browser()
    slot = camera.viewer(bob, 0)
    camera.send(0, 1, key=True)
    bob.receive()
    camera.relay.set_layer(slot, 2)
    camera.send(2, 49)
    camera.send(2, 51)  # 50 began the keyframe
    camera.send(2, 52)
    camera.send(0, 2)
    assert nacked(camera.alice.receive_rtcp_of(205, 1)) == (FIRST_SSRC + 2, [50])
    camera.resend(2, 50, 1, key=True)
    camera.send(2, 53)
    packets = bob.receive_many(3)
    assert names(packets) == ["q2", "f50", "f53"]
    assert [p.sequence - packets[0].sequence for p in packets] == [0, 1, 4]


def test_a_number_asked_for_after_a_switch_is_answered_from_the_new_layer(
    camera: Simulcast, browser: Browsers
) -> None:
    bob = browser()
    slot = camera.viewer(bob, 2)
    camera.send(2, 1, key=True)
    before = bob.receive()
    camera.relay.set_layer(slot, 0)
    camera.send(0, 20, key=True)
    camera.send(0, 21)
    _, wanted = bob.receive_many(2)
    bob.send_rtcp(nack(1, SLOT, (before.sequence, 0), (wanted.sequence, 0)))
    again = bob.receive()
    assert (again.ssrc, again.payload[:2]) == (SLOT_RTX, struct.pack("!H", wanted.sequence))
    assert again.payload[2:] == wanted.payload
    assert again.timestamp == wanted.timestamp
    camera.send(0, 22)
    assert names([bob.receive()]) == ["q22"], "nothing of the layer before"


def test_each_layers_losses_are_repaired_by_its_repaired_rid(
    camera: Simulcast, browser: Browsers
) -> None:
    bob, carol = browser(), browser()
    camera.viewer(bob, 0)
    camera.viewer(carol, 1)
    for layer in (1, 0):
        for number in (1, 3, 4):
            camera.send(layer, number, key=number == 1)
    asked: set[bytes] = set()
    while len(asked) < 2:
        asked.add(camera.alice.receive_rtcp_of(205, 1)[8:12])
    camera.resend(1, 2, 1)
    camera.resend(0, 2, 1)
    assert sorted(names(bob.receive_many(4))) == ["q1", "q2", "q3", "q4"]
    assert sorted(names(carol.receive_many(4))) == ["h1", "h2", "h3", "h4"]
    assert camera.relay.track_stats(camera.track)["recovered"] == 2


def test_a_wrap_of_each_layers_numbers_is_no_gap(camera: Simulcast, browser: Browsers) -> None:
    bob = browser()
    slot = camera.viewer(bob, 0)
    camera.send(0, 65534, key=True)
    for number in (65535, 65536):
        camera.send(0, number)
    packets = bob.receive_many(3)
    camera.relay.set_layer(slot, 1)
    camera.send(1, 65535, key=True)
    camera.send(1, 65536)
    packets += bob.receive_many(2)
    assert names(packets) == ["q65534", "q65535", "q0", "h65535", "h0"]
    assert gapless(packets)


# Keyframe requests


def test_a_switch_asks_for_the_wanted_layers_keyframe_until_it_comes(
    camera: Simulcast, browser: Browsers
) -> None:
    bob = browser()
    slot = camera.viewer(bob, 2)
    for layer in range(3):
        camera.send(layer, 1, key=True)
    while names([bob.receive()]) != ["f1"]:
        pass
    camera.alice.drain()
    camera.alice.rtcp.clear()
    wanted_at = time.monotonic()
    camera.relay.set_layer(slot, 0)
    assert asked_for_keyframes(camera) == {0}
    camera.send(0, 2)
    assert asked_for_keyframes(camera) == {0}
    assert time.monotonic() - wanted_at > 0.45


def test_a_layer_that_nothing_comes_of_is_not_asked_again_and_again(
    camera: Simulcast, browser: Browsers
) -> None:
    """A browser answers with keyframes of the layers it does send."""
    bob = browser()
    camera.viewer(bob, 2)
    camera.send(0, 1, key=True)
    bob.receive()
    time.sleep(1.2)
    camera.alice.drain()
    assert not [packet for packet in camera.alice.rtcp if packet[1] == 206]
    camera.send(2, 1)
    assert asked_for_keyframes(camera) == {2}


def test_a_viewers_own_request_goes_to_the_layer_it_gets(
    camera: Simulcast, browser: Browsers
) -> None:
    bob = browser()
    camera.viewer(bob, 1)
    for layer in (1, 0, 2):
        camera.send(layer, 1, key=True)
    bob.receive()
    camera.alice.drain()
    camera.alice.rtcp.clear()
    bob.send_rtcp(pli(1, SLOT))
    assert asked_for_keyframes(camera) == {1}


# Nothing flows


async def test_a_hidden_slot_gets_nothing_and_goes_on_without_a_gap_at_a_keyframe(
    camera: Simulcast, browser: Browsers
) -> None:
    bob = browser()
    slot = camera.viewer(bob, 2)
    camera.send(2, 1, 90_000, key=True)
    last = bob.receive()
    camera.relay.set_layer(slot, -1)
    assert camera.relay.subscription_stats(slot)["layer"] == -1
    for number in range(2, 30):
        camera.send(2, number, 90_000, key=number == 10)
    await eventually(lambda: camera.relay.track_stats(camera.track)["packets"] == 29)
    camera.relay.set_layer(slot, 2)
    camera.send(2, 30, 99_000)
    camera.send(2, 31, 180_000, key=True)
    packet = bob.receive()
    assert names([packet]) == ["f31"]
    assert packet.sequence == last.sequence + 1
    assert packet.timestamp - last.timestamp == 90_000, "its clock went on"


def test_a_hidden_slot_may_come_back_to_another_layer(camera: Simulcast, browser: Browsers) -> None:
    bob = browser()
    slot = camera.viewer(bob, 2)
    camera.send(2, 1, key=True)
    packets = [bob.receive()]
    camera.relay.set_layer(slot, -1)
    camera.relay.set_layer(slot, 1)
    camera.send(1, 400, 777, key=True)
    packets += [bob.receive()]
    assert names(packets) == ["f1", "h400"]
    assert gapless(packets)
    assert 0 < (packets[1].timestamp - packets[0].timestamp) & 0xFFFFFFFF < 90_000


async def test_sound_may_be_stopped_and_goes_on_without_a_gap(call: Call) -> None:
    call.send(1, 960)
    last = call.bob.receive()
    call.relay.set_layer(call.slot, -1)
    call.send(2, 1920)
    await eventually(lambda: call.relay.track_stats(call.track)["packets"] == 2)
    call.relay.set_layer(call.slot, 0)
    call.send(3, 2880)
    packet = call.bob.receive()
    assert packet.sequence == last.sequence + 1
    assert packet.timestamp - last.timestamp == 1920


def test_nothing_is_asked_for_or_kept_of_a_layer_that_nobody_gets(
    camera: Simulcast, browser: Browsers
) -> None:
    bob = browser()
    slot = camera.viewer(bob, -1)
    hidden = camera.viewer(browser(), 0)
    camera.relay.set_layer(hidden, -1)
    for layer in range(3):
        for number in (1, 2, 5, 6):
            camera.send(layer, number, key=number == 1)
    time.sleep(0.2)
    figures = camera.relay.track_stats(camera.track)
    assert (figures["packets"], figures["nacks_sent"], figures["plis_sent"]) == (12, 0, 0)
    assert camera.relay.subscription_stats(slot)["dropped"] == 0
    assert camera.relay.stats()["packets_out"] <= 1, "a receiver report"


def test_losses_of_the_layer_that_flows_are_asked_for_and_of_no_other(
    camera: Simulcast, browser: Browsers
) -> None:
    camera.viewer(browser(), 1)
    camera.send(1, 1, key=True)
    for number in (2, 4, 5, 6):
        for layer in range(3):
            camera.send(layer, number)
    assert nacked(camera.alice.receive_rtcp_of(205, 1)) == (FIRST_SSRC + 1, [3])
    time.sleep(0.05)
    camera.alice.drain()
    asked = {nacked(packet)[0] for packet in camera.alice.rtcp if packet[1] == 205}
    assert asked <= {FIRST_SSRC + 1}


# What is what


async def test_a_rid_seen_once_names_its_ssrc_for_ever(
    camera: Simulcast, browser: Browsers
) -> None:
    bob = browser()
    camera.viewer(bob, 2)
    camera.send(2, 1, key=True)
    for number in range(2, 5):
        camera.send(2, number, extensions={})
    assert names(bob.receive_many(4)) == ["f1", "f2", "f3", "f4"]


async def test_an_unknown_rid_is_no_layer(camera: Simulcast, browser: Browsers) -> None:
    bob = browser()
    camera.viewer(bob, 2)
    strange = {4: b"0", 5: b"x"}
    camera.alice.send(Rtp(VIDEO_PT, 1, 0, 9, KEY, extensions=strange))
    camera.alice.send(Rtp(VIDEO_PT, 1, 0, 10, KEY, extensions={4: b"0"}))
    await eventually(lambda: camera.relay.stats()["dropped_other_ssrc"] == 2)
    camera.send(2, 1, key=True)
    assert names([bob.receive()]) == ["f1"]


def test_announced_ssrcs_are_layers_once_a_packet_says_which(
    relay: Relay, browser: Browsers
) -> None:
    """Firefox announces them; which layer each is only the packets tell."""
    alice, bob = browser(extensions=LAYERED), browser()
    ssrcs = [FIRST_SSRC + layer for layer in range(3)]
    repairs = [FIRST_RTX + layer for layer in range(3)]
    track = relay.add_track(alice.peer, "video", "0", ssrcs, repairs, nack=True, rids=RIDS)
    slot = relay.add_subscription(bob.peer, "video", "5", SLOT, SLOT_RTX)
    relay.set_layer(slot, 1)
    relay.set_source(slot, track)
    alice.send(Rtp(VIDEO_PT, 1, 0, ssrcs[1], KEY + b"h1", extensions={4: b"0", 5: b"h"}))
    for number in (3, 4):
        alice.send(Rtp(VIDEO_PT, number, 0, ssrcs[1], DELTA + b"h%d" % number))
    assert nacked(alice.receive_rtcp_of(205, 1)) == (ssrcs[1], [2])
    alice.send(Rtp(97, 1, 0, repairs[1], struct.pack("!H", 2) + DELTA + b"h2"))
    assert names(bob.receive_many(4)) == ["h1", "h3", "h4", "h2"]


def test_another_ssrc_takes_a_layer_over_once_it_fell_silent(
    camera: Simulcast, browser: Browsers
) -> None:
    """As after a browser stopped sending and began again."""
    bob = browser()
    camera.viewer(bob, 2)
    camera.send(2, 1, key=True)
    named = {4: b"0", 5: b"f"}
    camera.send(2, 1, ssrc=77, key=True, extensions=named)
    time.sleep(1.6)
    assert camera.relay.stats()["dropped_other_ssrc"] == 1
    camera.send(2, 2, ssrc=77, key=True)
    packets = bob.receive_many(2)
    assert names(packets) == ["f1", "f2"]
    assert gapless(packets)


async def test_the_figures_of_each_layer_are_its_own(camera: Simulcast) -> None:
    assert (
        camera.relay.layer_stats(camera.track)
        == [{"packets": 0, "bytes": 0, "age_ms": -1, "keyframes": 0}] * 3
    )
    camera.send(0, 1, key=True)
    for number in range(1, 4):
        camera.send(2, number, key=number < 3)
    await eventually(lambda: camera.relay.track_stats(camera.track)["packets"] == 4)
    q, h, f = camera.relay.layer_stats(camera.track)
    size = len(KEY + b"f1")
    assert (q["packets"], q["bytes"], q["keyframes"]) == (1, size, 1)
    assert (f["packets"], f["bytes"], f["keyframes"]) == (3, 3 * size, 2)
    assert 0 <= f["age_ms"] < 1000
    assert h["age_ms"] == -1
    assert camera.relay.track_stats(camera.track)["keyframes"] == 3


async def test_a_track_without_simulcast_has_one_layer(call: Call) -> None:
    call.send(1)
    call.bob.receive()
    assert [row["packets"] for row in call.relay.layer_stats(call.track)] == [1]
    assert call.relay.subscription_stats(call.slot)["layer"] == 0


def test_the_layer_asked_for_outlives_the_source(
    camera: Simulcast, relay: Relay, browser: Browsers
) -> None:
    bob, carol = browser(), browser()
    slot = camera.viewer(bob, 2)
    plain = relay.add_track(carol.peer, "video", "0", [7])
    relay.set_source(slot, plain)
    carol.send(Rtp(VIDEO_PT, 1, 0, 7, KEY + b"c1"))
    packets = [bob.receive()]
    relay.set_source(slot, camera.track)
    camera.send(2, 1, key=True)
    packets += [bob.receive()]
    assert names(packets) == ["c1", "f1"]
    assert gapless(packets)


def test_a_muted_camera_goes_on_in_the_layer_it_had(camera: Simulcast, browser: Browsers) -> None:
    bob = browser()
    camera.viewer(bob, 2)
    camera.send(2, 1, key=True)
    bob.receive()
    camera.relay.set_forwarding(camera.track, False)
    camera.relay.set_forwarding(camera.track, True)
    camera.send(2, 2)
    camera.send(2, 3, key=True)
    assert names([bob.receive()]) == ["f3"]


# Arguments


def test_impossible_layers_are_refused(camera: Simulcast, browser: Browsers) -> None:
    bob = browser()
    slot = camera.viewer(bob)
    for spatial, temporal in ((-2, 0), (8, 0), (0, -1), (0, 8)):
        with pytest.raises(ValueError, match="layers are"):
            camera.relay.set_layer(slot, spatial, temporal)
    for rids in (("q", "q"), tuple("abcde")):
        with pytest.raises(ValueError, match="different layers"):
            camera.relay.add_track(bob.peer, "video", "9", rids=rids)
    for rid in ("", "x" * 17):
        with pytest.raises(ValueError, match="a rid has"):
            camera.relay.add_track(bob.peer, "video", "9", rids=(rid,))
    camera.relay.remove_subscription(slot)
    with pytest.raises(RelayError):
        camera.relay.set_layer(slot, 0)
    with pytest.raises(RelayError):
        camera.relay.layer_stats(slot)
