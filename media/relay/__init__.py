"""The native media relay; see README.md."""

from media.relay.core import (
    AV1,
    CLOSED,
    DTLS,
    H264,
    OPUS,
    OTHER_AUDIO,
    RED,
    STUN,
    VP8,
    VP9,
    Address,
    Datagram,
    Downlink,
    Relay,
    RelayError,
)

__all__ = [
    "AV1",
    "CLOSED",
    "DTLS",
    "H264",
    "OPUS",
    "OTHER_AUDIO",
    "RED",
    "STUN",
    "VP8",
    "VP9",
    "Address",
    "Datagram",
    "Downlink",
    "Relay",
    "RelayError",
]
