"""RTP as a browser writes and reads it, for comparing every field. Source: RFC 3550, RFC 8285."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(slots=True)
class Rtp:
    """One packet in the clear. extensions: id -> value; two_byte: the form they are written in."""

    payload_type: int = 111
    sequence: int = 0
    timestamp: int = 0
    ssrc: int = 0
    payload: bytes = b"payload"
    marker: bool = False
    extensions: dict[int, bytes] = field(default_factory=dict)
    two_byte: bool = False
    padding: int = 0
    csrcs: tuple[int, ...] = ()

    def pack(self) -> bytes:
        first = 0x80 | len(self.csrcs)
        first |= 0x10 if self.extensions else 0
        first |= 0x20 if self.padding else 0
        header = struct.pack(
            "!BBHII",
            first,
            self.payload_type | (0x80 if self.marker else 0),
            self.sequence & 0xFFFF,
            self.timestamp & 0xFFFFFFFF,
            self.ssrc,
        )
        header += b"".join(struct.pack("!I", csrc) for csrc in self.csrcs)
        padding = bytes(self.padding - 1) + bytes([self.padding]) if self.padding else b""
        return header + self._pack_extensions() + self.payload + padding

    def _pack_extensions(self) -> bytes:
        if not self.extensions:
            return b""
        block = b""
        for identifier, value in self.extensions.items():
            if self.two_byte:
                block += bytes([identifier, len(value)]) + value
            else:
                block += bytes([identifier << 4 | len(value) - 1]) + value
        block += bytes(-len(block) % 4)
        profile = 0x1000 if self.two_byte else 0xBEDE
        return struct.pack("!HH", profile, len(block) // 4) + block


def parse(data: bytes) -> Rtp:
    first, second, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", data)
    assert first >> 6 == 2, "not RTP version 2"
    at = 12 + 4 * (first & 15)
    csrcs = struct.unpack_from(f"!{first & 15}I", data, 12)
    packet = Rtp(second & 0x7F, sequence, timestamp, ssrc, marker=bool(second & 0x80))
    packet.csrcs = csrcs
    if first & 0x10:
        profile, words = struct.unpack_from("!HH", data, at)
        block = data[at + 4 : at + 4 + 4 * words]
        at += 4 + 4 * words
        packet.two_byte = profile == 0x1000
        assert packet.two_byte or profile == 0xBEDE
        packet.extensions = _parse_extensions(block, packet.two_byte)
    packet.padding = data[-1] if first & 0x20 else 0
    packet.payload = data[at : len(data) - packet.padding]
    return packet


def gapless(packets: Sequence[Rtp]) -> bool:
    """Whether each has the sequence number after the one before."""
    return all(b.sequence == (a.sequence + 1) & 0xFFFF for a, b in pairwise(packets))


def _parse_extensions(block: bytes, two_byte: bool) -> dict[int, bytes]:
    found = {}
    at = 0
    while at < len(block):
        if block[at] == 0:
            at += 1
            continue
        if two_byte:
            identifier, length, at = block[at], block[at + 1], at + 2
        else:
            identifier, length, at = block[at] >> 4, (block[at] & 15) + 1, at + 1
        found[identifier] = block[at : at + length]
        at += length
    return found
