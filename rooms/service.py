"""The sessions of this process: applies the life cycle, one transaction a command.

A session in use is a room in memory, loaded when it is first asked for. Its commands go through
one lane, in their order: each is worked out from the room's state, stored where it outlives the
process, and only then carried out, effects in the order the life cycle gave them; media is
closed before anyone is told. Whoever else changed the session meanwhile wins, and the command
is worked out again. Owned by the event loop. Commands raise what `rooms.lifecycle` raises,
SessionUnknown, and StorageFailed; then nothing has changed.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

import structlog
from prometheus_client.registry import Collector

from rooms import lifecycle, outbox, store
from rooms.attendance import Attendance, Interval, Kind
from rooms.db.engine import Database, StorageFailed
from rooms.errors import RoomsError, SessionUnknown
from rooms.events import SessionScheduled
from rooms.failpoints import failpoint
from rooms.hooks import Hooks
from rooms.lifecycle import OVERTIME
from rooms.measures import Command, Measures
from rooms.ports import Audience, Clock, MediaPlane, Notary
from rooms.session import (
    LINKS_OUTLIVE_SESSION,
    Admitted,
    Change,
    Closed,
    Ended,
    ForwardingSet,
    Invitation,
    ParticipantRemoved,
    RoomChanged,
    Seat,
    Session,
)
from rooms.snapshot import RoomState, room_state
from rooms.vocabulary import Media, ParticipantId, Quality, Role, SessionId, Status, UserId

log = structlog.get_logger(__name__)

# A room with nobody in it stays at hand for this long: people come back.
_KEPT_S: Final = 60.0
_CONFLICTS_MAX: Final = 3
# Looked at in one turn of the loop, 2 ms, and stored in one transaction, 3 ms.
_ROOMS_AT_ONCE: Final = 100

Decision = Callable[[Session], Change]


@dataclass(frozen=True, slots=True)
class Person:
    """One to be invited. user: whose account it is, None for a guest."""

    name: str
    role: Role
    user: UserId | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """What one who joined is told. seat: None for one who waits to be admitted."""

    seat: Seat | None
    session: Session
    state: RoomState


@dataclass(slots=True, eq=False)
class _Room:
    """A session in memory. used_at: when it was last asked for, on the monotonic clock."""

    session: Session
    attendance: Attendance
    used_at: float
    lane: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def overlap_s(self) -> int:
        roles = {one.id: one.role for one in self.session.invited}
        return self.attendance.overlap_s(roles)


class SessionService:
    """All sessions. committed: called after each transaction that stored events."""

    def __init__(
        self,
        clock: Clock,
        database: Database,
        hooks: Hooks,
        media: MediaPlane,
        audience: Audience,
        notary: Notary,
        *,
        max_participants: int,
        overtime: timedelta = OVERTIME,
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._database = database
        self._hooks = hooks
        self._media = media
        self._audience = audience
        self._notary = notary
        self._max_participants = max_participants
        self._overtime = overtime
        self._committed = committed
        self._rooms: dict[SessionId, _Room] = {}
        self._news: set[asyncio.Task[None]] = set()
        self._measures = Measures(self._statuses)

    @property
    def metrics(self) -> Sequence[Collector]:
        """What its sessions did, and how many there are."""
        return self._measures.metrics

    # Sessions

    async def create(
        self,
        people: Sequence[Person],
        *,
        title: str,
        starts_at: datetime,
        length: timedelta,
        links_outlive: timedelta = LINKS_OUTLIVE_SESSION,
        waiting_room: bool = False,
        by: UserId | None = None,
    ) -> Session:
        """Schedule a session for these people."""
        invited = [
            Invitation(ParticipantId(secrets.token_hex(8)), one.name, one.role, one.user)
            for one in people
        ]
        ends_at = starts_at + length
        session = Session(
            id=SessionId(secrets.token_hex(8)),
            title=title,
            starts_at=starts_at,
            ends_at=ends_at,
            links_until=ends_at + links_outlive,
            invitations=MappingProxyType({one.id: one for one in invited}),
            max_participants=self._max_participants,
            waiting_room=waiting_room,
        )
        async with self._database.transaction() as connection:
            await store.add(connection, session)
            event = SessionScheduled(session.id, by)
            await outbox.append(connection, self._hooks, [event], self._clock.now())
        self._committed()
        return session

    async def session(self, session: SessionId) -> Session:
        """The session as it is now."""
        return (await self._room(session)).session

    async def sessions_of(self, user: UserId, since: datetime) -> list[Session]:
        """The sessions a user is invited to: those not over, and those that ended after `since`."""
        async with self._database.reading() as connection:
            return await store.of_user(connection, user, since)

    async def attendance(self, of: Sequence[SessionId]) -> dict[SessionId, list[Interval]]:
        """The stored attendance of each of these sessions."""
        async with self._database.reading() as connection:
            return await store.intervals(connection, of)

    async def receipt(self, session: SessionId) -> str | None:
        """The signed receipt of the session's end, None before it."""
        async with self._database.reading() as connection:
            return await store.receipt(connection, session)

    # Coming and going

    async def invitation(self, session: SessionId, participant: ParticipantId) -> Invitation:
        """Whether the participant may come in now, and as whom."""
        return lifecycle.invitation(await self.session(session), participant, self._clock.now())

    def knows(self, session: SessionId, participant: ParticipantId) -> bool:
        """Of a session in use: whether the participant is in the room, was before, waits at its
        door, or was let in by the therapist."""
        room = self._in_use(session)
        return (
            participant in room.session.present
            or room.attendance.knows(participant)
            or participant in room.session.waiting
            or room.session.invitations[participant].admitted
        )

    def check(self, seat: Seat) -> None:
        """Raise unless the seat is the participant's present one."""
        lifecycle.presence(self._in_use(seat.session).session, seat)

    def state(self, session: SessionId) -> RoomState:
        """What members see now, of a session in use."""
        return room_state(self._in_use(session).session)

    async def join(self, session: SessionId, participant: ParticipantId) -> Joined:
        """Bring a participant in, or let it wait; its earlier seat, if any, is replaced."""
        seat: Seat | None = None

        def decide(now_is: Session) -> Change:
            nonlocal seat
            change, seat = lifecycle.join(now_is, participant, self._clock.now())
            return change

        change = await self._command("join", session, decide)
        return Joined(seat, change.session, room_state(change.session))

    async def admit(self, seat: Seat, participant: ParticipantId) -> None:
        """Let a waiting client in."""
        await self._command(
            "admit", seat.session, lambda now_is: lifecycle.admit(now_is, seat, participant)
        )

    def stop_waiting(self, session: SessionId, participant: ParticipantId) -> None:
        """One who waited is gone."""
        self._hear(
            "stop_waiting", session, lambda now_is: lifecycle.stop_waiting(now_is, participant)
        )

    async def leave(self, seat: Seat) -> None:
        """Let a participant go; its media is closed on return."""
        await self._command("leave", seat.session, lambda now_is: lifecycle.leave(now_is, seat))

    def lose_socket(self, seat: Seat, heard_s: float) -> None:
        """The seat's socket is gone, last heard so long ago; `expire` removes who stays away."""
        now = self._clock.now()
        room = self._rooms.get(seat.session)
        if room is None:
            return

        def decide(now_is: Session) -> Change:
            change = lifecycle.lose_socket(now_is, seat, now)
            # Not before: once the session is over, what is signed is all that was seen.
            room.attendance.seen(seat.participant, "socket", now - timedelta(seconds=heard_s))
            return change

        self._hear("lose_socket", seat.session, decide)

    async def set_state(
        self,
        seat: Seat,
        *,
        microphone: bool | None = None,
        camera: bool | None = None,
        screen: bool | None = None,
        fullscreen: bool | None = None,
    ) -> int:
        """Switch what is given, enforced by the media plane on return. The room's version."""
        change = await self._command(
            "set_state",
            seat.session,
            lambda now_is: lifecycle.set_state(
                now_is,
                seat,
                self._clock.now(),
                microphone=microphone,
                camera=camera,
                screen=screen,
                fullscreen=fullscreen,
            ),
        )
        return change.session.version

    # The end

    async def end(self, seat: Seat) -> Ended:
        """End the session; again gives the same answer and does nothing."""
        room = await self._room(seat.session)
        return await self._end(
            "end",
            room,
            lambda now_is: lifecycle.end(now_is, seat, self._clock.now(), room.overlap_s),
        )

    async def end_by_admin(self, session: SessionId) -> Ended:
        """End the session from outside; again gives the same answer and does nothing."""
        room = await self._room(session)
        return await self._end(
            "end_by_admin",
            room,
            lambda now_is: lifecycle.end_by_admin(now_is, self._clock.now(), room.overlap_s),
        )

    async def confirm(self, session: SessionId, user: UserId) -> Session:
        """The therapist says that a session that timed out took place; again does nothing."""
        change = await self._command(
            "confirm",
            session,
            lambda now_is: lifecycle.confirm(now_is, user, self._clock.now()),
        )
        return change.session

    async def _end(self, command: Command, room: _Room, decide: Decision) -> Ended:
        change = await self._run(command, room, decide)
        assert change.session.ended is not None
        return change.session.ended

    # News of the media plane. It may come late, so nothing unknown is an error.

    def media_changed(self, session: SessionId, participant: ParticipantId, media: Media) -> None:
        """What became of a participant's connection."""
        self._hear(
            "media_changed",
            session,
            lambda now_is: lifecycle.media_changed(now_is, participant, media, self._clock.now()),
        )

    def quality_changed(
        self, session: SessionId, participant: ParticipantId, quality: Quality | None
    ) -> None:
        """How good a connection is."""
        self._hear(
            "quality_changed",
            session,
            lambda now_is: lifecycle.quality_changed(
                now_is, participant, quality, self._clock.now()
            ),
        )

    def speaker_changed(self, session: SessionId, speaker: ParticipantId | None) -> None:
        """Whom the media plane hears."""
        self._hear(
            "speaker_changed", session, lambda now_is: lifecycle.speaker_changed(now_is, speaker)
        )

    # What time brings about

    async def expire(self) -> None:
        """Do what is due by now in all rooms. To be called about once a second. O(rooms)."""
        now = self._clock.now()
        for room in list(self._rooms.values()):
            if room.session.ended is None:
                await self._expire(room, now)
            self._forget_unused(room)

    async def end_forgotten(self) -> None:
        """End the sessions that nobody came to any more. O(those)."""
        now = self._clock.now()
        async with self._database.reading() as connection:
            due = await store.due(connection, now)
        for session in due:
            await self._expire(await self._room(session), now)

    async def observe(self) -> None:
        """Note who is there and store it. To be called about once a second. O(rooms).

        Some rooms at a time: what else there is to do, and to store, does not wait for all.
        """
        for rooms in _some_at_a_time(list(self._rooms.values())):
            for room in rooms:
                if not room.lane.locked():  # its command looks; what it signs must not grow
                    self._look(room)
            await asyncio.sleep(0)
        unsaved = [room for room in self._rooms.values() if not room.attendance.saved]
        for rooms in _some_at_a_time(unsaved):
            await self._store_attendance(rooms)

    async def settle(self) -> None:
        """Wait until the news that was heard is worked in."""
        while self._news:
            await asyncio.wait(self._news)

    async def _store_attendance(self, rooms: Sequence[_Room]) -> None:
        taken = [(room, room.attendance.take_unsaved()) for room in rooms]
        try:
            async with self._database.transaction() as connection:
                await store.save_intervals(
                    connection, [(room.session.id, stay) for room, stays in taken for stay in stays]
                )
        except BaseException:
            for room, stays in taken:
                room.attendance.put_back(stays)
            raise

    async def _expire(self, room: _Room, now: datetime) -> None:
        if lifecycle.expire(room.session, now, self._overtime).session is room.session:
            return  # nothing is due, as nearly always: no lane, no look

        def decide(now_is: Session) -> Change:
            overlap_s = room.overlap_s if now >= now_is.ends_at else 0
            return lifecycle.expire(now_is, now, self._overtime, overlap_s)

        try:
            await self._run("expire", room, decide)
        except StorageFailed as failure:  # it is tried again
            log.error("expiry.failed", session=room.session.id, reason=failure.reason)

    def _forget_unused(self, room: _Room) -> None:
        used = room.session.present or room.session.waiting or room.lane.locked()
        if not used and room.attendance.saved and self._clock.monotonic() - room.used_at >= _KEPT_S:
            del self._rooms[room.session.id]

    def _look(self, room: _Room) -> None:
        """Note the last signs of those in the room."""
        session, now = room.session, self._clock.now()
        signs: dict[Kind, Mapping[str, float]] = {
            "media": self._media.heard(session.id),
            "socket": self._audience.heard(session.id),
        }
        for kind, silences in signs.items():
            for participant, silence_s in silences.items():
                if participant in session.present:
                    at = now - timedelta(seconds=silence_s)
                    room.attendance.seen(ParticipantId(participant), kind, at)

    # One command

    def _hear(self, command: Command, session: SessionId, decide: Decision) -> None:
        """Work in news, in its order, if the session is in use."""
        room = self._rooms.get(session)
        if room is None:
            return
        task = asyncio.get_running_loop().create_task(self._work_in(command, room, decide))
        self._news.add(task)
        task.add_done_callback(self._news.discard)

    async def _work_in(self, command: Command, room: _Room, decide: Decision) -> None:
        try:
            await self._run(command, room, decide)
        except RoomsError:
            pass  # it came too late: replaced, left or over
        except Exception as failure:
            log.error("news.failed", error_id=secrets.token_hex(4), exc_info=failure)

    async def _command(self, command: Command, session: SessionId, decide: Decision) -> Change:
        return await self._run(command, await self._room(session), decide)

    async def _run(self, command: Command, room: _Room, decide: Decision) -> Change:
        """Work a command out, store it where it is to be stored, and carry it out."""
        with self._measures.counted(command):
            async with room.lane:
                room.used_at = self._clock.monotonic()
                self._look(room)
                for _ in range(_CONFLICTS_MAX):
                    change = decide(room.session)
                    if change.session.incarnation == room.session.incarnation:
                        break
                    try:
                        await self._store(room, change)
                        break
                    except store.Conflict:
                        await self._reload(room)
                else:
                    raise StorageFailed("others kept changing the session")
                self._carry_out(room, change)
                return change

    async def _store(self, room: _Room, change: Change) -> None:
        ended = change.session.ended if room.session.ended is None else None
        ending = ended is not None
        if ending:
            failpoint("end.before_transaction")
        stays = unsaved = room.attendance.take_unsaved()
        receipt = None
        if change.session.ended != room.session.ended:  # it ended, or was confirmed
            # All of them: some may be on their way in a transaction that fails.
            stays = room.attendance.intervals
            receipt = self._notary.receipt(change.session, stays)
        try:
            async with self._database.transaction() as connection:
                await store.save(connection, room.session, change.session, receipt)
                if ending:
                    failpoint("end.state_stored")
                await store.save_intervals(connection, [(room.session.id, one) for one in stays])
                await outbox.append(connection, self._hooks, change.events, self._clock.now())
                if ending:
                    failpoint("end.event_stored")
        except BaseException:
            room.attendance.put_back(unsaved)
            raise
        if ended is not None:
            failpoint("end.committed")
            self._measures.ended(ended)
        self._committed()

    async def _reload(self, room: _Room) -> None:
        """Take over what somebody else stored; who is in the room is known here alone."""
        async with self._database.reading() as connection:
            stored = await store.load(connection, room.session.id)
        if stored is None:
            raise SessionUnknown(room.session.id)
        before = room.session
        if stored.ended is not None:
            self._carry_out(room, Change(stored, (Closed(stored.ended),)))
        else:
            room.session = replace(
                stored,
                version=max(stored.version, before.version) + 1,
                present=before.present,
                waiting=before.waiting,
                speaker=before.speaker,
            )

    def _carry_out(self, room: _Room, change: Change) -> None:
        session = room.session = change.session
        for effect in change.effects:
            match effect:
                case ForwardingSet(participant, source, enabled):
                    self._media.set_forwarding(session.id, participant, source, enabled)
                case ParticipantRemoved(participant):
                    self._media.remove_participant(session.id, participant)
                    room.attendance.left(participant)
                case Closed(ended):
                    self._media.close_session(session.id)
                    failpoint("end.media_closed")
                    self._audience.session_ended(session.id, ended)
                    failpoint("end.told")
                case Admitted(participant):
                    self._audience.admitted(session.id, participant)
                case RoomChanged():
                    self._audience.room_changed(session.id, room_state(session))

    async def _room(self, session: SessionId) -> _Room:
        """The session's room, loaded if need be. Raises SessionUnknown."""
        room = self._rooms.get(session)
        if room is None:
            async with self._database.reading() as connection:
                stored = await store.load(connection, session)
                if stored is None:
                    raise SessionUnknown(session)
                earlier = (await store.intervals(connection, [session]))[session]
            # Somebody else may have loaded it meanwhile: there is one room.
            room = self._rooms.setdefault(
                session, _Room(stored, Attendance(earlier), self._clock.monotonic())
            )
        room.used_at = self._clock.monotonic()
        return room

    def _statuses(self) -> Mapping[Status, int]:
        return Counter(room.session.status for room in self._rooms.values())

    def _in_use(self, session: SessionId) -> _Room:
        room = self._rooms.get(session)
        if room is None:
            raise SessionUnknown(session)
        return room


def _some_at_a_time(rooms: Sequence[_Room]) -> Iterator[Sequence[_Room]]:
    for first in range(0, len(rooms), _ROOMS_AT_ONCE):
        yield rooms[first : first + _ROOMS_AT_ONCE]
