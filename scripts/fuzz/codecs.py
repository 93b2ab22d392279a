"""What is read of video packets: payload descriptors, payloads, dependency descriptors.

Input: records (records.py), the packets of one stream in their order. The kind's lowest bits are
the codec, its highest says that another source begins here. A record holds one byte with the
length of the dependency descriptor, then that, then the payload.
"""

from typing import Final

from media.relay import AV1, H264, OPUS, VP8, VP9
from scripts.fuzz.native import Descriptions
from scripts.fuzz.records import records

FAMILIES: Final = (VP8, VP9, AV1, H264, OPUS)
ANEW: Final = 16
# As many as the descriptors can say (3 bits each; RFC 9628, 4.2).
LAYERS: Final = 8
# A picture id and TL0PICIDX: three bytes of the descriptor at most are written anew.
RENUMBERED: Final = 3


def check(data: bytes) -> None:
    stream = Descriptions()
    for number, (kind, _, packet) in enumerate(records(data)):
        length = packet[0] if packet else 0
        payload = packet[1 + length :]
        _, spatial, temporal, written = stream.describe(
            FAMILIES[kind % ANEW % len(FAMILIES)],
            number,
            packet[1 : 1 + length],
            payload,
            kind >= ANEW,
        )
        assert spatial < LAYERS
        assert temporal < LAYERS
        assert len(written) == len(payload)
        changed = [a != b for a, b in zip(payload, written, strict=True)]
        assert sum(changed) <= RENUMBERED
