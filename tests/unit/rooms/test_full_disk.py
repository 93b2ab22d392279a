"""A disk that is full: a coded refusal, nothing half-written, and on it goes once there is room."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from rooms import store
from rooms.db.engine import Database, DatabaseUnusable, StorageFailed, sqlite_url
from rooms.db.migrate import check, migrate
from rooms.db.schema import events
from rooms.hooks import Hooks
from rooms.service import Person, SessionService
from tests.support.fake_clock import FakeClock
from tests.support.world import World


@contextmanager
def full_disk(most_bytes: int) -> Iterator[None]:
    """No file of this process grows past so many bytes (RLIMIT_FSIZE)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("most_bytes", [0, 4096, 40_000])
async def test_a_migration_that_has_no_room_leaves_no_tables(
    tmp_path: Path, most_bytes: int
) -> None:
    url = sqlite_url(tmp_path / "plumm.sqlite3")
    with full_disk(most_bytes), pytest.raises(DatabaseUnusable) as refused:
        await migrate(url)
    assert "\n" not in str(refused.value)
    with pytest.raises(DatabaseUnusable, match="plumm migrate"):
        await check(url)
    assert (await migrate(url))[0] is None


async def test_an_end_that_has_no_room_has_not_happened_and_happens_once_there_is(
    tmp_path: Path,
) -> None:
    file = tmp_path / "plumm.sqlite3"
    await migrate(sqlite_url(file))
    database = await Database.open(sqlite_url(file))
    clock, world = FakeClock(), World()
    service = SessionService(clock, database, Hooks(), world, world, world, max_participants=2)
    session = await service.create(
        [Person("Lena", "therapist"), Person("Maya", "client")],
        title="Session",
        starts_at=clock.now(),
        length=timedelta(minutes=60),
    )
    seat = (await service.join(session.id, session.invited[0].id)).seat
    assert seat is not None
    world.story.clear()
    with full_disk(file.with_name("plumm.sqlite3-wal").stat().st_size):
        with pytest.raises(StorageFailed) as refused:
            await service.end(seat)
        assert refused.value.code == "storage.unavailable"
    assert world.story == []
    service.check(seat)

    async def ends() -> tuple[bool, int]:
        async with database.reading() as connection:
            stored = await store.load(connection, session.id)
            of_end = select(func.count()).where(events.c.type == "session.ended")
            counted = (await connection.execute(of_end)).scalar_one()
        return stored is not None and stored.ended is not None, counted

    assert await ends() == (False, 0)
    assert (await service.end(seat)).cause == "therapist"
    assert await ends() == (True, 1)
    await database.close()
