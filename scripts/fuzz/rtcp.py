"""RTCP from a participant: reports, NACKs and their answers, keyframe requests, feedback.

Input: records (records.py); each is a decrypted compound packet of bob's, or for an odd kind
of alice's, in a call that has been going on.
"""

import struct
from collections.abc import Iterator
from typing import Final

from scripts.fuzz.call import ALICE, ALICES_PICTURE, ALICES_SOUND, BOB, PICTURE, SOUND, Call
from scripts.fuzz.records import records

PACKETS: Final = 16
LOST: Final = 8


def check(data: bytes) -> None:
    with Call() as call:
        call.receive_all([(ALICE, packet) for packet in warm_up()])
        for kind, elapsed_us, packet in records(data):
            call.receive(ALICE if kind & 1 else BOB, packet[:1500], elapsed_us)


def warm_up() -> Iterator[bytes]:
    """A keyframe, more pictures of full size with a gap, and sound."""
    for number in range(PACKETS):
        if number != LOST:
            header = struct.pack("!BBHII", 0x80, PICTURE, number, number * 3000, ALICES_PICTURE)
            yield header + (b"\x10\x01" if number else b"\x10\x00") + bytes(1000)
    yield struct.pack("!BBHII", 0x80, SOUND, 1, 960, ALICES_SOUND) + b"sound"
