"""The audit log: who, what, when, in a chain that shows every change."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, text, update

from rooms import audit, outbox
from rooms.audit import BrokenChain
from rooms.db.engine import Database, StorageFailed
from rooms.db.schema import audit as table
from rooms.events import (
    CATALOGUE,
    Event,
    ParticipantJoined,
    SessionEnded,
    SessionScheduled,
    UserAdded,
    UserSignedIn,
)
from rooms.hooks import Hooks
from rooms.outbox import Dispatcher
from rooms.vocabulary import ParticipantId, SessionId, UserId
from tests.support.fake_clock import FakeClock

AT = datetime(2026, 11, 24, 10, 0, 0, 123_456, tzinfo=UTC)
SESSION, LENA = SessionId("s"), ParticipantId("p-lena")
LIFE: list[Event] = [
    UserAdded(UserId("u-lena")),
    UserSignedIn(UserId("u-lena")),
    SessionScheduled(SESSION, UserId("u-lena")),
    ParticipantJoined(SESSION, LENA),
    SessionEnded(SESSION, "therapist", LENA, AT, 2880, 2800),
]


async def log_all(database: Database, events: list[Event] = LIFE) -> None:
    hooks = Hooks()
    audit.add_to(hooks)
    dispatcher = Dispatcher(database, hooks, FakeClock(AT))
    async with database.transaction() as connection:
        await outbox.append(connection, hooks, events, AT)
    assert await dispatcher.store_due() == len(events)


async def verified(database: Database) -> int:
    async with database.reading() as connection:
        count, _ = await audit.verify(connection)
        return count


async def test_every_event_is_logged_with_who_what_and_when(database: Database) -> None:
    await log_all(database)
    async with database.reading() as connection:
        rows = [row async for row in audit.entries(connection)]
    assert [(row.actor, row.action, row.subject) for row in rows] == [
        (None, "user.added", "u-lena"),
        ("u-lena", "user.signed_in", "u-lena"),
        ("u-lena", "session.scheduled", "s"),
        ("p-lena", "participant.joined", "s"),
        ("p-lena", "session.ended", "s"),
    ]
    assert {row.at for row in rows} == {AT}
    assert await verified(database) == len(LIFE)


async def test_an_empty_log_is_whole(database: Database) -> None:
    assert await verified(database) == 0


def test_no_kind_of_event_is_left_out() -> None:
    hooks = Hooks()
    audit.add_to(hooks)
    assert all(audit.HOOK in hooks.names(kind) for kind in CATALOGUE.values())


@pytest.mark.parametrize("change", [update(table).values(action="nothing"), delete(table)])
async def test_the_database_refuses_to_change_or_delete_a_row(
    database: Database, change: object
) -> None:
    await log_all(database)
    with pytest.raises(StorageFailed, match="append-only"):
        async with database.transaction() as connection:
            await connection.execute(change)  # type: ignore[call-overload]
    assert await verified(database) == len(LIFE)


async def open_up(database: Database) -> None:
    """What somebody with all rights over the database could do."""
    async with database.transaction() as connection:
        if connection.dialect.name == "sqlite":
            await connection.execute(text("DROP TRIGGER audit_no_update"))
            await connection.execute(text("DROP TRIGGER audit_no_delete"))
        else:
            await connection.execute(text("DROP TRIGGER audit_append_only ON audit"))


@pytest.mark.parametrize(
    "values",
    [
        {"action": "session.scheduled"},
        {"actor": "somebody"},
        {"actor": None},
        {"subject": "t"},
        {"at": AT + timedelta(microseconds=1)},
        {"event_id": "other"},
        {"hash": bytes(32)},
    ],
)
async def test_a_row_changed_behind_its_back_is_named(
    database: Database, values: dict[str, object]
) -> None:
    await log_all(database)
    await open_up(database)
    async with database.transaction() as connection:
        await connection.execute(update(table).where(table.c.position == 4).values(values))
    with pytest.raises(BrokenChain) as broken:
        await verified(database)
    assert broken.value.position == 4


async def test_a_missing_row_is_named(database: Database) -> None:
    await log_all(database)
    await open_up(database)
    async with database.transaction() as connection:
        await connection.execute(delete(table).where(table.c.position == 2))
    with pytest.raises(BrokenChain) as broken:
        await verified(database)
    assert broken.value.position == 2


async def test_two_dispatchers_at_once_keep_one_chain(
    database: Database, database_url: str
) -> None:
    hooks = Hooks()
    audit.add_to(hooks)
    other = await Database.open(database_url)
    many: list[Event] = [UserSignedIn(UserId(f"u{number}")) for number in range(40)]
    async with database.transaction() as connection:
        await outbox.append(connection, hooks, many, AT)
    clock = FakeClock(AT)
    await asyncio.gather(*(Dispatcher(one, hooks, clock).store_due() for one in (database, other)))
    await other.close()
    assert await verified(database) == len(many)
