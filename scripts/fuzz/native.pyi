"""The relay's parsers, and one turn of its thread, laid open: for fuzzing, never for serving."""

from collections.abc import Mapping, Sequence

from media.relay import Address, Relay

Parsed = tuple[int, bool, int, int, int, bytes, dict[int, bytes]]

def local_ufrag(data: bytes) -> bytes | None:
    """As the relay reads it; None: no well-formed binding request."""

class Descriptions:
    """What is read of one stream's video packets, one after the other, and how it is renumbered."""

    def describe(
        self, family: int, sequence: int, dependency: bytes, payload: bytes, anew: bool
    ) -> tuple[bool, int, int, bytes]:
        """(keyframe, spatial layer, temporal layer, payload as a subscriber gets it).

        dependency: the extension's field, at most 255 bytes. anew: another source begins here.
        """

def unwrap(payload: bytes, codecs: Mapping[int, tuple[int, int]]) -> bytes | None:
    """What of a RED payload goes to who does not take RED; None: malformed, or not agreed on.

    codecs: payload type -> (family, variant).
    """

class Subscriber:
    """Writes packets as one subscription gets them, as AV1, of which most is passed on.

    extensions: name -> id, of the publisher's offer and the subscriber's alike.
    rtx: its payload type for retransmissions.
    number: the transport-wide number of every packet. delay_ms: the playout delay that is told.
    frame_shift: what is added to frame numbers.
    """

    def __init__(
        self,
        extensions: Mapping[str, int],
        mid: str,
        ssrc: int,
        rtx_ssrc: int,
        rtx: int,
        *,
        number: int,
        delay_ms: int,
        frame_shift: int,
    ) -> None: ...
    def write(
        self, data: bytes, *, payload_type: int, sequence: int, timestamp: int, rtx: int | None
    ) -> bytes | None:
        """Parse one packet and write it anew; None: malformed.

        rtx: None, or the number it has as the retransmission of `sequence`.
        """

def parse(data: bytes, extensions: Mapping[str, int], *, repaired: int = -1) -> Parsed | None:
    """(payload type, marker, sequence, timestamp, SSRC, payload, extension fields by number).

    None: malformed. repaired: the payload type that it repeats, if it is a retransmission;
    then None is also that it repeats nothing.
    """

class Turns:
    """The turns of a relay's thread, one by one, in a time of their own.

    relay: one that was not started; its verbs may be used between turns. Nothing reaches its
    socket: what it would send is taken where it would be encrypted.
    """

    def __init__(self, relay: Relay) -> None: ...
    def set_keys(self, peer: int) -> None:
        """Stands for the verb of that name."""

    def turn(
        self, datagrams: Sequence[tuple[Address, bytes]], elapsed_us: int = 0
    ) -> list[tuple[int, bool, bytes]]:
        """Take in one batch `elapsed_us` after the one before; what is sent for it.

        datagrams: up to 64 of (IPv4 address, bytes). Returns (receiving peer, whether it is
        RTCP, bytes) for each.
        """

    def turn_streams(self, elapsed_us: int = 0) -> int:
        """Take in what came over TCP; how many connections it came on."""
