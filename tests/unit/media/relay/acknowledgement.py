"""What a receiver says about transport-wide numbers: feedback written by hand, REMB.

Sources: draft-holmer-rmcat-transport-wide-cc-extensions-01, 3.1; draft-alvestrand-rmcat-remb-03.
"""

import struct
from collections.abc import Sequence

TICKS_A_REFERENCE = 256  # of 250 µs: 64 ms


def run(symbol: int, length: int) -> bytes:
    """A chunk of `length` equal symbols."""
    return struct.pack("!H", symbol << 13 | length)


def one_bit(symbols: Sequence[int]) -> bytes:
    """A chunk of up to 14 symbols that are 0 or 1."""
    return struct.pack("!H", 0x8000 | sum(s << (13 - i) for i, s in enumerate(symbols)))


def two_bit(symbols: Sequence[int]) -> bytes:
    """A chunk of up to 7 symbols."""
    return struct.pack("!H", 0xC000 | sum(s << (12 - 2 * i) for i, s in enumerate(symbols)))


def message(base: int, count: int, chunks: bytes, deltas: bytes, *, reference: int = 0) -> bytes:
    """One transport-wide feedback message of these parts, padded."""
    body = struct.pack("!IIHHI", 1, 0, base & 0xFFFF, count & 0xFFFF, (reference & 0xFFFFFF) << 8)
    body += chunks + deltas
    padding = -len(body) % 4
    if padding:
        body += bytes(padding - 1) + bytes([padding])
    first = 0x8F | (0x20 if padding else 0)
    return struct.pack("!BBH", first, 205, len(body) // 4) + body


def feedback(base: int, arrivals_ms: Sequence[float | None], *, reference: int = 0) -> bytes:
    """A message about the numbers from `base` on; None: not received.

    reference: in 64 ms; arrivals count from it.
    """
    symbols: list[int] = []
    deltas = b""
    before = 0
    for arrival_ms in arrivals_ms:
        if arrival_ms is None:
            symbols.append(0)
            continue
        delta = round(arrival_ms * 4) - before
        before += delta
        small = 0 <= delta <= 255
        symbols.append(1 if small else 2)
        deltas += struct.pack("!B" if small else "!h", delta)
    chunks = b"".join(two_bit(symbols[i : i + 7]) for i in range(0, len(symbols), 7))
    return message(base, len(symbols), chunks, deltas, reference=reference)


def remb(mantissa: int, exponent: int, *ssrcs: int) -> bytes:
    word = len(ssrcs) << 24 | exponent << 18 | mantissa
    body = struct.pack("!II4sI", 1, 0, b"REMB", word)
    body += b"".join(struct.pack("!I", ssrc) for ssrc in ssrcs)
    return struct.pack("!BBH", 0x8F, 206, len(body) // 4) + body


def read_remb(packet: bytes) -> tuple[int, tuple[int, ...]]:
    """bit/s and the SSRCs of one message."""
    first, kind, words, _, media, name, word = struct.unpack_from("!BBHII4sI", packet)
    assert (first, kind, media, name) == (0x8F, 206, 0, b"REMB")
    assert len(packet) == 4 * (words + 1) == 20 + 4 * (word >> 24)
    ssrcs = struct.unpack_from(f"!{word >> 24}I", packet, 20)
    return (word & 0x3FFFF) << (word >> 18 & 0x3F), ssrcs
