"""The service: what it stores, what it tells media and audience, in which order."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from rooms import service as service_module
from rooms import store
from rooms.attendance import Interval
from rooms.db.engine import Database, StorageFailed
from rooms.db.schema import events, sessions, users
from rooms.errors import SeatReplaced, SessionOver, SessionUnknown
from rooms.events import SessionEnded
from rooms.hooks import Hooks
from rooms.lifecycle import GRACE
from rooms.service import Person, SessionService
from rooms.session import Ended, Seat, Session
from rooms.vocabulary import ParticipantId, SessionId, UserId
from tests.support.fake_clock import FakeClock
from tests.support.world import World


class Watch:
    """How often the service said that something was committed."""

    def __init__(self) -> None:
        self.commits = 0

    def committed(self) -> None:
        self.commits += 1


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def hooks() -> Hooks:
    return Hooks()


def started(database: Database, clock: FakeClock, world: World, hooks: Hooks) -> SessionService:
    """A service as a fresh process has it."""
    return SessionService(clock, database, hooks, world, world, world, max_participants=12)


@pytest.fixture
def service(database: Database, clock: FakeClock, world: World, hooks: Hooks) -> SessionService:
    return started(database, clock, world, hooks)


LENA, SOMEBODY = UserId("lena"), UserId("somebody")


@pytest.fixture
async def accounts(database: Database, clock: FakeClock) -> None:
    async with database.transaction() as connection:
        for user in (LENA, SOMEBODY):
            await connection.execute(
                insert(users).values(
                    id=user,
                    email=f"{user}@example.org",
                    name=user,
                    role="therapist",
                    created_at=clock.now(),
                )
            )


async def book(service: SessionService, clock: FakeClock, *, waiting_room: bool = False) -> Session:
    return await service.create(
        [Person("Lena", "therapist"), Person("Maya", "client")],
        title="Session",
        starts_at=clock.now(),
        length=timedelta(minutes=60),
        waiting_room=waiting_room,
    )


@pytest.fixture
async def session(service: SessionService, clock: FakeClock) -> Session:
    return await book(service, clock)


def person(session: Session, name: str) -> ParticipantId:
    return next(one.id for one in session.invited if one.name == name)


async def seated(service: SessionService, session: Session, name: str) -> Seat:
    seat = (await service.join(session.id, person(session, name))).seat
    assert seat is not None
    return seat


async def stored_events(database: Database) -> list[str]:
    async with database.reading() as connection:
        found = await connection.execute(select(events.c.type).order_by(events.c.position))
        return list(found.scalars())


# In the room


async def test_media_is_closed_before_anyone_is_told_of_the_end(
    service: SessionService, session: Session, world: World
) -> None:
    seat = await seated(service, session, "Lena")
    world.story.clear()
    await service.end(seat)
    assert world.story == ["media closed", "told ended by Lena"]


async def test_a_second_end_closes_and_tells_nothing(
    service: SessionService, session: Session, world: World, clock: FakeClock
) -> None:
    seat = await seated(service, session, "Lena")
    first = await service.end(seat)
    world.story.clear()
    clock.advance(5)
    assert await service.end(seat) == first
    assert world.story == []


async def test_news_from_media_that_comes_while_it_is_closed_finds_an_ended_session(
    service: SessionService, session: Session, world: World
) -> None:
    maya = person(session, "Maya")
    seat = await seated(service, session, "Lena")
    await service.join(session.id, maya)
    world.on_close = lambda: service.media_changed(session.id, maya, "lost")
    world.story.clear()
    await service.end(seat)
    await service.settle()
    assert world.story == ["media closed", "told ended by Lena"]


async def test_a_mute_is_enforced_before_it_is_told(
    service: SessionService, session: Session, world: World
) -> None:
    seat = await seated(service, session, "Maya")
    world.story.clear()
    version = await service.set_state(seat, microphone=False)
    assert world.story == ["microphone off", "told of 1, 0 waiting"]
    assert service.state(session.id).version == version


async def test_a_stale_seat_is_refused_and_changes_nothing(
    service: SessionService, session: Session, world: World
) -> None:
    stale = await seated(service, session, "Maya")
    await seated(service, session, "Maya")
    before = service.state(session.id)
    world.story.clear()
    with pytest.raises(SeatReplaced):
        await service.leave(stale)
    with pytest.raises(SeatReplaced):
        service.check(stale)
    service.lose_socket(stale, 0)
    await service.settle()
    assert service.state(session.id) == before
    assert world.story == []


async def test_one_who_stays_away_is_removed_when_time_is_looked_at(
    service: SessionService, session: Session, world: World, clock: FakeClock
) -> None:
    service.lose_socket(await seated(service, session, "Maya"), 0)
    await service.settle()
    clock.advance(GRACE.total_seconds())
    world.story.clear()
    await service.expire()
    assert world.story == ["media removed", "told of 0, 0 waiting"]


async def test_a_client_who_is_to_be_admitted_has_no_seat_until_then(
    service: SessionService, clock: FakeClock, world: World
) -> None:
    session = await book(service, clock, waiting_room=True)
    lena = await seated(service, session, "Lena")
    maya = person(session, "Maya")
    assert (await service.join(session.id, maya)).seat is None
    assert world.story[-1] == "told of 1, 1 waiting"
    await service.admit(lena, maya)
    assert world.story[-2:] == ["told admitted", "told of 1, 0 waiting"]
    assert (await service.join(session.id, maya)).seat is not None


async def test_one_who_waited_and_went_is_not_shown_as_waiting(
    service: SessionService, clock: FakeClock
) -> None:
    session = await book(service, clock, waiting_room=True)
    maya = person(session, "Maya")
    await service.join(session.id, maya)
    service.stop_waiting(session.id, maya)
    await service.settle()
    assert service.state(session.id).waiting == ()


async def test_news_of_a_session_that_is_not_in_use_is_no_error(service: SessionService) -> None:
    nobody = ParticipantId("nobody")
    service.media_changed(SessionId("nobody"), nobody, "lost")
    service.quality_changed(SessionId("nobody"), nobody, "poor")
    service.speaker_changed(SessionId("nobody"), nobody)
    service.lose_socket(Seat(SessionId("nobody"), nobody, 1), 0)
    await service.settle()


async def test_commands_of_one_session_are_carried_out_in_their_order(
    service: SessionService, session: Session
) -> None:
    maya = person(session, "Maya")
    await service.session(session.id)  # in use from here on
    seats = await asyncio.gather(*(service.join(session.id, maya) for _ in range(5)))
    incarnations = [joined.seat.incarnation for joined in seats if joined.seat is not None]
    assert incarnations == sorted(set(incarnations))
    assert service.state(session.id).participants[0].id == maya


async def test_many_ends_at_once_are_one_end(
    service: SessionService, session: Session, world: World, database: Database
) -> None:
    seat = await seated(service, session, "Lena")
    world.story.clear()
    answers = await asyncio.gather(*(service.end(seat) for _ in range(10)))
    assert len(set(answers)) == 1
    assert world.story == ["media closed", "told ended by Lena"]
    assert (await stored_events(database)).count("session.ended") == 1


# What is stored


async def test_a_whole_life_is_stored_as_its_events(
    service: SessionService, session: Session, database: Database
) -> None:
    lena, maya = await seated(service, session, "Lena"), await seated(service, session, "Maya")
    for seat in (lena, maya):
        service.media_changed(session.id, seat.participant, "connected")
    await service.settle()
    await service.leave(maya)
    await service.end(lena)
    assert await stored_events(database) == [
        "session.scheduled",
        "participant.joined",
        "participant.joined",
        "session.live",
        "participant.left",
        "session.ended",
    ]


async def test_another_process_finds_the_session_as_it_was_left(
    service: SessionService,
    session: Session,
    database: Database,
    clock: FakeClock,
    world: World,
    hooks: Hooks,
) -> None:
    before = await seated(service, session, "Maya")
    version = await service.set_state(before, microphone=False)
    again = started(database, clock, world, hooks)
    found = await again.session(session.id)
    assert (found.status, found.present) == ("open", {})
    assert found.invitations == session.invitations
    after = await seated(again, session, "Maya")
    assert after.incarnation > before.incarnation
    assert again.state(session.id).version > version


async def test_an_end_is_known_to_another_process_with_all_of_its_answer(
    service: SessionService,
    session: Session,
    database: Database,
    clock: FakeClock,
    world: World,
    hooks: Hooks,
) -> None:
    ended = await service.end(await seated(service, session, "Lena"))
    again = started(database, clock, world, hooks)
    assert (await again.session(session.id)).ended == ended
    with pytest.raises(SessionOver):
        await again.join(session.id, person(session, "Maya"))


async def test_who_ended_it_elsewhere_has_ended_it_here(
    service: SessionService,
    session: Session,
    database: Database,
    clock: FakeClock,
    world: World,
    hooks: Hooks,
) -> None:
    here = await seated(service, session, "Lena")
    other = started(database, clock, World(), hooks)
    ended = await other.end_by_admin(session.id)
    world.story.clear()
    assert await service.end(here) == ended
    assert world.story == ["media closed", "told ended by None"]
    assert (await stored_events(database)).count("session.ended") == 1


async def test_a_change_made_elsewhere_is_taken_over_and_nobody_leaves_the_room_for_it(
    service: SessionService, session: Session, database: Database
) -> None:
    await seated(service, session, "Lena")
    async with database.transaction() as connection:
        await connection.execute(
            update(sessions).values(incarnation=sessions.c.incarnation + 5, title="Other")
        )
    version = service.state(session.id).version
    await seated(service, session, "Maya")
    state = service.state(session.id)
    assert [one.name for one in state.participants] == ["Lena", "Maya"]
    assert state.version > version
    assert (await service.session(session.id)).title == "Other"


async def test_a_hook_that_vetoes_the_end_leaves_the_session_as_it_was(
    service: SessionService, session: Session, hooks: Hooks, world: World, database: Database
) -> None:
    class Veto(Exception):
        pass

    async def veto(_connection: object, _event: SessionEnded) -> None:
        raise Veto

    hooks.guard(SessionEnded, veto)
    seat = await seated(service, session, "Lena")
    world.story.clear()
    with pytest.raises(Veto):
        await service.end(seat)
    service.check(seat)
    assert world.story == []
    async with database.reading() as connection:
        stored = await store.load(connection, session.id)
    assert stored is not None
    assert stored.ended is None
    assert "session.ended" not in await stored_events(database)


async def test_a_database_that_fails_changes_nothing_and_the_next_try_does(
    service: SessionService, session: Session, database: Database, world: World
) -> None:
    seat = await seated(service, session, "Lena")
    world.story.clear()
    async with database.transaction() as connection:
        await connection.execute(text("ALTER TABLE events RENAME TO elsewhere"))
    with pytest.raises(StorageFailed):
        await service.end(seat)
    assert world.story == []
    async with database.transaction() as connection:
        await connection.execute(text("ALTER TABLE elsewhere RENAME TO events"))
    assert (await service.end(seat)).cause == "therapist"


async def test_an_unknown_session_is_refused(service: SessionService) -> None:
    with pytest.raises(SessionUnknown):
        await service.join(SessionId("nobody"), ParticipantId("nobody"))
    with pytest.raises(SessionUnknown):
        service.state(SessionId("nobody"))


async def test_whoever_waits_for_events_is_woken_after_the_commit(
    database: Database, clock: FakeClock, world: World
) -> None:
    watch = Watch()
    service = SessionService(
        clock,
        database,
        Hooks(),
        world,
        world,
        world,
        max_participants=12,
        committed=watch.committed,
    )
    session = await book(service, clock)
    await service.end(await seated(service, session, "Lena"))
    assert watch.commits == 3


# What time brings about


async def test_a_room_that_is_not_used_is_forgotten_and_found_again(
    service: SessionService, session: Session, clock: FakeClock
) -> None:
    await service.end(await seated(service, session, "Lena"))
    service.state(session.id)
    clock.advance(61)
    await service.expire()
    with pytest.raises(SessionUnknown):
        service.state(session.id)
    assert (await service.session(session.id)).ended is not None


async def test_a_room_that_everyone_left_is_forgotten_too_and_its_session_goes_on(
    service: SessionService, session: Session, clock: FakeClock
) -> None:
    await service.leave(await seated(service, session, "Lena"))
    for _ in range(61):
        await service.observe()
        await service.expire()
        clock.advance(1)
    await service.expire()
    with pytest.raises(SessionUnknown):
        service.state(session.id)
    assert (await seated(service, session, "Lena")).session == session.id


async def test_a_session_nobody_came_to_is_ended_though_no_room_was_ever_used(
    session: Session,
    database: Database,
    clock: FakeClock,
    world: World,
    hooks: Hooks,
) -> None:
    again = started(database, clock, world, hooks)
    await again.end_forgotten()
    assert (await again.session(session.id)).ended is None
    clock.advance(3600 + GRACE.total_seconds())
    await again.end_forgotten()
    ended = (await again.session(session.id)).ended
    assert ended is not None
    assert ended.cause == "no_show"


async def test_a_restart_past_the_booked_end_times_out_what_was_live(
    service: SessionService,
    session: Session,
    database: Database,
    clock: FakeClock,
    world: World,
    hooks: Hooks,
) -> None:
    for name in ("Lena", "Maya"):
        seat = await seated(service, session, name)
        service.media_changed(session.id, seat.participant, "connected")
    await service.settle()
    clock.advance(3600 + GRACE.total_seconds())
    again = started(database, clock, world, hooks)
    await again.end_forgotten()
    ended = (await again.session(session.id)).ended
    assert ended is not None
    assert ended.cause == "timeout"


# Attendance


async def live(service: SessionService, session: Session, world: World) -> tuple[Seat, Seat]:
    lena, maya = await seated(service, session, "Lena"), await seated(service, session, "Maya")
    for seat in (lena, maya):
        world.silences[seat.participant] = 0.0
        service.media_changed(session.id, seat.participant, "connected")
    await service.settle()
    await service.observe()
    return lena, maya


async def pass_seconds(service: SessionService, clock: FakeClock, seconds: int) -> None:
    for _ in range(seconds):
        clock.advance(1)
        await service.observe()


async def test_the_overlap_is_the_time_that_both_had_media(
    service: SessionService, session: Session, world: World, clock: FakeClock
) -> None:
    lena, maya = await live(service, session, world)
    await pass_seconds(service, clock, 60)
    await service.leave(maya)
    del world.silences[maya.participant]
    await pass_seconds(service, clock, 30)
    ended = await service.end(lena)
    assert (ended.overlap_s, ended.duration_s) == (60, 90)


async def test_one_whose_network_is_cut_is_counted_to_its_last_sign(
    service: SessionService, session: Session, world: World, clock: FakeClock
) -> None:
    lena, maya = await live(service, session, world)
    await pass_seconds(service, clock, 60)
    for second in range(1, 41):
        world.silences[maya.participant] = second
        await pass_seconds(service, clock, 1)
    ended = await service.end(lena)
    assert ended.overlap_s == 60


async def test_a_killed_server_has_counted_to_within_a_second_and_counts_on_after_the_restart(
    service: SessionService,
    session: Session,
    database: Database,
    clock: FakeClock,
    world: World,
    hooks: Hooks,
) -> None:
    await live(service, session, world)
    await pass_seconds(service, clock, 60)
    clock.advance(0.9)  # not observed any more
    clock.advance(5)  # down
    again = started(database, clock, world, hooks)
    lena, _ = await live(again, session, world)
    await pass_seconds(again, clock, 20)
    ended = await again.end(lena)
    assert ended.overlap_s == 80
    async with database.reading() as connection:
        stays = (await store.intervals(connection, [session.id]))[session.id]
    media = [stay for stay in stays if (stay.participant, stay.kind) == (lena.participant, "media")]
    hole = media[1].since - media[0].until
    assert timedelta(seconds=5) <= hole <= timedelta(seconds=6)


async def test_presence_that_could_not_be_stored_is_stored_by_the_next_look(
    service: SessionService, session: Session, world: World, clock: FakeClock, database: Database
) -> None:
    lena, _ = await live(service, session, world)

    async def renamed(old: str, new: str) -> None:
        async with database.transaction() as connection:
            await connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))

    await renamed("attendance", "elsewhere")
    clock.advance(1)
    with pytest.raises(StorageFailed):
        await service.observe()
    await renamed("elsewhere", "attendance")
    await service.observe()
    stays = (await service.attendance([session.id]))[session.id]
    assert max(stay.until for stay in stays) == clock.now()
    assert (await service.end(lena)).overlap_s == 1


async def test_an_end_waits_for_some_rooms_to_be_stored_and_not_for_all(
    service: SessionService, world: World, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "_ROOMS_AT_ONCE", 1)
    seats = [(await live(service, await book(service, clock), world))[0] for _ in range(5)]
    clock.advance(1)
    stored: list[SessionId] = []
    ending: list[asyncio.Task[Ended]] = []
    save_intervals = store.save_intervals

    async def save_and_end(
        connection: AsyncConnection, stays: Sequence[tuple[SessionId, Interval]]
    ) -> None:
        if not ending:
            ending.append(asyncio.create_task(service.end(seats[0])))
            await asyncio.sleep(0)  # it queues
        stored.append(stays[0][0])
        await save_intervals(connection, stays)

    monkeypatch.setattr(store, "save_intervals", save_and_end)
    await service.observe()
    await ending[0]
    assert seats[0].session in stored[1:4]
    assert len(stored) == 6


async def test_what_is_known_of_many_rooms_is_stored_once_whatever_was_stored_before(
    service: SessionService, world: World, clock: FakeClock
) -> None:
    sessions = [await book(service, clock) for _ in range(3)]
    for one in sessions:
        await live(service, one, world)
    await pass_seconds(service, clock, 3)
    attendance = await service.attendance([one.id for one in sessions])
    for stays in attendance.values():
        assert {(stay.kind, stay.until - stay.since) for stay in stays} == {
            ("media", timedelta(seconds=3)),
            ("socket", timedelta(seconds=3)),
        }
        assert len(stays) == 4
        assert {stay.until for stay in stays} == {clock.now()}


async def test_the_receipt_is_stored_with_the_end(
    service: SessionService, session: Session, world: World
) -> None:
    lena, _ = await live(service, session, world)
    assert await service.receipt(session.id) is None
    await service.end(lena)
    assert await service.receipt(session.id) == f"{session.id}: 4 intervals"


async def test_nothing_is_seen_after_what_the_receipt_says(
    service: SessionService, session: Session, world: World, clock: FakeClock
) -> None:
    lena, maya = await live(service, session, world)
    clock.advance(1)
    ending = asyncio.create_task(service.end(lena))
    await asyncio.sleep(0)  # the end is on its way to the database
    clock.advance(0.5)
    service.lose_socket(maya, 0)
    await service.observe()
    await ending
    service.lose_socket(lena, 0)
    await service.settle()
    await service.observe()
    stays = (await service.attendance([session.id]))[session.id]
    assert max(stay.until for stay in stays) == clock.now() - timedelta(seconds=0.5)


# People


@pytest.mark.usefixtures("accounts")
async def test_a_user_finds_the_sessions_that_are_not_over_or_were_lately(
    service: SessionService, clock: FakeClock
) -> None:
    async def booked(user: UserId, hours: int) -> Session:
        return await service.create(
            [Person("Lena", "therapist", user), Person("Maya", "client")],
            title="Session",
            starts_at=clock.now() + timedelta(hours=hours),
            length=timedelta(minutes=60),
        )

    later, sooner = await booked(LENA, 2), await booked(LENA, 1)
    await booked(SOMEBODY, 1)
    over = await booked(LENA, 0)
    await service.end_by_admin(over.id)
    clock.advance(60)

    async def found(since: timedelta) -> list[SessionId]:
        return [one.id for one in await service.sessions_of(LENA, clock.now() - since)]

    assert await found(timedelta(hours=1)) == [over.id, sooner.id, later.id]
    assert await found(timedelta(0)) == [sooner.id, later.id]


@pytest.mark.usefixtures("accounts")
async def test_a_confirmed_session_stays_so_for_everyone(
    service: SessionService, clock: FakeClock, world: World, database: Database, hooks: Hooks
) -> None:
    session = await service.create(
        [Person("Lena", "therapist", LENA), Person("Maya", "client")],
        title="Session",
        starts_at=clock.now(),
        length=timedelta(minutes=60),
    )
    await live(service, session, world)
    clock.advance(4 * 3600)
    await service.expire()
    assert (await service.session(session.id)).confirmable
    first = await service.confirm(session.id, LENA)
    assert first.ended is not None
    assert first.ended.confirmed_at == clock.now()
    again = started(database, clock, world, hooks)
    assert (await again.confirm(session.id, LENA)).ended == first.ended
    assert (await stored_events(database)).count("session.confirmed") == 1
