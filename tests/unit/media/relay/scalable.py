"""A publisher of several layers under one SSRC (VP9, AV1), and its viewers, through the relay."""

import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from media.relay import Relay
from tests.unit.media.relay.browser import EXTENSIONS, VIDEO_PT, Browser
from tests.unit.media.relay.call import ALICE, SLOT, SLOT_RTX
from tests.unit.media.relay.dependency import L3T1_KEY, Descriptor, Structure
from tests.unit.media.relay.rtp import Rtp

DD: Final = 7
WITH_DD: Final = EXTENSIONS | {"dependency_descriptor": DD}
RTX_PT: Final = 97
STEP: Final = 3000
# Which tells nothing: what is encrypted end to end looks like this.
SEALED: Final = b"\x00\xff"


class Scalable:
    """alice sends pictures of several spatial layers, each a frame of `packets` packets.

    A payload ends in the packet's name, as in "3.1.0": picture, spatial layer, packet.
    """

    def __init__(
        self, relay: Relay, browser: Callable[..., Browser], family: int, *, described: bool
    ) -> None:
        codecs = {VIDEO_PT: (family, 2)}
        self.relay, self.family, self.described = relay, family, described
        self.alice = browser(codecs=codecs, extensions=WITH_DD if described else EXTENSIONS)
        self.codecs = codecs
        self.track = relay.add_track(self.alice.peer, "video", "0", [ALICE], [ALICE + 1], nack=True)
        self.structure: Structure = L3T1_KEY
        self.sequence = 0
        self.frame = 0
        self.kept: dict[str, Rtp] = {}

    def viewer(self, browser: Browser, spatial: int = 7, temporal: int = 7) -> int:
        slot = self.relay.add_subscription(browser.peer, "video", "5", SLOT, SLOT_RTX)
        self.relay.set_layer(slot, spatial, temporal)
        self.relay.set_source(slot, self.track)
        return slot

    def picture(
        self,
        number: int,
        *,
        key: bool = False,
        layers: int = 3,
        temporal: int = 0,
        packets: int = 1,
        lost: tuple[str, ...] = (),
        up: bool = False,
    ) -> None:
        """All layers of one picture. lost: names of packets that do not arrive (yet)."""
        for spatial in range(layers):
            self.frame += 1
            for part in range(packets):
                first, last = part == 0, part == packets - 1
                packet = Rtp(
                    VIDEO_PT,
                    self.sequence,
                    number * STEP,
                    ALICE,
                    self._payload(number, spatial, temporal, key, first, last, up),
                    marker=last and spatial == layers - 1,
                )
                name = f"{number}.{spatial}.{part}"
                packet.payload += name.encode()
                if self.described:
                    packet.extensions = {DD: self._descriptor(spatial, temporal, key, first, last)}
                    packet.two_byte = True
                self.sequence += 1
                self.kept[name] = packet
                if name not in lost:
                    self.alice.send(packet)

    def resend(self, name: str, rtx_number: int = 1) -> None:
        packet = self.kept[name]
        payload = struct.pack("!H", packet.sequence & 0xFFFF) + packet.payload
        self.alice.send(
            replace(
                packet, payload_type=RTX_PT, ssrc=ALICE + 1, sequence=rtx_number, payload=payload
            )
        )

    def late(self, name: str) -> None:
        self.alice.send(self.kept[name])

    def _descriptor(self, spatial: int, temporal: int, key: bool, first: bool, last: bool) -> bytes:
        # Upper layers of a keyframe refer to the one below it.
        independent = key and spatial == 0
        template = self.structure.id_of(spatial, temporal, key=independent)
        structure = self.structure if independent and first else None
        return Descriptor(template, first, last, self.frame, structure).pack()

    def _payload(
        self, number: int, spatial: int, temporal: int, key: bool, first: bool, last: bool, up: bool
    ) -> bytes:
        if self.described:
            return SEALED
        head = 0xB0 | (0 if key else 0x40) | (0x08 if first else 0) | (0x04 if last else 0)
        layer = temporal << 5 | (0x10 if up else 0) | spatial << 1 | (1 if spatial else 0)
        return bytes([head]) + struct.pack("!H", 0x8000 | number & 0x7FFF) + bytes([layer])
