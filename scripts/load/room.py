"""One room of a load test: a session and its people, who do what the plan says.

Whatever fails is in the record, and the room goes on: whoever failed is out, and comes back in
place of what they were to do next.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from scripts.client.crowd import Crowd
from scripts.load.person import Person
from scripts.load.plan import THERAPIST, Action
from scripts.load.record import Record
from scripts.load.scenario import RoomKind
from scripts.load.target import Target

_END_WITHIN_S: Final = 10.0
# What is on its way when all fall silent has come by then, but from a server out of breath.
_QUIET_S: Final = 0.1


class Room:
    """`open`, any number of `act`, `end`; `close` always, which leaves no session open."""

    def __init__(self, target: Target, crowd: Crowd, kind: RoomKind, record: Record) -> None:
        self._target = target
        self._crowd = crowd
        self._kind = kind
        self._record = record
        self._people: Sequence[Person] = ()
        # The session, until it is over. A task: one that is interrupted may still make one.
        self._links: asyncio.Task[list[str]] | None = None

    @property
    def sending(self) -> int:
        """How many people send."""
        return sum(person.sends for person in self._people)

    async def open(self) -> None:
        """Have a session made; everybody joins at once, and sends."""
        if await self._record.of("open", self._open()):
            await self._fill(self._people)
        else:
            self._links = None

    async def act(self, action: Action) -> None:
        """Do it, or what has to come first where something failed."""
        if not self._people:
            await self.open()
        elif action.kind == "end":
            await self.end()
            await self.close()
            await self.open()
        elif (person := self._people[action.person]).client is None:
            await self._fill([person])
        else:
            await self._do(action, person)

    async def end(self) -> None:
        """The therapist ends the session; everyone who is in hears of it."""
        inside = self._inside()
        if not self._people or (therapist := self._people[THERAPIST].client) is None:
            return
        with self._record.failures_of("end") as attempt:
            for person in inside:
                person.hush()
            # Before the end: what the server then drops is not lost.
            await asyncio.sleep(_QUIET_S)
            asked = self._record.now()
            await therapist.room.request("session:end", {})
        if not attempt.well:
            return
        self._links = None
        await asyncio.wait([person.ended for person in inside], timeout=_END_WITHIN_S)
        for person in inside:
            if person.ended.done():
                self._record.well("end", asked, person.ended.result())
            else:
                self._record.wrong("end", asked, "timeout")

    async def close(self) -> None:
        """Everyone is out; a session that is still open is ended, by a client made for that."""
        for person in self._people:
            await person.out()
        self._people = ()
        if self._links is not None:
            links, self._links = self._links, None
            await self._record.of("end", self._end_afresh(links))

    async def _do(self, action: Action, person: Person) -> None:
        match action.kind:
            case "leave":
                await person.leave()
            case "refresh":
                await person.refresh()
            case "reconnect":
                await person.reconnect()
            case "move":
                await person.move()
            case "mute":
                await person.toggle_microphone()
            case "camera":
                await person.toggle_camera()

    async def _open(self) -> None:
        self._links = asyncio.create_task(self._target.open_room(self._kind.people))
        self._people = [
            Person(partial(self._crowd.client, link, self._kind.picture), self._record)
            for link in await asyncio.shield(self._links)
        ]

    async def _end_afresh(self, links: asyncio.Task[list[str]]) -> None:
        async with asyncio.timeout(_END_WITHIN_S):
            client = self._crowd.client((await links)[THERAPIST], self._kind.picture)
            try:
                await client.join()
                await client.room.request("session:end", {})
            finally:
                await client.close()

    async def _fill(self, people: Sequence[Person]) -> None:
        """They join, all at once, and send; whoever fails to is out."""
        began = self._record.now()
        await asyncio.gather(*(person.join() for person in people))
        others = len(self._inside()) - 1
        await asyncio.gather(
            *(person.enter(others, began) for person in people if person.client is not None)
        )

    def _inside(self) -> list[Person]:
        return [person for person in self._people if person.client is not None]
