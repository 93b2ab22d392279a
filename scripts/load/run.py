"""A whole load test: rooms begin one after the other, the server is watched meanwhile."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from scripts.client.crowd import Crowd
from scripts.load.plan import plan
from scripts.load.record import Record, Sample
from scripts.load.room import Room
from scripts.load.scenario import Scenario
from scripts.load.target import Target
from scripts.pump import Figures

_LOOK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a test found. clients: the crowd's name. media: all of it.

    interrupted: before its time.
    """

    scenario: Scenario
    clients: str
    record: Record
    media: Figures
    lasted_s: float
    interrupted: bool


class Run:
    """One test at a server: `await run()` once.

    Owned by one event loop, as is the record that it fills.
    """

    def __init__(self, target: Target, scenario: Scenario, crowd: Crowd) -> None:
        self._target = target
        self._scenario = scenario
        self._crowd = crowd
        self._rooms: set[Room] = set()
        self.record = Record()

    async def run(
        self, stop: asyncio.Event, tell: Callable[[Sample], None] = lambda _: None
    ) -> Outcome:
        """Until all is done, or `stop` is set: then what is open is ended. `tell` hears of each
        second."""
        async with self._crowd:
            watching = asyncio.create_task(self._watch(tell))
            playing = [
                asyncio.create_task(self._play(place)) for place in range(self._scenario.rooms)
            ]
            stopping = asyncio.create_task(stop.wait())
            over = asyncio.gather(*playing, return_exceptions=True)
            either: set[asyncio.Future[Any]] = {over, stopping}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            for task in (stopping, *playing):
                task.cancel()
            results = await over
            watching.cancel()
            await asyncio.wait([watching])
            media = await self._crowd.figures()
        for result in results:
            if isinstance(result, Exception):
                raise result
        return Outcome(
            self._scenario,
            self._crowd.name,
            self.record,
            media,
            lasted_s=self.record.elapsed_s,
            interrupted=stop.is_set(),
        )

    async def _play(self, place: int) -> None:
        """One place, from its begin to its end."""
        await asyncio.sleep(self._scenario.starts_s(place))
        room = Room(self._target, self._crowd, self._scenario.places[place], self.record)
        self._rooms.add(room)
        try:
            await room.open()
            began = self.record.now()
            for action in plan(self._scenario, place):
                await self._sleep_until(began + action.at_s)
                self.record.late_s.append(self.record.now() - began - action.at_s)
                await room.act(action)
            await self._sleep_until(began + self._scenario.duration_s)
        finally:
            await room.end()
            await room.close()
            self._rooms.remove(room)

    async def _sleep_until(self, at: float) -> None:
        await asyncio.sleep(max(0.0, at - self.record.now()))

    async def _watch(self, tell: Callable[[Sample], None]) -> None:
        before = Figures()
        while True:
            # A server that is too busy to answer may do so later.
            usage = await self._target.usage()
            figures = await self._crowd.figures()
            since, before = figures.since(before), figures
            p99_us = since.delay_us(99)
            sample = Sample(
                at_s=self.record.elapsed_s,
                rooms=len(self._rooms),
                people=sum(room.sending for room in self._rooms),
                sent=since.sent,
                received=since.received,
                missing=since.missing,
                p99_ms=None if p99_us is None else p99_us / 1000,
                usage=usage,
            )
            self.record.samples.append(sample)
            tell(sample)
            await asyncio.sleep(_LOOK_S)
