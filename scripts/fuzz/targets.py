"""What is fuzzed: a name, and what must not raise whatever the bytes are."""

from collections.abc import Callable, Mapping
from typing import Final

from scripts.fuzz import codecs, framing, red, relay, rtcp, rtp, sdp, stun

TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "stun": stun.check,
    "rtp": rtp.check,
    "rtcp": rtcp.check,
    "codecs": codecs.check,
    "red": red.check,
    "sdp": sdp.check,
    "framing": framing.check,
    "relay": relay.check,
}
