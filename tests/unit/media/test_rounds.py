"""Every session is visited once in an interval, and never many of them in one go."""

import asyncio
from collections.abc import Mapping

from media.participant import Session
from media.rounds import Rounds
from tests.support.eventually import eventually

INTERVAL_S = 0.08
SESSIONS = 200


class Visits:
    """Which sessions were visited, by turn of the loop and by round."""

    def __init__(self, sessions: Mapping[str, Session]) -> None:
        self.turns: list[list[str]] = [[]]
        self.rounds: list[list[str]] = []
        self.refused = ""
        self._present: list[str] = []
        self._loop = asyncio.get_running_loop()
        self.going = Rounds(INTERVAL_S, sessions, self._visit, self._finish)

    def _visit(self, session: str, _: Session) -> None:
        if not self.turns[-1]:
            self._loop.call_soon(self.turns.append, [])
        self.turns[-1].append(session)
        if session == self.refused:
            raise RuntimeError("a visit that fails")
        self._present.append(session)

    def _finish(self) -> None:
        self.rounds.append(self._present)
        self._present = []


def sessions(count: int) -> dict[str, Session]:
    return {str(number): {} for number in range(count)}


async def test_200_sessions_are_visited_25_at_a_time_and_each_once_a_round() -> None:
    there = sessions(SESSIONS)
    visits = Visits(there)
    await eventually(lambda: len(visits.rounds) >= 3, "three rounds")
    visits.going.stop()
    assert all(sorted(each) == sorted(there) for each in visits.rounds)
    assert max(len(turn) for turn in visits.turns) == SESSIONS / 8


async def test_one_that_fails_does_not_keep_the_others_from_being_visited() -> None:
    visits = Visits(sessions(3))
    visits.refused = "1"
    visits.going.go_round()
    visits.going.stop()
    assert visits.rounds == [["0", "2"]]


async def test_one_that_ended_or_began_anew_during_a_round_is_left_to_the_next() -> None:
    there = sessions(3)
    visited: list[str] = []

    def visit(session: str, _: Session) -> None:
        visited.append(session)
        there.pop("1", None)
        there["2"] = {"anna": there}  # type: ignore[dict-item]

    going = Rounds(INTERVAL_S, there, visit, lambda: None)
    going.go_round()
    assert visited == ["0"]
    going.go_round()
    going.stop()
    assert visited == ["0", "0"]


async def test_nothing_is_visited_once_it_stopped() -> None:
    there = sessions(8)
    stopped, going_on = Visits(there), Visits(there)
    await eventually(lambda: stopped.rounds, "a round")
    stopped.going.stop()
    rounds, more = len(stopped.rounds), len(going_on.rounds) + 2
    await eventually(lambda: len(going_on.rounds) >= more, "two rounds of one that goes on")
    going_on.going.stop()
    assert len(stopped.rounds) == rounds
