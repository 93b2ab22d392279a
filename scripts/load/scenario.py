"""What a load test does, and the most it may do. Pure."""

import math
from dataclasses import dataclass
from typing import Final

from scripts.client.peer import Picture

MOST_ROOMS: Final = 150
MOST_PEOPLE: Final = 12
# A socket for media and one for signaling each, within 1,024 descriptors.
MOST_PARTICIPANTS: Final = 300
MOST_SECONDS: Final = 3600
# Of one test: every packet is sealed and opened by the script, too.
MOST_MBIT: Final = 1000
MOST_RAMP: Final = 20.0

_PICTURES_PER_SECOND: Final = 30
# Below a path MTU of 1,280 bytes, with SRTP's tag.
_LONGEST_PACKET_BYTES: Final = 1100


class BadScenario(ValueError):
    """More than a load test may do; the message is one line for a person."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """rooms of people, begun at `ramp` rooms a second; each sends for `duration_s`.

    bitrate_kbit: of each participant's video, RTP without SRTP.
    Raises BadScenario beyond the limits above.
    """

    rooms: int
    people: int
    duration_s: int
    ramp: float
    bitrate_kbit: int

    def __post_init__(self) -> None:
        if self.participants > MOST_PARTICIPANTS:
            raise BadScenario(f"{self.participants} participants: {MOST_PARTICIPANTS} are the most")
        if self.length_s > MOST_SECONDS:
            raise BadScenario(f"{self.length_s:.0f} s in all: {MOST_SECONDS} s are the most")
        if self.mbit_out > MOST_MBIT:
            raise BadScenario(
                f"{self.mbit_out:.0f} Mbit/s from the server: {MOST_MBIT} are the most"
            )

    @property
    def participants(self) -> int:
        return self.rooms * self.people

    @property
    def length_s(self) -> float:
        """From the first room's begin to the last one's end, without what joining takes."""
        return self.starts_s(self.rooms - 1) + self.duration_s

    @property
    def mbit_out(self) -> float:
        """Video that the server sends when all rooms are full."""
        return self.participants * (self.people - 1) * self.bitrate_kbit / 1000

    def starts_s(self, room: int) -> float:
        """When a room begins, from the test's begin; rooms count from 0."""
        return room / self.ramp

    @property
    def picture(self) -> Picture:
        """The packets of one picture at the bitrate, as few as carry it."""
        picture_bytes = self.bitrate_kbit * 1000 / 8 / _PICTURES_PER_SECOND
        packets = math.ceil(picture_bytes / _LONGEST_PACKET_BYTES)
        return Picture(packets, round(picture_bytes / packets))
