"""What is read of each codec's payload.

Input: a byte that names the codec, then a payload.
"""

from typing import Final

from media.relay import AV1, H264, OPUS, VP8, VP9
from scripts.fuzz.native import keyframe

FAMILIES: Final = (VP8, VP9, AV1, H264, OPUS)


def check(data: bytes) -> None:
    if data:
        keyframe(FAMILIES[data[0] % len(FAMILIES)], data[1:])
