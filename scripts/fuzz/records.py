"""An input that is many: how it is cut up."""

from collections.abc import Iterator
from typing import Final, NamedTuple

# What may pass before a record: nothing, a burst, a frame, a timer's grid, its interval,
# a keyframe's, a takeover's, a consent's.
STEPS_US: Final = (0, 1_000, 5_000, 20_000, 100_000, 600_000, 2_000_000, 40_000_000)
# Enough for anything to be exhausted that has a limit; more only takes time.
RECORDS_MAX: Final = 200


class Record(NamedTuple):
    kind: int
    elapsed_us: int
    data: bytes


def records(data: bytes) -> Iterator[Record]:
    """Each is a byte of kind (5 bits) and elapsed time (3 bits), two of length, then its data."""
    at = 0
    for _ in range(RECORDS_MAX):
        if at + 3 > len(data):
            return
        length = int.from_bytes(data[at + 1 : at + 3], "big")
        kind, step = data[at] >> 3, data[at] & 7
        yield Record(kind, STEPS_US[step], data[at + 3 : at + 3 + length])
        at += 3 + length


def pack(kind: int, data: bytes = b"", step: int = 0) -> bytes:
    """The inverse, for seeds."""
    return bytes([kind << 3 | step]) + len(data).to_bytes(2, "big") + data
