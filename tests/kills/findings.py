"""What is in the database after a kill and a restart, beside what must be."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import FromClause, Row, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from rooms import audit, store
from rooms.db import schema
from rooms.db.engine import Database
from rooms.db.schema import deliveries, events, sessions
from rooms.events import SessionEnded, from_json
from rooms.receipt import BadReceipt, Notary, presence_hash, verify
from rooms.session import Ended
from rooms.vocabulary import SessionId
from signaling.receipt_key import read_or_make_receipt_key


class Effects(Protocol):
    """What hooks left outside of the product's own tables. Each answer: what is wrong with it."""

    async def of_session(
        self, connection: AsyncConnection, happened: Sequence[Row[Any]], /
    ) -> list[str]:
        """happened: the rows of the session's events; all of its hooks have run."""

    async def of_all(self, connection: AsyncConnection, /) -> list[str]:
        """Of all events together: too much, or without its event."""


class Findings:
    """Looks at one database, and at what hooks did. Every method is one look."""

    def __init__(self, database: str, directory: Path, effects: Effects) -> None:
        self._url = database
        self._effects = effects
        self._key = Notary(read_or_make_receipt_key(directory)).public_key

    async def of_session(self, session: SessionId, answer: Ended | None) -> list[str]:
        """What is wrong with a session that was ended with this answer; all hooks have run."""
        database = await Database.open(self._url)
        try:
            async with database.reading() as connection:
                wrong = await self._of_session(connection, session, answer)
        finally:
            await database.close()
        return [f"session {session}: {one}" for one in wrong]

    async def of_all(self) -> list[str]:
        """What is wrong with everything together: too much, or without its event."""
        database = await Database.open(self._url)
        try:
            async with database.reading() as connection:
                return await self._of_all(connection)
        finally:
            await database.close()

    async def _of_session(
        self, connection: AsyncConnection, session: SessionId, answer: Ended | None
    ) -> list[str]:
        stored = await store.load(connection, session)
        if stored is None or stored.ended is None or stored.ended != answer:
            return [f"answered {answer}, stored {stored and stored.ended}"]
        wrong = []
        stays = (await store.intervals(connection, [session]))[session]
        receipt = await store.receipt(connection, session) or ""
        try:
            if verify(receipt.encode(), self._key)["presence_sha256"] != presence_hash(stays):
                wrong.append("the receipt is of another attendance")
        except BadReceipt as bad:
            wrong.append(str(bad))
        found = await connection.execute(select(events).where(events.c.session_id == session))
        happened = found.all()
        told = [from_json(one.type, one.data) for one in happened if one.type == SessionEnded.type]
        if [getattr(one, "ended_at", None) for one in told] != [stored.ended.ended_at]:
            wrong.append(f"events of its end: {told}")
        ids = sorted(one.id for one in happened)
        logged = select(schema.audit.c.event_id).where(schema.audit.c.event_id.in_(ids))
        if sorted((await connection.execute(logged)).scalars()) != ids:
            wrong.append(f"audit rows are not one for each of its {len(ids)} events")
        return wrong + await self._effects.of_session(connection, happened)

    async def _of_all(self, connection: AsyncConnection) -> list[str]:
        total = await count(connection, events)
        ended = select(sessions).where(sessions.c.status == "ended").subquery()
        ends = select(events).where(events.c.type == SessionEnded.type).subquery()
        undone = select(deliveries).where(deliveries.c.state != "done").subquery()
        wrong = differing(
            ("ends", await count(connection, ends), await count(connection, ended)),
            ("deliveries left", await count(connection, undone), 0),
        )
        try:
            rows, _ = await audit.verify(connection)
            wrong += differing(("audit rows", rows, total))
        except audit.BrokenChain as broken:
            wrong.append(str(broken))
        if connection.dialect.name == "sqlite":
            whole = (await connection.execute(text("PRAGMA integrity_check"))).scalar_one()
            if whole != "ok":
                wrong.append(f"the file is damaged: {whole}")
        return wrong + await self._effects.of_all(connection)


async def count(connection: AsyncConnection, of: FromClause) -> int:
    """How many rows."""
    counted = await connection.execute(select(func.count()).select_from(of))
    return counted.scalar_one()


def differing(*numbers: tuple[str, int, int]) -> list[str]:
    """Of (what, how many, how many there should be): those that differ, in words."""
    return [
        f"{found} {what}, not {expected}" for what, found, expected in numbers if found != expected
    ]
