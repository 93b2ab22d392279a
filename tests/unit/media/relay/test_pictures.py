"""Picture numbers go on one after the other at each subscriber, whatever feeds it."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from media.relay import AV1, VP9, Relay
from tests.unit.media.relay.browser import CODECS, VIDEO_PT, Browser, nack
from tests.unit.media.relay.call import ALICE, SLOT, SLOT_RTX, Call
from tests.unit.media.relay.rtp import Rtp
from tests.unit.media.relay.scalable import DD, WITH_DD, Scalable
from tests.unit.media.relay.simulcast import Simulcast

Browsers = Callable[..., Browser]

CAROL = 3000


def vp8(
    picture: int | None, base: int | None = None, *, key: bool = False, bits: int = 15
) -> bytes:
    """A whole frame behind its payload descriptor (RFC 7741, 4.2), of temporal layer 0."""
    extensions = (0x80 if picture is not None else 0) | (0x70 if base is not None else 0)
    descriptor = bytes([0x90, extensions])
    if picture is not None:
        descriptor += _picture(picture, bits)
    if base is not None:
        descriptor += bytes([base & 0xFF, 3])
    return descriptor + (b"\x00" if key else b"\x01") + b"picture"


def vp9(
    picture: int | None, base: int | None = None, *, key: bool = False, bits: int = 15
) -> bytes:
    """A whole frame of one layer in non-flexible mode (RFC 9628, 4.2)."""
    first = 0x0C | (0 if key else 0x40)
    first |= (0x80 if picture is not None else 0) | (0x20 if base is not None else 0)
    descriptor = bytes([first])
    if picture is not None:
        descriptor += _picture(picture, bits)
    if base is not None:
        descriptor += bytes([0, base & 0xFF])
    return descriptor + b"picture"


def _picture(number: int, bits: int) -> bytes:
    if bits == 7:
        return bytes([number & 0x7F])
    return (number & 0x7FFF | 0x8000).to_bytes(2)


@dataclass
class Kind:
    """One way of numbering: how to write it and how to read it."""

    write: Callable[..., bytes]
    bits: int
    codecs: dict[int, tuple[int, int]]

    def __call__(self, picture: int, base: int, *, key: bool = False) -> bytes:
        return self.write(picture, base, key=key, bits=self.bits)

    def read(self, payload: bytes) -> tuple[int, int]:
        """The picture id and TL0PICIDX."""
        at = 2 if self.write is vp8 else 1
        if self.bits == 7:
            assert payload[at] < 0x80, "the M bit came"
            return payload[at], payload[at + (1 if self.write is vp8 else 2)]
        number = int.from_bytes(payload[at : at + 2])
        assert number >= 0x8000, "the M bit went"
        return number & 0x7FFF, payload[at + (2 if self.write is vp8 else 3)]


VP9_CODECS = CODECS | {VIDEO_PT: (VP9, 2)}
KINDS = {
    "VP8, 15 bits": Kind(vp8, 15, CODECS),
    "VP8, 7 bits": Kind(vp8, 7, CODECS),
    "VP9, 15 bits": Kind(vp9, 15, VP9_CODECS),
    "VP9, 7 bits": Kind(vp9, 7, VP9_CODECS),
}


@pytest.fixture(params=KINDS.values(), ids=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


def numbers(kind: Kind, packets: list[Rtp]) -> list[tuple[int, int]]:
    return [kind.read(packet.payload) for packet in packets]


def consecutive(seen: list[tuple[int, int]], bits: int) -> bool:
    """Both numbers grow by one from packet to packet, over their wraps."""
    return all(
        b[0] == (a[0] + 1) % (1 << bits) and b[1] == (a[1] + 1) % 256 for a, b in pairwise(seen)
    )


# The last of the first source's picture ids and TL0PICIDX, and the first of the second's.
JUMPS = {
    "back": ((3000, 200), (7, 3)),
    "forth": ((7, 3), (3000, 200)),
    "over the wraps": ((126, 254), (50, 9)),
    "over the long wrap": ((0x7FFE, 255), (0, 0)),
    "none": ((9, 9), (10, 10)),
}


@pytest.mark.parametrize(("last", "first"), JUMPS.values(), ids=list(JUMPS))
def test_another_track_on_the_slot_goes_on_at_the_next_picture(
    relay: Relay,
    browser: Browsers,
    kind: Kind,
    last: tuple[int, int],
    first: tuple[int, int],
) -> None:
    alice, bob, carol = (browser(codecs=kind.codecs) for _ in range(3))
    call = Call(relay, alice, bob, "video")
    for i in range(4):
        picture, base = last[0] - 3 + i, last[1] - 3 + i
        call.send(1 + i, payload=kind(picture, base, key=i == 0))
    packets = bob.receive_many(4)
    assert numbers(kind, packets)[-1] == (last[0] % (1 << kind.bits), last[1])
    track = relay.add_track(carol.peer, "video", "0", [CAROL])
    relay.set_source(call.slot, track)
    for i in range(4):
        payload = kind(first[0] + i, first[1] + i, key=i == 0)
        carol.send(Rtp(VIDEO_PT, 500 + i, 0, CAROL, payload))
    packets += bob.receive_many(4)
    assert consecutive(numbers(kind, packets), kind.bits)


def test_picture_numbers_of_one_source_wrap_as_they_did(
    relay: Relay, browser: Browsers, kind: Kind
) -> None:
    alice, bob = browser(codecs=kind.codecs), browser(codecs=kind.codecs)
    call = Call(relay, alice, bob, "video")
    start = (1 << kind.bits) - 3
    for i in range(6):
        call.send(1 + i, payload=kind(start + i, 253 + i, key=i == 0))
    assert consecutive(numbers(kind, bob.receive_many(6)), kind.bits)


def test_a_shifted_source_wraps_where_the_subscriber_does_not(
    relay: Relay, browser: Browsers, kind: Kind
) -> None:
    alice, bob, carol = (browser(codecs=kind.codecs) for _ in range(3))
    call = Call(relay, alice, bob, "video")
    call.send(1, payload=kind(40, 40, key=True))
    packets = [bob.receive()]
    relay.set_source(call.slot, relay.add_track(carol.peer, "video", "0", [CAROL]))
    for i in range(6):
        picture = (1 << kind.bits) - 3 + i
        carol.send(Rtp(VIDEO_PT, 1 + i, 0, CAROL, kind(picture, 253 + i, key=i == 0)))
    packets += bob.receive_many(6)
    assert numbers(kind, packets) == [(40 + i, 40 + i) for i in range(7)]


def test_the_publishers_new_connection_goes_on_at_the_next_picture(
    relay: Relay, browser: Browsers
) -> None:
    kind = KINDS["VP8, 15 bits"]
    alice, bob, again = browser(), browser(), browser()
    call = Call(relay, alice, bob, "video")
    call.send(1, payload=kind(20_000, 100, key=True))
    packets = [bob.receive()]
    relay.remove_peer(alice.peer)
    relay.set_source(call.slot, relay.add_track(again.peer, "video", "0", [ALICE]))
    for i in range(3):
        again.send(Rtp(VIDEO_PT, 9 + i, 0, ALICE, kind(5 + i, 250 + i, key=i == 0)))
    packets += bob.receive_many(3)
    assert numbers(kind, packets) == [(20_000 + i, 100 + i) for i in range(4)]
    assert [p.sequence - packets[0].sequence for p in packets] == [0, 1, 2, 3]


def test_a_switched_layer_goes_on_at_the_next_picture_and_so_does_its_way_back(
    relay: Relay, browser: Browsers
) -> None:
    kind = KINDS["VP8, 15 bits"]
    camera, bob = Simulcast(relay, browser), browser()
    slot = camera.viewer(bob, 2)
    packets = []
    for turn, layer in enumerate((2, 0, 2, 1)):
        camera.relay.set_layer(slot, layer)
        for i in range(2):
            picture, base = 1000 * layer + 10 * turn + i, 80 * layer + 10 * turn + i
            camera.send(layer, 20 * turn + i, payload=kind(picture, base, key=i == 0))
            packets.append(bob.receive())
    assert consecutive(numbers(kind, packets), 15)


def test_a_muted_camera_goes_on_at_the_next_picture(relay: Relay, browser: Browsers) -> None:
    kind = KINDS["VP8, 15 bits"]
    call = Call(relay, browser(), browser(), "video")
    call.send(1, 3000, payload=kind(50, 7, key=True))
    packets = [call.bob.receive()]
    relay.set_forwarding(call.track, False)
    relay.set_forwarding(call.track, True)
    call.send(90, 9000, payload=kind(140, 97, key=True))
    packets.append(call.bob.receive())
    assert consecutive(numbers(kind, packets), 15)
    assert packets[1].timestamp - packets[0].timestamp == 6000, "its clock went on"


def test_a_returning_slot_goes_on_at_the_next_picture(relay: Relay, browser: Browsers) -> None:
    kind = KINDS["VP8, 15 bits"]
    call = Call(relay, browser(), browser(), "video")
    call.send(1, payload=kind(50, 7, key=True))
    packets = [call.bob.receive()]
    relay.remove_subscription(call.slot)
    slot = relay.add_subscription(call.bob.peer, "video", "6", SLOT, SLOT_RTX)
    relay.set_source(slot, call.track)
    call.send(2, payload=kind(51, 8))
    call.send(90, payload=kind(140, 97, key=True))
    packets.append(call.bob.receive())
    assert consecutive(numbers(kind, packets), 15)


def test_what_is_sent_again_carries_the_numbers_the_subscriber_saw(
    relay: Relay, browser: Browsers
) -> None:
    kind = KINDS["VP8, 15 bits"]
    camera, bob = Simulcast(relay, browser), browser()
    slot = camera.viewer(bob, 2)
    camera.send(2, 1, payload=kind(3000, 100, key=True))
    bob.receive()
    camera.relay.set_layer(slot, 0)
    camera.send(0, 20, payload=kind(7, 3, key=True))
    camera.send(0, 21, payload=kind(8, 4))
    wanted = bob.receive_many(2)[1]
    bob.send_rtcp(nack(1, SLOT, (wanted.sequence, 0)))
    again = bob.receive()
    assert again.ssrc == SLOT_RTX
    assert again.payload[2:] == wanted.payload
    assert kind.read(wanted.payload) == (3002, 102)


def test_a_late_packet_gets_the_shift_of_its_neighbours(relay: Relay, browser: Browsers) -> None:
    kind = KINDS["VP8, 15 bits"]
    camera, bob = Simulcast(relay, browser), browser()
    slot = camera.viewer(bob, 2)
    camera.send(2, 1, payload=kind(3000, 100, key=True))
    bob.receive()
    camera.relay.set_layer(slot, 0)
    for number, picture in ((20, 7), (22, 9), (21, 8), (23, 10)):
        camera.send(0, number, payload=kind(picture, picture, key=number == 20))
    seen = numbers(kind, bob.receive_many(4))
    assert seen == [(3001, 101), (3003, 103), (3002, 102), (3004, 104)]


def test_two_subscribers_of_one_track_each_have_numbers_of_their_own(
    relay: Relay, browser: Browsers
) -> None:
    kind = KINDS["VP8, 15 bits"]
    camera, bob, carol = Simulcast(relay, browser), browser(), browser()
    slot = camera.viewer(bob, 0)
    camera.send(0, 1, payload=kind(500, 50, key=True))
    bob.receive()
    camera.viewer(carol, 2)
    camera.relay.set_layer(slot, 2)
    camera.send(2, 9, payload=kind(9, 9, key=True))
    assert kind.read(bob.receive().payload) == (501, 51)
    assert kind.read(carol.receive().payload) == (9, 9)


# Payloads whose descriptor says less than it should go on as they are.
SPOILT: list[tuple[str, Kind, Any]] = [
    ("VP8 without numbers", KINDS["VP8, 15 bits"], lambda: vp8(None, key=True)),
    ("VP8 cut in the extensions", KINDS["VP8, 15 bits"], lambda: b"\x90\xf0\x80"),
    ("VP8 cut behind the numbers", KINDS["VP8, 15 bits"], lambda: b"\x90\xf0\x80\x01\x02\x03"),
    ("VP8 of one byte", KINDS["VP8, 15 bits"], lambda: b"\x90"),
    ("VP9 without numbers", KINDS["VP9, 15 bits"], lambda: vp9(None)),
    ("VP9 cut in the picture id", KINDS["VP9, 15 bits"], lambda: b"\xcc\x81"),
    ("VP9 cut in the layer", KINDS["VP9, 15 bits"], lambda: b"\xec\x81\x02\x00"),
    ("VP9 of one byte", KINDS["VP9, 15 bits"], lambda: b"\xac"),
]


@pytest.mark.parametrize(
    ("kind", "spoilt"), [row[1:] for row in SPOILT], ids=[row[0] for row in SPOILT]
)
def test_a_payload_without_readable_numbers_is_forwarded_as_it_is(
    relay: Relay, browser: Browsers, kind: Kind, spoilt: Callable[[], bytes]
) -> None:
    alice, bob, carol = (browser(codecs=kind.codecs) for _ in range(3))
    call = Call(relay, alice, bob, "video")
    call.send(1, payload=kind(1000, 100, key=True))
    relay.set_source(call.slot, relay.add_track(carol.peer, "video", "0", [CAROL]))
    carol.send(Rtp(VIDEO_PT, 1, 0, CAROL, kind(5, 5, key=True)))
    carol.send(Rtp(VIDEO_PT, 2, 0, CAROL, spoilt()))
    carol.send(Rtp(VIDEO_PT, 3, 0, CAROL, kind(6, 6)))
    seen = bob.receive_many(3 if bob.receive().payload == kind(1000, 100, key=True) else 2)
    assert seen[-2].payload == spoilt()


# Frame numbers of the dependency descriptor


@pytest.fixture
def camera(relay: Relay, browser: Browsers) -> Scalable:
    return Scalable(relay, browser, AV1, described=True)


def frames(packets: list[Rtp]) -> list[int]:
    return [int.from_bytes(packet.extensions[DD][1:3]) for packet in packets]


def test_a_viewer_of_av1_gets_the_description_of_each_frame(
    camera: Scalable, browser: Browsers
) -> None:
    bob = browser(codecs=camera.codecs, extensions=WITH_DD)
    camera.viewer(bob)
    camera.picture(1, key=True, packets=2)
    camera.picture(2)
    seen = {name: packet.extensions[DD] for name, packet in camera.kept.items()}
    for packet in bob.receive_many(9):
        assert packet.extensions[DD] == seen[packet.payload[-5:].decode()]


def test_who_takes_no_descriptions_gets_none(camera: Scalable, browser: Browsers) -> None:
    bob = browser(codecs=camera.codecs)
    camera.viewer(bob)
    camera.picture(1, key=True)
    assert all(DD not in packet.extensions for packet in bob.receive_many(3))


def test_layers_that_are_left_out_take_their_frame_numbers_along(
    camera: Scalable, browser: Browsers
) -> None:
    """Frames say by distance what they refer to: to close the gaps would point them elsewhere."""
    bob = browser(codecs=camera.codecs, extensions=WITH_DD)
    camera.viewer(bob, 1)
    for number in range(1, 4):
        camera.picture(number, key=number == 1)
    assert frames(bob.receive_many(6)) == [1, 2, 4, 5, 7, 8]


@pytest.mark.parametrize("first", [7, 3000, 65534], ids=["back", "forth", "over the wrap"])
def test_another_camera_goes_on_at_the_next_frame(
    camera: Scalable, relay: Relay, browser: Browsers, first: int
) -> None:
    bob = browser(codecs=camera.codecs, extensions=WITH_DD)
    camera.frame = 1000
    slot = camera.viewer(bob)
    camera.picture(1, key=True)
    assert frames(bob.receive_many(3)) == [1001, 1002, 1003]
    other = Scalable(relay, browser, AV1, described=True)
    other.frame = first - 1
    relay.set_source(slot, other.track)
    other.picture(1, key=True)
    other.picture(2)
    packets = bob.receive_many(6)
    assert frames(packets) == [1004, 1005, 1006, 1007, 1008, 1009]
    bob.send_rtcp(nack(1, SLOT, (packets[0].sequence, 0)))
    again = bob.receive()
    assert again.ssrc == SLOT_RTX
    assert again.extensions[DD] == packets[0].extensions[DD], "with its templates"


def test_a_late_packet_that_is_left_out_describes_nothing(
    camera: Scalable, browser: Browsers
) -> None:
    bob = browser(codecs=camera.codecs, extensions=WITH_DD)
    camera.viewer(bob, 0)
    camera.picture(1, key=True, lost=("1.1.0",))
    camera.picture(2)
    bob.receive_many(2)
    camera.late("1.1.0")
    packet = bob.receive()
    assert not packet.payload
    assert DD not in packet.extensions
