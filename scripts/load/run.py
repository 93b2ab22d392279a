"""A whole load test: rooms begin one after the other, the server is watched meanwhile."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from scripts.client.crowd import PumpCrowd
from scripts.load.room import RoomFailed, RoomResult, run_room
from scripts.load.scenario import Scenario
from scripts.load.target import Target, Usage
from scripts.pump import Figures

_LOOK_S: Final = 1.0


@dataclass(slots=True)
class Progress:
    """Rooms by what they do now: begun, of those full, of those over or failed."""

    begun: int = 0
    full: int = 0
    over: int = 0
    failed: int = 0


@dataclass(slots=True)
class Outcome:
    """rooms: those that went well; failures: the reasons of the others.

    media: of all of them. usage: (seconds since the begin, what the server said), empty where it
    says nothing.
    """

    scenario: Scenario
    rooms: list[RoomResult] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    usage: list[tuple[float, Usage]] = field(default_factory=list)
    media: Figures = field(default_factory=Figures)


async def run(
    target: Target, scenario: Scenario, tell: Callable[[Progress], None] = lambda _: None
) -> Outcome:
    """Run the test; `tell` hears of each change. A room that fails does not stop the others."""
    outcome, progress = Outcome(scenario), Progress()

    def is_full() -> None:
        progress.full += 1
        tell(progress)

    async def one(number: int) -> None:
        await asyncio.sleep(scenario.starts_s(number))
        progress.begun += 1
        tell(progress)
        try:
            outcome.rooms.append(await run_room(target, scenario, crowd, is_full))
            progress.over += 1
        except RoomFailed as failure:
            outcome.failures.append(failure.reason)
            progress.failed += 1
        tell(progress)

    watching = asyncio.create_task(_watch(target, outcome.usage))
    try:
        async with PumpCrowd(scenario.picture) as crowd, asyncio.TaskGroup() as group:
            for number in range(scenario.rooms):
                group.create_task(one(number))
        outcome.media = await crowd.figures()
    finally:
        watching.cancel()
        await asyncio.wait([watching])
    return outcome


async def _watch(target: Target, usage: list[tuple[float, Usage]]) -> None:
    began = time.monotonic()
    while True:
        # A server that is too busy to answer may do so later.
        if (now := await target.usage()) is not None:
            usage.append((time.monotonic() - began, now))
        await asyncio.sleep(_LOOK_S)
