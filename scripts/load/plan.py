"""What happens in a place and when: a pure function of the scenario and its seed."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from scripts.load.scenario import Churn, RoomKind, Scenario

Kind: TypeAlias = Literal["leave", "join", "refresh", "mute", "camera", "reconnect", "move", "end"]

THERAPIST: Final = 0


@dataclass(frozen=True, slots=True)
class Action:
    """at_s: since the place's begin. person: 0 is the therapist, who alone ends.

    mute, camera: the microphone, the camera is turned off, or on where it is off.
    """

    at_s: float
    kind: Kind
    person: int


@dataclass(slots=True)
class _Person:
    """As the plan has it by now."""

    here: bool = True
    microphone: bool = True
    camera: bool = True
    joins_s: float = field(default=0.0)


def plan(scenario: Scenario, place: int) -> tuple[Action, ...]:
    """All that is to be done in a place until it closes, in order.

    Times are a Poisson process. Two at least are here at whatever needs somebody else's media,
    and nobody has microphone and camera off at once, so that there is such media. What chance
    wants and that forbids does not happen.
    """
    kind = scenario.places[place]
    chance = random.Random(f"{scenario.seed}/{place}")
    return tuple(_actions(kind, scenario.duration_s, chance))


def _actions(room: RoomKind, until_s: float, chance: random.Random) -> Iterator[Action]:
    weights = _weights(room.churn)
    a_second = sum(weights.values()) / 60
    people = [_Person() for _ in range(room.people)]
    at_s = 0.0
    while a_second:
        at_s += chance.expovariate(a_second)
        yield from _returns(people, min(at_s, until_s))
        if at_s >= until_s:
            return
        kind = chance.choices(list(weights), list(weights.values()))[0]
        able = [person for person in range(room.people) if _may(kind, people, person)]
        if able:
            action = Action(at_s, kind, chance.choice(able))
            _follow(people, action, away_s=chance.expovariate(1 / room.churn.away_s))
            yield action


def _weights(churn: Churn) -> dict[Kind, float]:
    return {
        "leave": churn.leaves,
        "refresh": churn.refreshes,
        "mute": churn.mutes,
        "camera": churn.cameras,
        "reconnect": churn.reconnects,
        "move": churn.moves,
        "end": churn.ends,
    }


def _returns(people: list[_Person], until_s: float) -> Iterator[Action]:
    """Who left and is back before."""
    away = [number for number, person in enumerate(people) if not person.here]
    for number in sorted(away, key=lambda number: people[number].joins_s):
        if people[number].joins_s < until_s:
            yield Action(people[number].joins_s, "join", number)
            people[number] = _Person()


def _may(kind: Kind, people: list[_Person], number: int) -> bool:
    person = people[number]
    if not person.here:
        return False
    match kind:
        case "end":
            return number == THERAPIST
        case "mute":
            return person.camera or not person.microphone
        case "camera":
            return person.microphone or not person.camera
        case "leave" | "refresh" | "move":
            return sum(one.here for one in people) > 1
    return True


def _follow(people: list[_Person], action: Action, away_s: float) -> None:
    person = people[action.person]
    match action.kind:
        case "leave":
            person.here, person.joins_s = False, action.at_s + away_s
        case "mute":
            person.microphone = not person.microphone
        case "camera":
            person.camera = not person.camera
        case "end":
            # Another session: everybody is here, and on.
            people[:] = [_Person() for _ in people]
