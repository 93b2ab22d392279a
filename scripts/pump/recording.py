"""What the pump's peers send: a picture and a sound, encoded once (record.py), sent for ever."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import av

FILE: Final = Path(__file__).with_name("recording.webm")


@dataclass(frozen=True, slots=True)
class Recording:
    """pictures: VP8 frames, 30 a second, of which the first alone is a keyframe.

    sounds: Opus packets of one frame, 20 ms each.
    """

    pictures: tuple[bytes, ...]
    sounds: tuple[bytes, ...]


@cache
def recording() -> Recording:
    """Read once."""
    with av.open(FILE) as container:
        streams = {"video": container.streams.video[0], "audio": container.streams.audio[0]}
        packets: dict[str, list[bytes]] = {kind: [] for kind in streams}
        for packet in container.demux(*streams.values()):
            if packet.size:
                packets[packet.stream.type].append(bytes(packet))
    return Recording(tuple(packets["video"]), tuple(packets["audio"]))
