"""Several layers under one SSRC (VP9, AV1): each viewer gets those up to its own, gapless."""

import random
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from media.relay import AV1, H264, VP8, VP9, Relay
from tests.support.eventually import eventually
from tests.unit.media.relay.browser import VIDEO_PT, Browser, nack, nacked
from tests.unit.media.relay.call import ALICE, SLOT, SLOT_RTX, Call, wait_until_taken_in
from tests.unit.media.relay.dependency import L1T1, L1T3, L3T1_KEY, Descriptor
from tests.unit.media.relay.rtp import Rtp, gapless
from tests.unit.media.relay.scalable import DD, SEALED, STEP, WITH_DD, Scalable

Browsers = Callable[..., Browser]

KINDS = {
    "VP9 by its payload": {"family": VP9, "described": False},
    "VP9 by its descriptor": {"family": VP9, "described": True},
    "AV1 by its descriptor": {"family": AV1, "described": True},
}


@pytest.fixture(params=KINDS.values(), ids=list(KINDS))
def camera(request: pytest.FixtureRequest, relay: Relay, browser: Browsers) -> Scalable:
    return Scalable(relay, browser, **request.param)


@pytest.fixture
def viewer(camera: Scalable, browser: Browsers) -> Browser:
    return browser(codecs=camera.codecs)


def names(packets: list[Rtp]) -> list[str]:
    return [p.payload[-5:].decode() if p.payload else "" for p in packets]


def markers(packets: list[Rtp]) -> list[str]:
    return names([packet for packet in packets if packet.marker])


# Which packets


@pytest.mark.parametrize("spatial", [0, 1, 2, 7])
def test_a_viewer_gets_the_layers_up_to_its_own_and_each_picture_ends(
    camera: Scalable, viewer: Browser, spatial: int
) -> None:
    slot = camera.viewer(viewer, spatial)
    for number in range(1, 4):
        camera.picture(number, key=number == 1, packets=2)
    got = min(spatial, 2)
    packets = viewer.receive_many(3 * 2 * (got + 1))
    assert names(packets) == [
        f"{number}.{layer}.{part}"
        for number in range(1, 4)
        for layer in range(got + 1)
        for part in range(2)
    ]
    assert gapless(packets)
    assert markers(packets) == [f"{number}.{got}.1" for number in range(1, 4)]
    assert camera.relay.subscription_stats(slot)["layer"] == got
    assert camera.relay.subscription_stats(slot)["dropped"] == 0


def test_two_viewers_get_different_layers_of_one_stream(
    camera: Scalable, browser: Browsers
) -> None:
    bob, carol = browser(codecs=camera.codecs), browser(codecs=camera.codecs)
    camera.viewer(bob, 0)
    camera.viewer(carol, 2)
    camera.picture(1, key=True)
    camera.picture(2)
    assert names(bob.receive_many(2)) == ["1.0.0", "2.0.0"]
    assert len(carol.receive_many(6)) == 6


def test_fewer_layers_end_where_they_end(camera: Scalable, viewer: Browser) -> None:
    """An encoder under load leaves its upper layers out."""
    camera.viewer(viewer, 2)
    camera.picture(1, key=True)
    camera.picture(2, layers=2)
    packets = viewer.receive_many(5)
    assert gapless(packets)
    assert markers(packets) == ["1.2.0", "2.1.0"]


def test_a_scalable_stream_begins_at_a_keyframe_of_its_lowest_layer(
    camera: Scalable, viewer: Browser
) -> None:
    camera.viewer(viewer, 1)
    camera.picture(1)
    camera.picture(2, key=True)
    assert names(viewer.receive_many(2)) == ["2.0.0", "2.1.0"]


# Up and down


def test_a_viewer_goes_down_between_two_pictures(camera: Scalable, viewer: Browser) -> None:
    slot = camera.viewer(viewer, 2)
    camera.picture(1, key=True)
    packets = viewer.receive_many(3)
    camera.relay.set_layer(slot, 0)
    camera.picture(2)
    camera.picture(3)
    packets += viewer.receive_many(2)
    assert names(packets)[3:] == ["2.0.0", "3.0.0"]
    assert gapless(packets)
    assert markers(packets) == ["1.2.0", "2.0.0", "3.0.0"]


def test_a_picture_that_began_whole_is_forwarded_whole(camera: Scalable, viewer: Browser) -> None:
    """Half of one, without its end, would be waited for for ever."""
    slot = camera.viewer(viewer, 2)
    camera.picture(1, key=True)
    camera.picture(2, lost=("2.1.0", "2.2.0"))
    packets = viewer.receive_many(4)
    camera.relay.set_layer(slot, 0)
    camera.late("2.1.0")
    camera.late("2.2.0")
    camera.picture(3)
    packets += viewer.receive_many(3)
    assert names(packets)[3:] == ["2.0.0", "2.1.0", "2.2.0", "3.0.0"]
    assert gapless(packets)


def test_a_viewer_goes_up_at_a_keyframe_which_is_asked_for(
    camera: Scalable, viewer: Browser
) -> None:
    slot = camera.viewer(viewer, 0)
    camera.picture(1, key=True)
    packets = [viewer.receive()]
    camera.alice.drain()
    camera.alice.rtcp.clear()
    camera.relay.set_layer(slot, 2)
    assert camera.alice.receive_rtcp_of(206, 1)[8:12] == ALICE.to_bytes(4)
    camera.picture(2)
    camera.picture(3, key=True)
    camera.picture(4)
    packets += viewer.receive_many(7)
    assert names(packets) == [
        "1.0.0",
        "2.0.0",
        *("3.0.0", "3.1.0", "3.2.0"),
        *("4.0.0", "4.1.0", "4.2.0"),
    ]
    assert gapless(packets)


def test_a_stream_that_has_no_higher_layer_is_not_asked_for_it(
    camera: Scalable, viewer: Browser
) -> None:
    slot = camera.viewer(viewer, 1)
    camera.picture(1, key=True, layers=2)
    viewer.receive_many(2)
    plis = camera.relay.track_stats(camera.track)["plis_sent"]
    camera.relay.set_layer(slot, 7)
    camera.relay.set_layer(slot, 2)
    time.sleep(0.1)
    assert camera.relay.track_stats(camera.track)["plis_sent"] == plis


def test_a_late_keyframe_that_could_not_raise_is_asked_for_again(
    camera: Scalable, viewer: Browser
) -> None:
    slot = camera.viewer(viewer, 0)
    camera.picture(1, key=True)
    viewer.receive()
    camera.relay.set_layer(slot, 2)
    camera.picture(2, key=True, packets=2, lost=("2.0.0",))
    camera.late("2.0.0")
    assert sorted(names(viewer.receive_many(2))) == ["2.0.0", "2.0.1"]
    camera.alice.drain()
    camera.alice.rtcp.clear()
    assert camera.alice.receive_rtcp_of(206, 1)
    camera.picture(3, key=True)
    assert names(viewer.receive_many(3)) == ["3.0.0", "3.1.0", "3.2.0"]


def test_hidden_and_shown_again_it_begins_at_a_keyframe_without_a_gap(
    camera: Scalable, viewer: Browser
) -> None:
    slot = camera.viewer(viewer, 1)
    camera.picture(1, key=True)
    packets = viewer.receive_many(2)
    camera.relay.set_layer(slot, -1)
    camera.picture(2)
    camera.relay.set_layer(slot, 2)
    camera.picture(3)
    camera.picture(4, key=True)
    packets += viewer.receive_many(3)
    assert names(packets)[2:] == ["4.0.0", "4.1.0", "4.2.0"]
    assert gapless(packets)


# Temporal layers


def temporal(camera: Scalable, numbers: range, *, up: tuple[int, ...] = ()) -> None:
    """Pictures of one spatial layer in the order T0 T2 T1 T2."""
    camera.structure = L1T3
    for number in numbers:
        layer = (0, 2, 1, 2)[number % 4]
        camera.picture(number, key=number == 0, layers=1, temporal=layer, up=number in up)


@pytest.mark.parametrize(("limit", "step"), [(0, 4), (1, 2), (2, 1), (7, 1)])
def test_a_viewer_gets_the_temporal_layers_up_to_its_own(
    camera: Scalable, viewer: Browser, limit: int, step: int
) -> None:
    camera.viewer(viewer, 7, limit)
    temporal(camera, range(9))
    wanted = list(range(0, 9, step))
    packets = viewer.receive_many(len(wanted))
    assert names(packets) == [f"{number}.0.0" for number in wanted]
    assert gapless(packets)
    assert all(packet.marker for packet in packets)


def test_temporal_layers_go_down_at_once_and_up_where_the_stream_says_so(
    camera: Scalable, viewer: Browser
) -> None:
    slot = camera.viewer(viewer, 7, 2)
    temporal(camera, range(2))
    packets = viewer.receive_many(2)
    camera.relay.set_layer(slot, 7, 0)
    temporal(camera, range(2, 7))
    packets += [viewer.receive()]
    assert names(packets)[2:] == ["4.0.0"]
    wait_until_taken_in(camera.relay, camera.track, 7)  # 5 and 6 are left out in the old extent
    camera.relay.set_layer(slot, 7, 2)
    # Without a descriptor: VP9's switching-up bit on the base layer's picture 8.
    temporal(camera, range(7, 10), up=(8,))
    packets += viewer.receive_many(2)
    assert names(packets)[3:] == ["8.0.0", "9.0.0"]
    assert gapless(packets)


def test_without_a_descriptor_a_switching_picture_of_the_higher_layer_lets_it_in(
    relay: Relay, browser: Browsers
) -> None:
    camera = Scalable(relay, browser, VP9, described=False)
    bob = browser(codecs=camera.codecs)
    slot = camera.viewer(bob, 7, 0)
    temporal(camera, range(5))
    bob.receive_many(2)
    wait_until_taken_in(relay, camera.track, 5)
    relay.set_layer(slot, 7, 2)
    temporal(camera, range(5, 8), up=(6,))  # 5: T2, no switch; 6: T1, switch; 7: T2, no switch
    temporal(camera, range(8, 10), up=(9,))
    assert names(bob.receive_many(3)) == ["6.0.0", "8.0.0", "9.0.0"]


def test_vp8_and_h264_are_never_thinned(relay: Relay, browser: Browsers) -> None:
    """VP8 counts its pictures, H264 its frames: they would be missed."""
    for family in (VP8, H264):
        camera = Scalable(relay, browser, family, described=True)
        bob = browser(codecs=camera.codecs)
        camera.viewer(bob, 7, 0)
        temporal(camera, range(5))
        assert len(bob.receive_many(5)) == 5


# Losses


def with_a_late_packet_of_a_layer_left_out(camera: Scalable, viewer: Browser) -> list[Rtp]:
    """Three pictures' packets that a viewer of the lowest layer gets, and the late one's."""
    camera.viewer(viewer, 0)
    camera.picture(1, key=True)
    camera.picture(2, lost=("2.1.0",))
    camera.picture(3)
    camera.late("2.1.0")
    return viewer.receive_many(4)


def test_a_left_out_packet_that_comes_late_fills_its_number_without_a_payload(
    camera: Scalable, viewer: Browser
) -> None:
    """Its number was given out when the next picture came: it may not look lost for ever."""
    packets = with_a_late_packet_of_a_layer_left_out(camera, viewer)
    assert names(packets) == ["1.0.0", "2.0.0", "3.0.0", ""]
    assert sorted(p.sequence - packets[0].sequence for p in packets) == [0, 1, 2, 3]


def test_a_left_out_packet_that_is_asked_for_is_answered_without_a_payload(
    camera: Scalable, viewer: Browser
) -> None:
    hole = with_a_late_packet_of_a_layer_left_out(camera, viewer)[3]
    viewer.send_rtcp(nack(1, SLOT, (hole.sequence, 0)))
    again = viewer.receive()
    assert again.ssrc == SLOT_RTX
    assert again.payload == struct.pack("!H", hole.sequence)


def test_a_lost_packet_of_a_viewers_layer_comes_back_in_its_place(
    camera: Scalable, viewer: Browser
) -> None:
    camera.viewer(viewer, 1)
    camera.picture(1, key=True)
    camera.picture(2, lost=("2.1.0",))
    camera.picture(3)
    camera.picture(4)
    about, missing = nacked(camera.alice.receive_rtcp_of(205, 1))
    assert (about, missing) == (ALICE, [4])
    camera.resend("2.1.0")
    packets = viewer.receive_many(8)
    assert names(packets)[-1] == "2.1.0"
    assert packets[-1].marker, "it ends its picture at this viewer"
    assert sorted(p.sequence - packets[0].sequence for p in packets) == list(range(8))


def test_a_packet_sent_again_to_a_viewer_ends_its_picture_there(
    camera: Scalable, viewer: Browser
) -> None:
    camera.viewer(viewer, 1)
    camera.picture(1, key=True)
    camera.picture(2)
    last = viewer.receive_many(4)[3]
    viewer.send_rtcp(nack(1, SLOT, (last.sequence, 0)))
    again = viewer.receive()
    assert (again.ssrc, again.marker) == (SLOT_RTX, True)


# Figures


async def test_the_figures_of_each_spatial_layer_are_its_own(
    camera: Scalable, viewer: Browser
) -> None:
    camera.viewer(viewer, 0)
    camera.picture(1, key=True)
    camera.picture(2)
    await eventually(lambda: camera.relay.track_stats(camera.track)["packets"] == 6)
    rows = camera.relay.layer_stats(camera.track)
    size = len(camera.kept["1.0.0"].payload)
    assert [(row["packets"], row["bytes"]) for row in rows] == [(2, 2 * size)] * 3
    assert rows[0]["keyframes"] == 1
    assert all(0 <= row["age_ms"] < 1000 for row in rows)


# The dependency descriptor


def described(relay: Relay, browser: Browsers, family: int = VP8) -> Call:
    codecs = {VIDEO_PT: (family, 2)}
    return Call(relay, browser(codecs=codecs, extensions=WITH_DD), browser(codecs=codecs), "video")


def say(call: Call, number: int, descriptor: bytes, payload: bytes = SEALED) -> None:
    call.send(number, STEP * number, payload=payload, extensions={DD: descriptor}, two_byte=True)


KEY_FRAME = Descriptor(0, structure=L1T1)


@pytest.mark.parametrize("family", [VP8, VP9, AV1, H264])
def test_it_tells_a_keyframe_whose_payload_nobody_can_read(
    relay: Relay, browser: Browsers, family: int
) -> None:
    call = described(relay, browser, family)
    say(call, 1, Descriptor(1).pack())
    say(call, 2, KEY_FRAME.pack())
    say(call, 3, Descriptor(1).pack())
    assert [p.timestamp for p in call.bob.receive_many(2)]
    assert relay.track_stats(call.track)["keyframes"] == 1


# Frames with the structure of a keyframe, and whether they are one.
ENTRIES: list[tuple[str, Descriptor, bool]] = [
    ("a keyframe", KEY_FRAME, True),
    ("its second packet", replace(KEY_FRAME, first=False), False),
    ("templates that count from 60", Descriptor(60, structure=replace(L1T3, first=60)), True),
    ("… over 63", Descriptor(1, structure=replace(L1T3, first=60)), False),
    ("a frame that refers to others", Descriptor(1, structure=L1T1), False),
    ("… by itself", Descriptor(0, structure=L1T1, references=(1,)), False),
    ("one that refers to none by itself", Descriptor(1, structure=L1T1, references=()), True),
    (
        "all fields at once",
        Descriptor(
            0,
            structure=L3T1_KEY,
            active=0b111,
            targets="SSS",
            references=(),
            chains=(0, 0, 0),
        ),
        True,
    ),
    ("an upper layer", Descriptor(2, structure=L3T1_KEY), False),
]


@pytest.mark.parametrize(
    ("descriptor", "key"), [row[1:] for row in ENTRIES], ids=[row[0] for row in ENTRIES]
)
async def test_a_stream_may_be_entered_where_it_says_so(
    relay: Relay, browser: Browsers, descriptor: Descriptor, key: bool
) -> None:
    call = described(relay, browser)
    say(call, 1, descriptor.pack())
    await eventually(lambda: relay.track_stats(call.track)["packets"] == 1)
    assert relay.track_stats(call.track)["keyframes"] == key
    assert relay.stats()["dropped_waiting_keyframe"] == (not key)


def _cut(length: int) -> bytes:
    return KEY_FRAME.pack()[:length]


# Behind bytes that say nothing, the payload decides: a VP8 keyframe.
NOTHING: list[tuple[str, bytes]] = [
    ("one byte", b"\x80"),
    ("two bytes", b"\x80\x00"),
    *((f"a structure cut to {length} bytes", _cut(length)) for length in range(4, 8)),
    ("a template that nobody described", Descriptor(9).pack()),
    ("a template beyond those described", Descriptor(2, structure=L1T1).pack()),
    ("more than four spatial layers", b"\x80\x00\x00\x80\x7c" + b"\xaa" * 30),
    ("more than 64 templates", b"\x80\x00\x00\x80\x7c" + b"\x00" * 40),
    ("ever more temporal layers", b"\x80\x00\x00\x80\x7c" + b"\x55" * 40),
    ("references without end", b"\x80\x00\x00\x80\x03" + b"\xff" * 60),
    ("only ones", b"\xff" * 250),
    ("its own references without an end", b"\x80\x00\x00\x12" + b"\xff" * 20),
]


@pytest.mark.parametrize("data", [row[1] for row in NOTHING], ids=[row[0] for row in NOTHING])
def test_a_malformed_one_says_nothing_and_the_payload_is_read(
    relay: Relay, browser: Browsers, data: bytes
) -> None:
    call = described(relay, browser)
    say(call, 1, data, b"\x10\x00key")
    assert call.bob.receive().payload == b"\x10\x00key"


def test_random_bytes_do_no_harm(relay: Relay, browser: Browsers) -> None:
    """Each in a stream that has templates, so that all fields are looked for."""
    chance = random.Random(20261124)
    call = described(relay, browser, VP9)
    say(call, 0, Descriptor(0, structure=L3T1_KEY).pack())
    call.bob.receive()
    for number in range(1, 600):
        say(call, number, chance.randbytes(chance.randrange(1, 60)))
    say(call, 600, KEY_FRAME.pack(), b"end")
    while call.bob.receive().payload != b"end":
        pass


def test_templates_of_a_late_older_keyframe_are_not_kept(relay: Relay, browser: Browsers) -> None:
    call = described(relay, browser, VP9)
    relay.set_layer(call.slot, 0)
    say(call, 10, Descriptor(0, structure=L3T1_KEY).pack(), b"key")
    say(call, 12, Descriptor(20, structure=replace(L3T1_KEY, first=20)).pack(), b"new")
    say(call, 11, Descriptor(40, structure=replace(L3T1_KEY, first=40)).pack(), b"old")
    say(call, 13, Descriptor(24).pack(), b"upper")
    say(call, 14, Descriptor(21).pack(), b"base")
    assert [p.payload for p in call.bob.receive_many(4)] == [b"key", b"new", b"old", b"base"]


def test_what_says_nothing_in_a_described_stream_is_forwarded_and_no_keyframe(
    relay: Relay, browser: Browsers
) -> None:
    """Its templates were lost, and its payload may be sealed: then it looks like anything."""
    call = described(relay, browser)
    say(call, 1, KEY_FRAME.pack())
    say(call, 2, Descriptor(30).pack(), b"\x10\x00looks like a keyframe")
    call.bob.receive_many(2)
    assert relay.track_stats(call.track)["keyframes"] == 1


def test_it_stays_behind(relay: Relay, browser: Browsers) -> None:
    """Its frame numbers would jump when the source changes."""
    codecs: dict[int, Any] = {VIDEO_PT: (VP8, 2)}
    alice, bob = (browser(codecs=codecs, extensions=WITH_DD) for _ in range(2))
    call = Call(relay, alice, bob, "video")
    say(call, 1, KEY_FRAME.pack())
    assert DD not in call.bob.receive().extensions
