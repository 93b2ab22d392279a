"""Transactions on both databases, and what is asserted of SQLite."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text

from rooms.db.engine import Database, StorageFailed, sqlite_url
from rooms.db.migrate import migrate
from rooms.db.schema import users
from tests.support.postgres import Postgres

_AT = datetime(2026, 11, 24, 10, 0, 0, 250_000, tzinfo=UTC)


def _user(number: int) -> dict[str, object]:
    return {
        "id": f"u{number}",
        "email": f"{number}@example.org",
        "name": "Maya",
        "role": "client",
        "created_at": _AT,
    }


async def _write(database: Database, *rows: dict[str, object]) -> None:
    async with database.transaction() as connection:
        for row in rows:
            await connection.execute(insert(users).values(row))


async def _count(database: Database) -> int:
    async with database.reading() as connection:
        found: int = (
            await connection.execute(select(func.count()).select_from(users))
        ).scalar_one()
        return found


async def test_what_is_committed_is_there(database: Database) -> None:
    await _write(database, _user(1))
    assert await _count(database) == 1


async def test_what_raises_is_rolled_back(database: Database) -> None:
    with pytest.raises(StorageFailed):
        await _write(database, _user(1), _user(2), _user(1))
    assert await _count(database) == 0


async def test_a_cancelled_transaction_is_rolled_back(database: Database) -> None:
    async def never_ends() -> None:
        async with database.transaction() as connection:
            await connection.execute(insert(users).values(_user(1)))
            inserted.set()
            await asyncio.Event().wait()

    inserted = asyncio.Event()
    task = asyncio.create_task(never_ends())
    await inserted.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await _count(database) == 0


async def test_many_writers_at_once_all_get_through(database: Database) -> None:
    async def write(number: int) -> None:
        async with database.transaction() as connection:
            before = (
                await connection.execute(select(func.count()).select_from(users))
            ).scalar_one()
            assert before >= 0
            await connection.execute(insert(users).values(_user(number)))

    await asyncio.gather(*(write(number) for number in range(40)))
    assert await _count(database) == 40


async def test_reading_does_not_wait_for_a_writer(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(insert(users).values(_user(1)))
        assert await asyncio.wait_for(_count(database), 2) == 0


async def test_an_instant_comes_back_as_the_same_instant_in_utc(database: Database) -> None:
    local = _AT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    await _write(database, _user(1) | {"created_at": local})
    async with database.reading() as connection:
        found = (await connection.execute(select(users.c.created_at))).scalar_one()
    assert found == _AT
    assert found.tzinfo is UTC


async def test_a_naive_datetime_is_our_mistake(database: Database) -> None:
    naive = _AT.replace(tzinfo=None)
    with pytest.raises(StorageFailed, match="zone"):
        await _write(database, _user(1) | {"created_at": naive})


async def test_the_databases_own_refusal_is_ours_and_tells_no_values(database: Database) -> None:
    await _write(database, _user(1))
    with pytest.raises(StorageFailed) as refused:
        await _write(database, _user(1))
    assert "Maya" not in str(refused.value)
    assert "Maya" not in str(refused.value.__cause__)


async def test_sqlite_is_durable_and_checks_its_keys(tmp_path: Path) -> None:
    database = await Database.open(sqlite_url(tmp_path / "plumm.sqlite3"))
    async with database.reading() as connection:
        found = [
            (await connection.execute(text(f"PRAGMA {name}"))).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    await database.close()
    assert found == ["wal", 2, 1]


async def test_a_postgresql_that_hangs_is_a_failure_in_seconds_and_works_again_afterwards() -> None:
    with Postgres() as server:
        url = server.new_database()
        await migrate(url)
        database = await Database.open(url)
        await _write(database, _user(1))
        server.hang()
        try:
            with pytest.raises(StorageFailed):
                await asyncio.wait_for(_write(database, _user(2)), 20)
        finally:
            server.go_on()
        await _write(database, _user(3))
        assert await _count(database) == 2
        await database.close()
