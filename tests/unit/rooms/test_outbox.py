"""Events and their deliveries: what is stored together, what happens once, what is tried again."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from rooms import outbox
from rooms.db.engine import Database, StorageFailed
from rooms.db.migrate import migrate
from rooms.db.schema import deliveries, events
from rooms.events import CATALOGUE, Event, Recorded, UserAdded, UserSignedIn, from_json, to_json
from rooms.hooks import Hooks
from rooms.outbox import PARKED_AFTER, Backlog, Dispatcher
from rooms.vocabulary import EventId, UserId
from tests.support.effects import effects, stores
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock
from tests.support.postgres import Postgres

MAYA = UserId("maya")


class Broken(Exception):
    """What a hook raises that fails."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def hooks() -> Hooks:
    return Hooks()


@pytest.fixture
async def dispatcher(database: Database, hooks: Hooks, clock: FakeClock) -> Dispatcher:
    async with database.transaction() as connection:
        await connection.run_sync(effects.create)
    return Dispatcher(database, hooks, clock)


async def happens(
    database: Database, hooks: Hooks, clock: FakeClock, *happened: Event
) -> list[EventId]:
    async with database.transaction() as connection:
        recorded = await outbox.append(connection, hooks, happened, clock.now())
    return [one.id for one in recorded]


async def stored(database: Database) -> list[tuple[str, str]]:
    async with database.reading() as connection:
        found = await connection.execute(
            select(effects.c.event_id, effects.c.hook).order_by(effects.c.id)
        )
        return [(event_id, hook) for event_id, hook in found]


async def states(database: Database) -> dict[str, int]:
    async with database.reading() as connection:
        found = await connection.execute(
            select(deliveries.c.state, func.count()).group_by(deliveries.c.state)
        )
        return {row[0]: row[1] for row in found}


def test_every_event_comes_back_from_its_json_as_it_was() -> None:
    for kind in CATALOGUE.values():
        assert kind.type in CATALOGUE
    event = UserAdded(MAYA, by=UserId("admin"))
    assert from_json(event.type, to_json(event)) == event


def test_an_event_of_an_earlier_version_without_a_newer_field_is_read() -> None:
    assert from_json("user.added", {"user": "maya"}) == UserAdded(MAYA)


async def test_an_event_is_delivered_to_each_of_its_hooks_once(
    database: Database, dispatcher: Dispatcher, hooks: Hooks, clock: FakeClock
) -> None:
    hooks.stored(UserAdded, "first", stores("first"))
    hooks.stored(UserAdded, "second", stores("second"))
    (event_id,) = await happens(database, hooks, clock, UserAdded(MAYA))
    assert await dispatcher.store_due() == 2
    assert await dispatcher.store_due() == 0
    assert sorted(await stored(database)) == [(event_id, "first"), (event_id, "second")]


async def test_an_event_without_hooks_is_stored_all_the_same(
    database: Database, dispatcher: Dispatcher, hooks: Hooks, clock: FakeClock
) -> None:
    await happens(database, hooks, clock, UserSignedIn(MAYA))
    assert await dispatcher.store_due() == 0
    async with database.reading() as connection:
        assert (await connection.execute(select(events.c.type))).scalar_one() == "user.signed_in"


async def test_a_guard_that_raises_leaves_neither_event_nor_delivery(
    database: Database, dispatcher: Dispatcher, hooks: Hooks, clock: FakeClock
) -> None:
    async def veto(_connection: AsyncConnection, _event: UserAdded) -> None:
        raise Broken

    hooks.guard(UserAdded, veto)
    hooks.stored(UserAdded, "first", stores("first"))
    with pytest.raises(Broken):
        await happens(database, hooks, clock, UserSignedIn(MAYA), UserAdded(MAYA))
    async with database.reading() as connection:
        assert (await connection.execute(select(func.count()).select_from(events))).scalar() == 0
    assert await dispatcher.store_due() == 0


async def test_a_hook_that_fails_stores_nothing_and_is_tried_again_later_and_later(
    database: Database, dispatcher: Dispatcher, hooks: Hooks, clock: FakeClock
) -> None:
    tried_at: list[float] = []

    async def fails(connection: AsyncConnection, recorded: Recorded[UserAdded]) -> None:
        tried_at.append(clock.monotonic())
        await connection.execute(insert(effects).values(event_id=recorded.id, hook="fails"))
        raise Broken

    hooks.stored(UserAdded, "fails", fails)
    await happens(database, hooks, clock, UserAdded(MAYA))
    for wait_s in [2**n for n in range(PARKED_AFTER - 1)]:
        await dispatcher.store_due()
        clock.advance(wait_s - 0.1)
        assert await dispatcher.store_due() == 0
        clock.advance(0.1)
    await dispatcher.store_due()
    assert len(tried_at) == PARKED_AFTER
    assert await stored(database) == []
    assert await states(database) == {"parked": 1}


async def test_a_hook_that_hangs_fails_and_what_waited_for_it_goes_on(
    database: Database,
    dispatcher: Dispatcher,
    hooks: Hooks,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "_STORED_WITHIN_S", 0.1)

    async def hangs(connection: AsyncConnection, recorded: Recorded[UserAdded]) -> None:
        await stores("hangs")(connection, recorded)
        await asyncio.Event().wait()

    hooks.stored(UserAdded, "hangs", hangs)
    hooks.stored(UserAdded, "works", stores("works"))
    (event_id,) = await happens(database, hooks, clock, UserAdded(MAYA))
    delivering = asyncio.create_task(dispatcher.store_due())
    await happens(database, hooks, clock, UserSignedIn(MAYA))
    await delivering
    assert await stored(database) == [(event_id, "works")]
    assert await states(database) == {"pending": 1, "done": 1}


async def test_one_that_fails_holds_up_no_other(
    database: Database, dispatcher: Dispatcher, hooks: Hooks, clock: FakeClock
) -> None:
    async def fails(_connection: AsyncConnection, _recorded: Recorded[UserAdded]) -> None:
        raise Broken

    hooks.stored(UserAdded, "fails", fails)
    hooks.stored(UserAdded, "works", stores("works"))
    ids = await happens(database, hooks, clock, UserAdded(MAYA), UserAdded(UserId("noor")))
    await dispatcher.store_due()
    assert await stored(database) == [(event_id, "works") for event_id in ids]


async def test_a_parked_delivery_is_shown_and_retried_by_request(
    database: Database, dispatcher: Dispatcher, hooks: Hooks, clock: FakeClock
) -> None:
    works = False

    async def may_work(connection: AsyncConnection, recorded: Recorded[UserAdded]) -> None:
        if not works:
            raise Broken
        await connection.execute(insert(effects).values(event_id=recorded.id, hook="late"))

    hooks.stored(UserAdded, "late", may_work)
    (event_id,) = await happens(database, hooks, clock, UserAdded(MAYA))
    for _ in range(PARKED_AFTER):
        await dispatcher.store_due()
        clock.advance(3600)
    async with database.reading() as connection:
        (parked,) = await outbox.parked(connection)
        assert await outbox.backlog(connection) == Backlog(0, {"late": 1}, None)
    assert (parked.event_id, parked.type, parked.hook) == (event_id, "user.added", "late")
    assert parked.attempts == PARKED_AFTER
    assert parked.error_id
    works = True
    async with database.transaction() as connection:
        assert await outbox.retry_parked(connection, clock.now()) == 1
    await dispatcher.store_due()
    assert await stored(database) == [(event_id, "late")]


async def test_what_another_version_left_is_parked_and_blocks_nobody(
    database: Database, dispatcher: Dispatcher, hooks: Hooks, clock: FakeClock
) -> None:
    gone = Hooks()
    gone.stored(UserAdded, "removed", stores("removed"))
    await happens(database, gone, clock, UserAdded(MAYA), UserAdded(MAYA))
    async with database.transaction() as connection:
        first = select(func.min(events.c.position)).scalar_subquery()
        await connection.execute(
            update(events).where(events.c.position == first).values(type="of.the_future")
        )
    hooks.stored(UserAdded, "works", stores("works"))
    (event_id,) = await happens(database, hooks, clock, UserAdded(MAYA))
    for _ in range(PARKED_AFTER):
        await dispatcher.store_due()
        clock.advance(3600)
    assert await stored(database) == [(event_id, "works")]
    assert await states(database) == {"done": 1, "parked": 2}


async def test_two_dispatchers_at_once_do_everything_once(
    database: Database, dispatcher: Dispatcher, hooks: Hooks, clock: FakeClock, database_url: str
) -> None:
    hooks.stored(UserAdded, "once", stores("once"))
    ids = await happens(database, hooks, clock, *(UserAdded(MAYA) for _ in range(40)))
    other = await Database.open(database_url)
    await asyncio.gather(dispatcher.store_due(), Dispatcher(other, hooks, clock).store_due())
    await other.close()
    assert sorted(await stored(database)) == sorted((event_id, "once") for event_id in ids)


# Hooks that send


async def test_what_is_sent_holds_up_neither_the_stored_nor_any_transaction(
    database: Database, dispatcher: Dispatcher, hooks: Hooks, clock: FakeClock
) -> None:
    going, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_recorded: Recorded[UserAdded]) -> None:
        going.set()
        await go_on.wait()

    hooks.sent(UserAdded, "mail", slow)
    hooks.stored(UserAdded, "credit", stores("credit"))
    await happens(database, hooks, clock, UserAdded(MAYA))
    running = asyncio.create_task(dispatcher.run())
    await going.wait()
    (later,) = await happens(database, hooks, clock, UserAdded(UserId("noor")))
    dispatcher.wake()

    async def credited() -> bool:
        return (later, "credit") in await stored(database)

    await eventually(credited)
    go_on.set()

    async def all_done() -> bool:
        return await states(database) == {"done": 4}

    await eventually(all_done)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_one_that_died_while_it_sent_is_sent_again_after_its_claim_and_not_before(
    database: Database, dispatcher: Dispatcher, hooks: Hooks, clock: FakeClock
) -> None:
    sent: list[str] = []
    dies = True

    async def mail(recorded: Recorded[UserAdded]) -> None:
        sent.append(recorded.id)
        if dies:
            raise asyncio.CancelledError  # as a process that is killed: nothing more is noted

    hooks.sent(UserAdded, "mail", mail)
    (event_id,) = await happens(database, hooks, clock, UserAdded(MAYA))
    with pytest.raises(asyncio.CancelledError):
        await dispatcher.send_due()
    dies = False
    clock.advance(29)
    assert await dispatcher.send_due() == 0
    clock.advance(2)
    assert await dispatcher.send_due() == 1
    assert sent == [event_id, event_id]
    assert await states(database) == {"done": 1}


async def test_two_dispatchers_at_once_send_once(
    database: Database, dispatcher: Dispatcher, hooks: Hooks, clock: FakeClock, database_url: str
) -> None:
    sent: list[str] = []

    async def mail(recorded: Recorded[UserAdded]) -> None:
        sent.append(recorded.id)

    hooks.sent(UserAdded, "mail", mail)
    ids = await happens(database, hooks, clock, *(UserAdded(MAYA) for _ in range(20)))
    other = await Database.open(database_url)
    await asyncio.gather(dispatcher.send_due(), Dispatcher(other, hooks, clock).send_due())
    await other.close()
    assert sorted(sent) == sorted(ids)


async def test_a_database_that_is_gone_for_a_while_is_tried_again(
    database: Database,
    dispatcher: Dispatcher,
    hooks: Hooks,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hooks.stored(UserAdded, "works", stores("works"))
    (event_id,) = await happens(database, hooks, clock, UserAdded(MAYA))
    asked = 0

    def gone() -> object:
        nonlocal asked
        asked += 1
        raise StorageFailed("gone")

    with monkeypatch.context() as patched:
        patched.setattr(database, "reading", gone)
        running = asyncio.create_task(dispatcher.run())
        await eventually(lambda: asked >= 2)
    dispatcher.wake()

    async def delivered() -> bool:
        return await stored(database) == [(event_id, "works")]

    await eventually(delivered)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_postgresql_that_crashes_and_comes_back_finds_the_dispatcher_at_work(
    hooks: Hooks, clock: FakeClock
) -> None:
    hooks.stored(UserAdded, "works", stores("works"))
    with Postgres() as server:
        url = server.new_database()
        await migrate(url)
        database = await Database.open(url)
        async with database.transaction() as connection:
            await connection.run_sync(effects.create)
        (first,) = await happens(database, hooks, clock, UserAdded(MAYA))
        server.crash()
        with pytest.raises(StorageFailed):
            await stored(database)
        dispatcher = Dispatcher(database, hooks, clock)
        running = asyncio.create_task(dispatcher.run())
        with pytest.raises(StorageFailed):
            await happens(database, hooks, clock, UserAdded(MAYA))
        await asyncio.to_thread(server.start)

        async def delivered() -> bool:
            return await stored(database) == [(first, "works")]

        await eventually(delivered)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await database.close()


def test_a_hook_has_one_name_per_kind_of_event(hooks: Hooks) -> None:
    hooks.stored(UserAdded, "audit", stores("audit"))
    with pytest.raises(ValueError, match="already"):
        hooks.stored(UserAdded, "audit", stores("audit"))


def test_retries_end_a_little_over_an_hour_after_the_first_try() -> None:
    waits = timedelta(seconds=sum(2**n for n in range(PARKED_AFTER - 1)))
    assert timedelta(minutes=30) < waits < timedelta(hours=2)


async def test_a_stop_amid_deliveries_leaves_the_database_to_whoever_comes_next(
    database: Database, dispatcher: Dispatcher, hooks: Hooks, clock: FakeClock
) -> None:
    hooks.stored(UserAdded, "works", stores("works"))
    ids = await happens(database, hooks, clock, *(UserAdded(MAYA) for _ in range(20)))
    running = asyncio.create_task(dispatcher.run())

    async def begun() -> bool:
        return len(await stored(database)) > 0

    await eventually(begun)
    dispatcher.stop()
    await running
    done = await stored(database)
    assert 0 < len(done) < len(ids)
    # At once: no transaction was cut off.
    await asyncio.wait_for(happens(database, hooks, clock, UserSignedIn(MAYA)), 1)
    again = Dispatcher(database, hooks, clock)
    assert await again.store_due() == len(ids) - len(done)
    assert await stored(database) == [(event_id, "works") for event_id in ids]


async def test_a_dispatcher_runs_while_both_lanes_go_on(
    database: Database, dispatcher: Dispatcher, hooks: Hooks, clock: FakeClock
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def hangs(_recorded: Recorded[UserAdded]) -> None:
        begun.set()
        await go_on.wait()

    hooks.sent(UserAdded, "hangs", hangs)
    await happens(database, hooks, clock, UserAdded(MAYA))
    running = asyncio.create_task(dispatcher.run())
    await begun.wait()
    assert dispatcher.running

    clock.advance(61)
    hooks.stored(UserSignedIn, "first", stores("first"))
    await happens(database, hooks, clock, UserSignedIn(MAYA))
    dispatcher.wake()
    await eventually(lambda: stored(database), "one lane goes on")
    assert not dispatcher.running

    go_on.set()
    await eventually(lambda: dispatcher.running, "it goes on")
    dispatcher.stop()
    await running
    clock.advance(61)
    assert not dispatcher.running
