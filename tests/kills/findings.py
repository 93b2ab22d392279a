"""What is in the database after a kill and a restart, beside what must be."""

from pathlib import Path

from sqlalchemy import FromClause, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from rooms import audit, store
from rooms.db import schema
from rooms.db.engine import Database
from rooms.db.migrate import migrate
from rooms.db.schema import deliveries, events, sessions
from rooms.events import SessionEnded, from_json
from rooms.receipt import BadReceipt, Notary, presence_hash, verify
from rooms.session import Ended
from rooms.vocabulary import SessionId
from signaling.receipt_key import read_or_make_receipt_key
from tests.support.effects import effects


class Findings:
    """Looks at one database, and at the directory of what was sent. Every method is one look."""

    def __init__(self, database: str, directory: Path) -> None:
        self._url = database
        self._mails = directory / "mails"
        self._key = Notary(read_or_make_receipt_key(directory)).public_key

    async def prepare(self) -> None:
        """Make the tables, and that of the test hook's effects."""
        await migrate(self._url)
        database = await Database.open(self._url)
        async with database.transaction() as connection:
            await connection.run_sync(effects.create)
        await database.close()

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
        ends = [one for one in happened if one.type == SessionEnded.type]
        told = [from_json(one.type, one.data) for one in ends]
        if [getattr(one, "ended_at", None) for one in told] != [stored.ended.ended_at]:
            wrong.append(f"events of its end: {told}")
        ids = sorted(one.id for one in happened)
        for name, table in (("effects", effects), ("audit rows", schema.audit)):
            of = select(table.c.event_id).where(table.c.event_id.in_(ids))
            if sorted((await connection.execute(of)).scalars()) != ids:
                wrong.append(f"{name} are not one for each of its {len(ids)} events")
        wrong += [
            f"no mail of event {one.id}" for one in ends if not (self._mails / one.id).exists()
        ]
        return wrong

    async def _of_all(self, connection: AsyncConnection) -> list[str]:
        async def count(of: FromClause) -> int:
            counted = await connection.execute(select(func.count()).select_from(of))
            return counted.scalar_one()

        total = await count(events)
        ended = await count(select(sessions).where(sessions.c.status == "ended").subquery())
        ends = await count(select(events).where(events.c.type == SessionEnded.type).subquery())
        undone = await count(select(deliveries).where(deliveries.c.state != "done").subquery())
        mails = [one for one in self._mails.iterdir() if not one.name.startswith(".")]
        wrong = [
            f"{found} {what}, not {expected}"
            for what, found, expected in (
                ("effects", await count(effects), total),
                ("ends", ends, ended),
                ("mails", len(mails), ends),
                ("deliveries left", undone, 0),
            )
            if found != expected
        ]
        try:
            rows, _ = await audit.verify(connection)
            if rows != total:
                wrong.append(f"{rows} audit rows, not {total}")
        except audit.BrokenChain as broken:
            wrong.append(str(broken))
        if connection.dialect.name == "sqlite":
            whole = (await connection.execute(text("PRAGMA integrity_check"))).scalar_one()
            if whole != "ok":
                wrong.append(f"the file is damaged: {whole}")
        return wrong
