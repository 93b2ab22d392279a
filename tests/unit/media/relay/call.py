"""One track from one browser to another, through the relay."""

import time
from typing import Any, Final, Literal

from media.relay import Relay
from tests.unit.media.relay.browser import AUDIO_PT, VIDEO_PT, Browser
from tests.unit.media.relay.rtp import Rtp

ALICE: Final = 1000
SLOT: Final = 2000
SLOT_RTX: Final = 2001

PATIENCE_S: Final = 5.0


def wait_until_taken_in(relay: Relay, track: int, packets: int) -> None:
    """That so many of a track's have come, forwarded or not."""
    deadline = time.monotonic() + PATIENCE_S
    while (taken := relay.track_stats(track)["packets"]) < packets:
        assert time.monotonic() < deadline, f"{taken} of {packets} packets"
        time.sleep(0.001)


class Call:
    """alice's track, on the SSRC ALICE, goes to bob's slot, on the SSRC SLOT.

    Video is repaired on ALICE + 1 and SLOT_RTX; alice answers NACKs.
    """

    def __init__(
        self,
        relay: Relay,
        alice: Browser,
        bob: Browser,
        kind: Literal["audio", "video"] = "audio",
    ) -> None:
        self.relay, self.alice, self.bob = relay, alice, bob
        self.payload_type = VIDEO_PT if kind == "video" else AUDIO_PT
        video = kind == "video"
        repairs = [ALICE + 1] if video else []
        self.track = relay.add_track(alice.peer, kind, "0", [ALICE], repairs, nack=True)
        self.slot = relay.add_subscription(bob.peer, kind, "5", SLOT, SLOT_RTX if video else 0)
        relay.set_source(self.slot, self.track)

    def send(self, sequence: int, timestamp: int = 0, **fields: Any) -> bytes:
        """alice sends one packet; returns the datagram."""
        options = {"payload_type": self.payload_type, "ssrc": ALICE} | fields
        return self.alice.send(Rtp(sequence=sequence, timestamp=timestamp, **options))
