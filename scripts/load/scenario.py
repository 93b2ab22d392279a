"""What a load test does, and the most it may do. Pure, but for reading a file.

The dataclasses are the file's shape, too (scenarios/*.toml; README.md): pydantic reads it into
them, their annotations are the limits.
"""

import math
import random
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar, Final, TypeAlias

from pydantic import ConfigDict, Field, Strict, StringConstraints, TypeAdapter, ValidationError

from scripts.client.peer import Picture

MOST_ROOMS: Final = 500
MOST_PEOPLE: Final = 12
MOST_PARTICIPANTS: Final = 1000
MOST_SECONDS: Final = 3600
# Of one test: every packet is sealed and opened by the script, too.
MOST_MBIT: Final = 1000
MOST_RAMP: Final = 20.0
MOST_KBIT: Final = 5000
# Of one kind, a minute of one room; and in all. What is done is kept until the report.
MOST_RATE: Final = 60.0
MOST_ACTIONS: Final = 20_000

KEPT: Final = Path(__file__).with_name("scenarios")

_PICTURES_PER_SECOND: Final = 30
# Below a path MTU of 1,280 bytes, with SRTP's tag.
_LONGEST_PACKET_BYTES: Final = 1100
_STRICT: Final = ConfigDict(extra="forbid", allow_inf_nan=False)

_Rate: TypeAlias = Annotated[float, Strict(), Field(ge=0, le=MOST_RATE)]
_Text: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=120)]


class BadScenario(ValueError):
    """No scenario, or more than a load test may do; the message is one line for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Churn:
    """What happens in a room besides talking, each in times a minute of one room.

    leaves: a person leaves and joins again after about `away_s`. refreshes: a new connection for
    media. mutes, cameras: the microphone, the camera is turned off, or on again. reconnects: the
    socket is dropped and another one joins. moves: the media's source port changes. ends: the
    therapist ends the session, and another begins with the same number of people.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    leaves: _Rate = 0.0
    refreshes: _Rate = 0.0
    mutes: _Rate = 0.0
    cameras: _Rate = 0.0
    reconnects: _Rate = 0.0
    moves: _Rate = 0.0
    ends: _Rate = 0.0
    away_s: Annotated[float, Strict(), Field(ge=0.1, le=300)] = 5.0

    @property
    def per_minute(self) -> float:
        """All that happens; a leave brings a join."""
        rates = sum(getattr(self, field.name) for field in fields(self) if field.name != "away_s")
        return self.leaves + float(rates)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomKind:
    """Some of the rooms: `weight` of all kinds' weights together.

    bitrate_kbit: of each participant's video, RTP without SRTP.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: _Text = "rooms"
    weight: Annotated[int, Strict(), Field(ge=1, le=1000)] = 1
    people: Annotated[int, Strict(), Field(ge=2, le=MOST_PEOPLE)] = 2
    bitrate_kbit: Annotated[int, Strict(), Field(ge=50, le=MOST_KBIT)] = 1500
    churn: Churn = Churn()

    @property
    def picture(self) -> Picture:
        """The packets of one picture at the bitrate, as few as carry it."""
        picture_bytes = self.bitrate_kbit * 1000 / 8 / _PICTURES_PER_SECOND
        packets = math.ceil(picture_bytes / _LONGEST_PACKET_BYTES)
        return Picture(packets, round(picture_bytes / packets))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Places for `rooms`, begun at `ramp` a second; in each there is a room for `duration_s`.

    seed: of all that chance decides; the same seed, the same plan.
    Raises BadScenario beyond the limits above.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    about: _Text = "rooms full of people"
    rooms: Annotated[int, Strict(), Field(ge=1, le=MOST_ROOMS)] = 5
    duration_s: Annotated[int, Strict(), Field(ge=1, le=MOST_SECONDS)] = 30
    ramp: Annotated[float, Strict(), Field(ge=0.1, le=MOST_RAMP)] = 2.0
    seed: Annotated[int, Strict(), Field(ge=0, lt=2**31)] = 1
    kinds: Annotated[tuple[RoomKind, ...], Field(min_length=1, max_length=20)] = (RoomKind(),)

    def __post_init__(self) -> None:
        for amount, most, what in (
            (self.participants, MOST_PARTICIPANTS, "participants"),
            (self.length_s, MOST_SECONDS, "s in all"),
            (self.mbit_out, MOST_MBIT, "Mbit/s from the server"),
            (self.actions, MOST_ACTIONS, "actions"),
        ):
            if amount > most:
                raise BadScenario(f"{amount:.0f} {what}: {most} are the most")

    @property
    def places(self) -> tuple[RoomKind, ...]:
        """What kind of room each place has: by weight as exactly as can be, in random order."""
        kinds = [
            kind
            for kind, count in zip(self.kinds, self.rooms_of_kinds, strict=True)
            for _ in range(count)
        ]
        random.Random(f"{self.seed}/places").shuffle(kinds)
        return tuple(kinds)

    @property
    def rooms_of_kinds(self) -> tuple[int, ...]:
        """How many rooms each kind has. Source: largest remainders."""
        weights = sum(kind.weight for kind in self.kinds)
        shares = [self.rooms * kind.weight / weights for kind in self.kinds]
        counts = [int(share) for share in shares]
        by_rest = sorted(range(len(shares)), key=lambda i: counts[i] - shares[i])
        for i in by_rest[: self.rooms - sum(counts)]:
            counts[i] += 1
        return tuple(counts)

    @property
    def participants(self) -> int:
        return sum(kind.people for kind in self.places)

    @property
    def length_s(self) -> float:
        """From the first room's begin to the last one's end, without what joining takes."""
        return self.starts_s(self.rooms - 1) + self.duration_s

    @property
    def mbit_out(self) -> float:
        """Video that the server sends when all rooms are full."""
        return sum(k.people * (k.people - 1) * k.bitrate_kbit for k in self.places) / 1000

    @property
    def actions(self) -> float:
        """How many are to be expected, besides those that each room begins and ends with."""
        return sum(kind.churn.per_minute for kind in self.places) * self.duration_s / 60

    def starts_s(self, place: int) -> float:
        """When a place's first room begins, from the test's begin; places count from 0."""
        return place / self.ramp


_SCENARIO: Final = TypeAdapter(Scenario)


def kept() -> dict[str, Scenario]:
    """The scenarios that come with the script, by name."""
    return {file.stem: read_scenario(file) for file in sorted(KEPT.glob("*.toml"))}


def find_scenario(named: str) -> Scenario:
    """A kept one by its name, or a file's. Raises BadScenario."""
    names = {file.stem: file for file in KEPT.glob("*.toml")}
    return read_scenario(names.get(named, Path(named)))


def read_scenario(file: Path) -> Scenario:
    """A TOML file's. Raises BadScenario, which names the file and the path of the key."""
    try:
        with file.open("rb") as opened:
            return _SCENARIO.validate_python(tomllib.load(opened))
    except OSError as error:
        raise BadScenario(f"{file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadScenario(f"{file}: {error}") from error
    except ValidationError as error:
        raise BadScenario(f"{file}: {_first_fault(error)}") from None


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    said = fault["msg"].removeprefix("Value error, ")
    path = _path(fault["loc"])
    return f"{path}: {said}" if path else said


def _path(keys: Sequence[int | str]) -> str:
    """`kinds[0].churn.leaves`, as one writes it."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).lstrip(".")
