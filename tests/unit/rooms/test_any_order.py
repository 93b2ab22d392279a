"""Whatever people, networks, time and crashes do, in any order: a session ends once, for good."""

import asyncio
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Final, Literal, get_args

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, func, insert, select

from rooms import store
from rooms.db.engine import Database, sqlite_url
from rooms.db.migrate import migrate
from rooms.db.schema import events, sessions, users
from rooms.errors import RoomsError, SessionOver
from rooms.events import SessionConfirmed, SessionEnded
from rooms.hooks import Hooks
from rooms.receipt import Notary, presence_hash, verify
from rooms.service import Joined, Person, SessionService
from rooms.session import Ended, Seat, Session
from rooms.snapshot import RoomState
from rooms.vocabulary import Media, ParticipantId, Role, SessionId, UserId
from tests.support.fake_clock import FakeClock
from tests.support.world import World

LENA: Final = UserId("lena")
# One more than the room holds.
PEOPLE: Final[dict[str, Role]] = {"Lena": "therapist", "Maya": "client", "Noor": "client"}
MOST_IN_ROOM: Final = 2
# Around the grace, the end of the hour, its grace, and the overtime.
SECONDS: Final = (0, 1, 7, 29, 30, 600, 3600, 3 * 3600)

Verb = Literal["join", "admit", "leave", "end", "mute", "lose socket", "end by admin", "confirm"]


@dataclass(frozen=True, slots=True)
class Message:
    """Something that arrives. seat: how many joins ago, 0 the newest: it may come late or twice."""

    verb: Verb
    who: str
    seat: int


messages = st.builds(
    Message, st.sampled_from(get_args(Verb)), st.sampled_from(sorted(PEOPLE)), st.integers(0, 2)
)


class Told(World):
    """Remembers the versions that people were told, and what happened after the end."""

    def __init__(self) -> None:
        super().__init__()
        self.versions: list[int] = []

    def room_changed(self, session: SessionId, state: RoomState) -> None:
        super().room_changed(session, state)
        self.versions.append(state.version)


class AnyOrder(RuleBasedStateMachine):
    """One session, and everything that may happen to it."""

    runner: ClassVar[asyncio.Runner]
    database: ClassVar[Database]
    notary: ClassVar[Notary]

    @initialize(waiting_room=st.booleans())
    def book(self, waiting_room: bool) -> None:
        self.clock = FakeClock()
        self.told = Told()
        self.service = self._started()
        self.session = self.runner.run(
            self.service.create(
                [
                    Person("Lena", "therapist", LENA),
                    Person("Maya", "client"),
                    Person("Noor", "client"),
                ],
                title="Session",
                starts_at=self.clock.now(),
                length=timedelta(minutes=60),
                waiting_room=waiting_room,
            )
        )
        self.ids = {one.name: one.id for one in self.session.invited}
        self.seats: dict[str, list[Seat]] = {name: [] for name in PEOPLE}
        self.versions: list[int] = []
        self.incarnation = 0
        self.end: Ended | None = None
        self.told_of_the_end = 0

    # What may happen

    @rule(arriving=st.lists(messages, min_size=1, max_size=4))
    def messages_arrive_at_once(self, arriving: list[Message]) -> None:
        async def all_at_once() -> list[object]:
            return await asyncio.gather(*map(self._handle, arriving), return_exceptions=True)

        for answer in self.runner.run(all_at_once()):
            if isinstance(answer, SessionOver):
                self._is_the_end(answer.ended)
            elif isinstance(answer, BaseException) and not isinstance(answer, RoomsError):
                raise answer

    @rule(who=st.sampled_from(sorted(PEOPLE)), media=st.sampled_from(get_args(Media)))
    def media_changes(self, who: str, media: Media) -> None:
        async def change() -> None:
            self.service.media_changed(self.session.id, self.ids[who], media)
            await self.service.settle()

        self.runner.run(change())
        if media == "connected":
            self.told.silences[self.ids[who]] = 0.0
        else:
            self.told.silences.pop(self.ids[who], None)

    @rule(seconds=st.sampled_from(SECONDS))
    def time_passes(self, seconds: int) -> None:
        async def pass_by() -> None:
            await self.service.observe()
            self.clock.advance(seconds)
            await self.service.observe()
            await self.service.expire()
            await self.service.end_forgotten()

        self.runner.run(pass_by())

    @rule()
    def the_server_is_killed_and_started(self) -> None:
        before = self._now_is()
        self._take_versions()
        self.told = Told()
        self.service = self._started()
        after = self._now_is()
        # Who was there is not known; all else is.
        kept = replace(before, present={}, waiting=(), speaker=None, version=after.version)
        assert after == kept

    @precondition(lambda self: self._is_present("Lena"))
    @rule()
    def the_therapist_ends_it(self) -> None:
        ended = self.runner.run(self.service.end(self.seats["Lena"][-1]))
        self._is_the_end(ended)
        assert (ended.cause, ended.name) == ("therapist", "Lena")

    @precondition(lambda self: self.end is not None)
    @rule(who=st.sampled_from(sorted(PEOPLE)))
    def nobody_gets_in_again(self, who: str) -> None:
        with pytest.raises(SessionOver) as over:
            self.runner.run(self.service.join(self.session.id, self.ids[who]))
        self._is_the_end(over.value.ended)

    # What holds after all of it

    @invariant()
    def it_ended_once_or_not(self) -> None:
        if not hasattr(self, "session"):
            return
        now_is = self._now_is()
        assert len(now_is.present) <= MOST_IN_ROOM
        if now_is.ended is None:
            assert self.end is None, "it was revived"
        else:
            self._is_the_end(now_is.ended)
            assert (now_is.present, now_is.waiting, now_is.speaker) == ({}, (), None)
        assert now_is.incarnation >= self.incarnation
        if now_is.incarnation > self.incarnation:
            self.runner.run(self._compare_stored())
        self.incarnation = now_is.incarnation

    @invariant()
    def versions_only_grow(self) -> None:
        if not hasattr(self, "session"):
            return
        told = [*self.versions, *self.told.versions]
        assert told == sorted(set(told))

    @invariant()
    def nothing_happens_after_the_end(self) -> None:
        if not hasattr(self, "session"):
            return
        story = self.told.story
        if "media closed" in story:
            closed = story.index("media closed")
            assert story[closed + 1 :] == [f"told ended by {self.end and self.end.name}"]

    def teardown(self) -> None:
        async def compare_and_forget() -> None:
            await self.service.observe()
            await self._compare_stored()
            async with self.database.transaction() as connection:
                await connection.execute(delete(sessions))

        if hasattr(self, "session"):
            self.runner.run(compare_and_forget())

    # How

    def _started(self) -> SessionService:
        return SessionService(
            self.clock,
            self.database,
            Hooks(),
            self.told,
            self.told,
            self.notary,
            max_participants=MOST_IN_ROOM,
        )

    def _now_is(self) -> Session:
        return self.runner.run(self.service.session(self.session.id))

    def _is_present(self, who: str) -> bool:
        present = self._now_is().present.get(self.ids[who])
        return present is not None and present.incarnation == self.seats[who][-1].incarnation

    def _is_the_end(self, ended: Ended) -> None:
        if self.end is not None:
            was_confirmed = self.end.confirmed_at or ended.confirmed_at
            assert ended == replace(self.end, confirmed_at=was_confirmed)
        self.end = ended

    def _take_versions(self) -> None:
        self.versions += self.told.versions

    async def _handle(self, message: Message) -> None:
        seats = self.seats[message.who]
        given = Seat(self.session.id, self.ids[message.who], 0)
        seat = seats[max(-len(seats), -1 - message.seat)] if seats else given
        match message.verb:
            case "join":
                joined = await self.service.join(self.session.id, self.ids[message.who])
                self._seat(message.who, joined)
            case "admit":
                await self.service.admit(self._therapists(), self.ids[message.who])
            case "leave":
                await self.service.leave(seat)
            case "end":
                self._is_the_end(await self.service.end(seat))
                assert PEOPLE[message.who] == "therapist"
            case "mute":
                await self.service.set_state(seat, microphone=message.seat == 0)
            case "lose socket":
                self.service.lose_socket(seat, heard_s=message.seat)
                await self.service.settle()
            case "end by admin":
                if message.seat == 2:  # rarely: it makes the rest short
                    self._is_the_end(await self.service.end_by_admin(self.session.id))
            case "confirm":
                confirmed = (await self.service.confirm(self.session.id, LENA)).ended
                assert confirmed is not None
                assert confirmed.cause == "timeout"
                self._is_the_end(confirmed)

    def _therapists(self) -> Seat:
        seats = self.seats["Lena"]
        return seats[-1] if seats else Seat(self.session.id, ParticipantId("nobody"), 0)

    def _seat(self, who: str, joined: Joined) -> None:
        if joined.seat is not None:
            everyones = [seat.incarnation for seats in self.seats.values() for seat in seats]
            assert joined.seat.incarnation not in everyones
            self.seats[who].append(joined.seat)
            self.seats[who].sort(key=lambda seat: seat.incarnation)

    async def _compare_stored(self) -> None:
        async with self.database.reading() as connection:
            stored = await store.load(connection, self.session.id)
            receipt = await store.receipt(connection, self.session.id)
            stays = (await store.intervals(connection, [self.session.id]))[self.session.id]
            counted = await connection.execute(
                select(events.c.type, func.count())
                .where(events.c.session_id == self.session.id)
                .group_by(events.c.type)
            )
            told = {row[0]: row[1] for row in counted}
        assert stored is not None
        assert stored.ended == self.end
        assert told.get(SessionEnded.type, 0) == (self.end is not None)
        confirmed = self.end is not None and self.end.confirmed_at is not None
        assert told.get(SessionConfirmed.type, 0) == confirmed
        if self.end is None:
            assert receipt is None
        else:
            said = verify((receipt or "").encode(), self.notary.public_key)
            assert said["presence_sha256"] == presence_hash(stays)
            assert said["overlap_s"] == self.end.overlap_s


@pytest.fixture
def machine() -> Iterator[type[AnyOrder]]:
    """All runs share one database: each has a session of its own."""
    with tempfile.TemporaryDirectory() as made, asyncio.Runner() as runner:
        url = sqlite_url(Path(made) / "plumm.sqlite3")
        runner.run(migrate(url))
        AnyOrder.runner, AnyOrder.database = runner, runner.run(Database.open(url))
        AnyOrder.notary = Notary(Ed25519PrivateKey.generate())
        runner.run(_add_account(AnyOrder.database))
        yield AnyOrder
        runner.run(AnyOrder.database.close())


async def _add_account(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(
            insert(users).values(
                id=LENA,
                email="lena@example.org",
                name="Lena",
                role="therapist",
                created_at=FakeClock().now(),
            )
        )


def test_a_session_ends_once_whatever_happens_in_whatever_order(machine: type[AnyOrder]) -> None:
    run_state_machine_as_test(machine, settings=settings(deadline=None, stateful_step_count=30))
