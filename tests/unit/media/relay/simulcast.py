"""A simulcast publisher and its viewers, through the relay."""

import struct
from collections.abc import Callable
from typing import Any, Final

from media.relay import Relay
from tests.unit.media.relay.browser import EXTENSIONS, VIDEO_PT, Browser
from tests.unit.media.relay.rtp import Rtp

RIDS: Final = ("q", "h", "f")
RID: Final = 5
REPAIRED_RID: Final = 6
LAYERED: Final = EXTENSIONS | {"rid": RID, "repaired_rid": REPAIRED_RID}
# Of layer i: media on FIRST_SSRC + i, what is sent again on FIRST_RTX + i.
FIRST_SSRC: Final = 1100
FIRST_RTX: Final = 1200
RTX_PT: Final = 97
SLOT: Final = 2000
SLOT_RTX: Final = 2001

KEY: Final = b"\x10\x00"
DELTA: Final = b"\x10\x01"


class Simulcast:
    """alice's camera in layers q, h, f; numbers and timestamps of each are its own.

    A payload is the layer's letter and the packet's number, behind a VP8 header.
    """

    def __init__(self, relay: Relay, browser: Callable[..., Browser]) -> None:
        self.relay = relay
        self.alice = browser(extensions=LAYERED)
        self.track = relay.add_track(self.alice.peer, "video", "0", nack=True, rids=RIDS)
        self.introduced: set[int] = set()

    def viewer(self, browser: Browser, spatial: int | None = None) -> int:
        """A slot of the browser's that the camera feeds; returns the subscription."""
        slot = self.relay.add_subscription(browser.peer, "video", "5", SLOT, SLOT_RTX)
        if spatial is not None:
            self.relay.set_layer(slot, spatial)
        self.relay.set_source(slot, self.track)
        return slot

    def send(
        self, layer: int, number: int, timestamp: int = 0, *, key: bool = False, **fields: Any
    ) -> None:
        """One packet of a layer; its first carries MID and RID, as browsers do."""
        options: dict[str, Any] = {
            "payload": (KEY if key else DELTA) + name(layer, number),
            "extensions": self._introduction(FIRST_SSRC + layer, RID, layer),
            "ssrc": FIRST_SSRC + layer,
        }
        self.alice.send(Rtp(VIDEO_PT, number, timestamp, **(options | fields)))

    def resend(self, layer: int, number: int, rtx_number: int, *, key: bool = False) -> None:
        """A layer's packet again, as RTX."""
        payload = struct.pack("!H", number & 0xFFFF) + (KEY if key else DELTA) + name(layer, number)
        introduction = self._introduction(FIRST_RTX + layer, REPAIRED_RID, layer)
        self.alice.send(
            Rtp(RTX_PT, rtx_number, 0, FIRST_RTX + layer, payload, extensions=introduction)
        )

    def _introduction(self, ssrc: int, extension: int, layer: int) -> dict[int, bytes]:
        if ssrc in self.introduced:
            return {}
        self.introduced.add(ssrc)
        return {EXTENSIONS["mid"]: b"0", extension: RIDS[layer].encode()}


def name(layer: int, number: int) -> bytes:
    return b"%s%d" % (RIDS[layer].encode(), number & 0xFFFF)


def names(packets: list[Rtp]) -> list[str]:
    """Which packets they are, as in "f12"."""
    return [packet.payload[2:].decode() for packet in packets]
