"""Kills a real `plumm serve` while a page's End is under way, and looks at what it left.

All of it is real: the process and its media, two participants with sockets and connections, a
mail server. An End is promised once a page has heard of it, by the answer or by being told.
After each kill the server starts again on the same data: it must have kept what was promised,
and finish what follows from it.
"""

import asyncio
import random
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter
from sqlalchemy import select, update

from rooms import outbox, store
from rooms.db.engine import Database
from rooms.db.migrate import migrate
from rooms.db.schema import deliveries
from rooms.failpoints import FAILPOINTS
from rooms.session import Ended
from rooms.vocabulary import SessionId
from scripts.client.peer import Peer
from signaling.client import RefusedByServer, RoomClient
from tests.kills.effects import OfMail
from tests.kills.findings import Findings, count
from tests.kills.kills import Report
from tests.support.eventually import eventually
from tests.support.mail_server import MailServer
from tests.support.server import Server, Session

_DIES_WITHIN_S: Final = 20.0
_UNHARMED: Final = ""
_AT_RANDOM: Final = "at random"
# What follows from an End: session.ended to the audit log and the summaries, each of the two
# mails that these ask for to the audit log, and the mails themselves.
_STORED_PASSES: Final = 4
_SENT_PASSES: Final = 2
_STORED: Final = ("delivery.taken", "delivery.effect_stored", "delivery.committed")
_SENT: Final = ("delivery.claimed", "delivery.sent")
# Longer than the outbox's claim on what it sends.
_MEANWHILE: Final = timedelta(minutes=1)
_ENDED: Final = TypeAdapter(Ended)


async def run(
    database: str, directory: Path, mail_server: MailServer, kills: int, seed: int
) -> Report:
    """Kill so many servers, one after the other, on one empty database.

    directory: their data directory. SQLite's file is plumm.sqlite3 in it, as by default.
    """
    await migrate(database)
    settings = {"PLUMM_SMTP_URL": f"smtp://127.0.0.1:{mail_server.port}"}
    if database.startswith("postgresql"):
        settings["PLUMM_DATABASE_URL"] = database
    with Server(directory, None, **settings) as server:
        mails = OfMail(mail_server)
        lives = _Lives(server, _Data(database), random.Random(seed))
        report = await lives.run(kills, Findings(database, directory, mails))
        report.mails_repeated = mails.repeated
        return report


class _Data:
    """The server's database, opened for each look: a server that starts is alone with it."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def ended(self, session: Session) -> Ended | None:
        """How it ended."""
        async with self._opened() as database, database.reading() as connection:
            stored = await store.load(connection, SessionId(session.session_id))
        return None if stored is None else stored.ended

    async def is_live(self, session: Session) -> None:
        """Wait for it."""
        async with self._opened() as database:

            async def live() -> bool:
                async with database.reading() as connection:
                    stored = await store.load(connection, SessionId(session.session_id))
                return stored is not None and stored.status == "live"

            await eventually(live, "a live session")

    async def is_delivered(self) -> None:
        """Wait until nothing is left to be delivered."""
        async with self._opened() as database:

            async def none_left() -> bool:
                async with database.reading() as connection:
                    left = await outbox.backlog(connection)
                return (left.pending, left.parked) == (0, {})

            await eventually(none_left, "all deliveries done", within=30)

    async def stored_deliveries(self) -> int:
        """How many were made to hooks that store, so far."""
        mail = deliveries.c.hook == "mail"
        done = select(deliveries).where(~mail, deliveries.c.state == "done").subquery()
        async with self._opened() as database, database.reading() as connection:
            return await count(connection, done)

    async def time_passes(self) -> None:
        """All that waits is due: whoever had claimed it is dead, and its claim over."""
        async with self._opened() as database, database.transaction() as connection:
            waiting = await connection.execute(
                select(deliveries.c.event_id, deliveries.c.hook, deliveries.c.due_at).where(
                    deliveries.c.state == "pending"
                )
            )
            for event, hook, due_at in waiting.all():
                await connection.execute(
                    update(deliveries)
                    .where(deliveries.c.event_id == event, deliveries.c.hook == hook)
                    .values(due_at=due_at - _MEANWHILE)
                )

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Database]:
        database = await Database.open(self._url)
        try:
            yield database
        finally:
            await database.close()


class _Lives:
    """Of one server after the other, each with a session of its own to end."""

    def __init__(self, server: Server, data: _Data, chance: random.Random) -> None:
        self._server = server
        self._data = data
        self._chance = chance
        self._report = Report()
        # From the click to the last hook.
        self._window_s = 0.0
        # Deliveries to stored hooks in a server's life before the click.
        self._passed_before = 0

    async def run(self, kills: int, findings: Findings) -> Report:
        accounts = await asyncio.to_thread(self._server.accounts)
        emails = {
            "therapist": None,
            "therapist_email": accounts.therapist.email,
            "client": None,
            "client_email": accounts.client.email,
        }
        # The first shows how long an end takes here, and how much is delivered before it.
        for place in chain([_UNHARMED], islice(self._places(), kills)):
            session = await asyncio.to_thread(lambda: self._server.book(**emails))
            heard = await self._one_life(session, place)
            if any(one != heard[0] for one in heard):
                self._report.wrong.append(f"several answers to one End: {heard}")
            came_back = None if heard else await self._come_back(session)
            await self._data.is_delivered()
            answer = _ENDED.validate_python(heard[0]) if heard else came_back
            self._report.wrong += await findings.of_session(SessionId(session.session_id), answer)
            if place:
                name = place.partition(":")[0]
                self._report.killed[f"{name}, {'after' if heard else 'before'} the ack"] += 1
        self._report.wrong += await findings.of_all()
        return self._report

    def _places(self) -> Iterator[str]:
        while True:
            for name in FAILPOINTS:
                passes = 1
                if name in _STORED:
                    passes = self._passed_before + self._chance.randint(1, _STORED_PASSES)
                elif name in _SENT:
                    passes = self._chance.randint(1, _SENT_PASSES)
                yield f"{name}:{passes}"
            yield from repeat(_AT_RANDOM, len(FAILPOINTS))

    async def _one_life(self, session: Session, place: str) -> list[dict[str, Any]]:
        """A server that dies at this place, and the next that does not; what the pages heard."""
        await self._data.is_delivered()
        self._server.kill()
        before = await self._data.stored_deliveries()
        await self._start(failpoint="" if place == _AT_RANDOM else place)
        heard: list[dict[str, Any]] = []
        pages = [Peer(session.therapist_url), Peer(session.client_url)]
        try:
            for page in pages:
                page.room.on("session:ended", heard.append)
                await page.join()
                await page.connect()
            await self._data.is_live(session)
            await self._data.is_delivered()
            passed = await self._data.stored_deliveries() - before
            if place == _UNHARMED:
                self._passed_before = passed
            elif passed != self._passed_before:
                self._report.wrong.append(f"{passed} deliveries before the click, killed {place}")
            heard += await self._click(pages[0].room, place)
        finally:
            for page in pages:
                await page.close()
        self._server.kill()
        await self._data.time_passes()
        await self._start()
        return heard

    async def _click(self, therapist: RoomClient, place: str) -> list[dict[str, Any]]:
        """End session; the answer, if there is one before the server is dead."""
        gone = asyncio.Event()
        therapist.on("disconnect", lambda _: gone.set())
        clicked_at = time.monotonic()
        end = asyncio.create_task(therapist.request("session:end", {}))
        if place == _UNHARMED:
            await end
            await self._data.is_delivered()
            self._window_s = time.monotonic() - clicked_at
            return [end.result()]
        if place == _AT_RANDOM:
            # Most of them soon: an End is stored and answered at the very beginning.
            await asyncio.sleep(self._window_s * self._chance.random() ** 3)
            self._server.kill()
        assert self._server.process is not None
        try:
            await asyncio.to_thread(self._server.process.wait, _DIES_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._report.wrong.append(f"a server passed {place} and lived")
            self._server.kill()
        # What came is heard before its socket is seen to be closed.
        await gone.wait()
        await asyncio.sleep(0)
        end.cancel()
        with suppress(asyncio.CancelledError, ConnectionError):
            return [await end]
        return []

    async def _come_back(self, session: Session) -> Ended | None:
        """The therapist's page, which heard nothing: ends it now, or hears that it is over."""
        page = RoomClient(session.therapist_url)
        try:
            await page.connect()
            return _ENDED.validate_python(await page.request("session:end", {}))
        except RefusedByServer as refused:
            if refused.code != "session.ended":
                self._report.wrong.append(f"came back and was refused: {refused.code}")
        finally:
            await page.close()
        return await self._data.ended(session)

    async def _start(self, failpoint: str = "") -> None:
        # On a thread: the mail server is on this loop.
        await asyncio.to_thread(self._server.start, PLUMM_FAILPOINT=failpoint)
