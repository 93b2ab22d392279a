"""One life of a process that ends sessions: what is killed. Runs in a process of its own.

The service, the dispatcher, the audit log and the notary are the real ones. It first finishes
what the life before it left, then brings a session of its own to its end, and says at each step
how far it is, so that whoever kills it knows what was promised by then.
"""

import asyncio
import importlib
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, TypeAlias

from rooms import audit, failpoints, outbox
from rooms.clock import SystemClock
from rooms.db.engine import Database
from rooms.errors import SessionOver
from rooms.events import CATALOGUE, Recorded, SessionEnded
from rooms.hooks import Hooks
from rooms.outbox import Dispatcher
from rooms.receipt import Notary
from rooms.service import Person, SessionService
from rooms.session import Ended, Session
from rooms.vocabulary import ParticipantId, SessionId
from signaling.logs import configure_logs
from signaling.receipt_key import read_or_make_receipt_key
from tests.support.effects import stores
from tests.support.eventually import eventually
from tests.support.world import World

EFFECT: Final = "effect"
# Often enough that presence is on its way to the database whenever a session ends.
_OBSERVED_EVERY_S: Final = 0.002


@dataclass(frozen=True, slots=True)
class Life:
    """number: of this life. failpoint: as PLUMM_FAILPOINT, set at the click; "": none.

    unfinished: the session whose End the life before did not see acked.
    """

    number: int
    database: str
    directory: Path
    failpoint: str
    unfinished: SessionId | None


@dataclass(frozen=True, slots=True)
class Recovered:
    """All deliveries are done. ended: how the unfinished session ended."""

    ended: Ended | None


@dataclass(frozen=True, slots=True)
class Clicked:
    """The therapist's End is on its way."""

    session: SessionId


@dataclass(frozen=True, slots=True)
class Acked:
    """… and was answered."""

    ended: Ended


@dataclass(frozen=True, slots=True)
class Done:
    """The last hook has run; the process waits to be killed."""


Step: TypeAlias = Recovered | Clicked | Acked | Done


class LaterClock(SystemClock):
    """Each life begins a minute later: the claims of earlier ones have run out."""

    def __init__(self, minutes: int) -> None:
        self._ahead = timedelta(minutes=minutes)

    def now(self) -> datetime:
        return super().now() + self._ahead


def live(life: Life, told: Connection) -> None:
    """Live until killed."""
    configure_logs("warning", "console")
    asyncio.run(_live(life, told))


async def _live(life: Life, told: Connection) -> None:
    clock, world = LaterClock(life.number), World()
    database = await Database.open(life.database)
    hooks = _hooks(life.directory)
    dispatcher = Dispatcher(database, hooks, clock)
    service = SessionService(
        clock,
        database,
        hooks,
        world,
        world,
        Notary(read_or_make_receipt_key(life.directory)),
        max_participants=2,
        committed=dispatcher.wake,
    )

    async def delivered() -> bool:
        async with database.reading() as connection:
            return (await outbox.backlog(connection)).pending == 0

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(dispatcher.run())
        ended = None
        if life.unfinished is not None:
            ended = await _come_back(service, await service.session(life.unfinished))
        await eventually(delivered)
        told.send(Recovered(ended))

        session = await service.create(
            [Person("Lena", "therapist"), Person("Maya", "client")],
            title="Session",
            starts_at=clock.now(),
            length=timedelta(minutes=60),
        )
        for one in session.invited:
            await service.join(session.id, one.id)
            world.silences[one.id] = 0.0
            service.media_changed(session.id, one.id, "connected")
        await service.settle()
        await eventually(delivered)
        tasks.create_task(_observe(service))
        _arm(life.failpoint)
        told.send(Clicked(session.id))
        told.send(Acked(await _come_back(service, session)))
        await eventually(delivered)
        told.send(Done())
        await asyncio.Event().wait()


async def _come_back(service: SessionService, session: Session) -> Ended:
    """The therapist's page: joins and ends, or hears that it is over."""
    try:
        seat = (await service.join(session.id, therapist(session))).seat
    except SessionOver as over:
        return over.ended
    assert seat is not None
    return await service.end(seat)


def therapist(session: Session) -> ParticipantId:
    return next(one.id for one in session.invited if one.role == "therapist")


async def _observe(service: SessionService) -> None:
    while True:
        await service.observe()
        await asyncio.sleep(_OBSERVED_EVERY_S)


def _hooks(directory: Path) -> Hooks:
    async def mail(recorded: Recorded[SessionEnded]) -> None:
        # Its name is the event's id: sent again, it is the same mail.
        written = directory / "mails" / f".{recorded.id}"
        written.write_text(recorded.event.session)
        written.rename(written.with_name(recorded.id))

    hooks = Hooks()
    audit.add_to(hooks)
    for kind in CATALOGUE.values():
        hooks.stored(kind, EFFECT, stores(EFFECT))
    hooks.sent(SessionEnded, "mail", mail)
    return hooks


def _arm(failpoint: str) -> None:
    """Set PLUMM_FAILPOINT, which is read when its module is loaded."""
    os.environ["PLUMM_FAILPOINT"] = failpoint
    importlib.reload(failpoints)
