"""RED: who takes sound once is given the block that RFC 2198 says is the packet's own.

Input: one payload.
"""

from typing import Final

from media.relay import OPUS, RED
from scripts.fuzz.native import unwrap

CODECS: Final = {111: (OPUS, 1), 63: (RED, 2)}
RTP_MAX: Final = 1500


def check(data: bytes) -> None:
    data = data[:RTP_MAX]
    assert unwrap(data, CODECS) == own_block(data)


def own_block(payload: bytes) -> bytes | None:
    """None: there is none, or it is not of a codec that may be in RED.  Source: RFC 2198, 3."""
    at = earlier = 0
    while at < len(payload) and payload[at] >= 128:
        header = payload[at : at + 4]
        if len(header) < 4:
            return None
        earlier += int.from_bytes(header) & 0x3FF
        at += 4
    own = payload[at + 1 + earlier :]
    agreed = at < len(payload) and payload[at] == 111
    return own if own and agreed else None
