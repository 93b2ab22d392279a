"""Killed between End's click and the last hook: what was acked is so, and happened once."""

import asyncio
from pathlib import Path

from sqlalchemy import delete, insert, select, update

from rooms import store
from rooms.db.engine import Database
from rooms.db.schema import attendance, deliveries, sessions
from rooms.failpoints import FAILPOINTS
from rooms.vocabulary import SessionId
from tests.kills.effects import OfTestHooks
from tests.kills.findings import Findings
from tests.kills.kills import run
from tests.support.effects import effects

# Each failpoint once, and as often at random.
KILLS = 2 * len(FAILPOINTS)


def test_what_was_acked_is_so_and_every_hook_ran_once(database_url: str, tmp_path: Path) -> None:
    report = run(database_url, tmp_path, KILLS, seed=1)
    assert report.wrong == []
    assert report.killed.total() == KILLS


async def test_what_is_lost_or_twice_is_found(database_url: str, tmp_path: Path) -> None:
    await asyncio.to_thread(run, database_url, tmp_path, 0, 1)
    findings = Findings(database_url, tmp_path, OfTestHooks(tmp_path / "mails"))
    database = await Database.open(database_url)
    async with database.transaction() as connection:
        found = await connection.execute(select(sessions.c.id))
        session = SessionId(found.scalars().first() or "")
        before = await store.load(connection, session)
    assert before is not None
    answer = before.ended
    assert await findings.of_session(session, answer) == []
    async with database.transaction() as connection:
        await connection.execute(insert(effects).values(event_id="none", hook="effect"))
        await connection.execute(update(deliveries).values(state="parked"))
        await connection.execute(delete(attendance))
    (tmp_path / "mails" / "none").touch()
    assert await findings.of_all() == [
        "22 deliveries left, not 0",
        "11 effects, not 10",
        "3 mails, not 2",
    ]
    assert await findings.of_session(session, answer) == [
        f"session {session}: the receipt is of another attendance"
    ]
    async with database.transaction() as connection:
        await connection.execute(delete(effects))
    for mail in (tmp_path / "mails").iterdir():
        mail.unlink()
    assert len(await findings.of_session(session, answer)) == 3
    assert len(await findings.of_session(session, None)) == 1
    await database.close()
