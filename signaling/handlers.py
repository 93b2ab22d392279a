"""What each event of a client does: a table, and one small function an event.

A handler is called with a payload that was read, by a client that was let in; it answers with
the `data` of the ack or raises a refusal. The hub does everything around it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

import structlog

from rooms.db.engine import StorageFailed
from rooms.errors import NotJoined
from rooms.ports import Clock
from rooms.service import SessionService
from rooms.session import Seat
from rooms.vocabulary import ParticipantId
from signaling.admission import AdmissionControl
from signaling.members import Connection, Members
from signaling.protocol import (
    Admission,
    AnswerSaid,
    EndedSaid,
    JoinedSaid,
    NotAdmittedSaid,
    Nothing,
    NothingSaid,
    Offer,
    PayloadType,
    StateChange,
    SyncedSaid,
    VersionSaid,
    ViewChange,
    said,
)
from signaling.turn import IceServers

log = structlog.get_logger(__name__)

Data: TypeAlias = dict[str, Any]


class Negotiated(Protocol):
    """The media plane's answer to an offer."""

    @property
    def sdp(self) -> str: ...
    @property
    def sections(self) -> object: ...


class View(Protocol):
    """One picture on a participant's page, in device pixels."""

    @property
    def participant_id(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...


class Negotiator(Protocol):
    """What the SFU does for one participant's connection. Refuses with `media.errors`."""

    def join(self, session: str, participant: str) -> object:
        """Let a participant's tracks flow from now on; the sections it needs. Idempotent."""

    def sections(self, session: str, participant: str) -> object:
        """The sections a participant needs now."""

    def negotiate(
        self,
        session: str,
        participant: str,
        connection: str,
        seq: int,
        sdp: str,
        sources: Mapping[str, str],
    ) -> Negotiated:
        """Answer one offer."""

    def set_views(self, session: str, participant: str, views: Sequence[View]) -> None:
        """What the participant's page shows, and how large; not listed is hidden."""


@dataclass(frozen=True, slots=True)
class Services:
    """What handlers work with."""

    rooms: SessionService
    media: Negotiator
    members: Members
    clock: Clock
    ice: IceServers
    admission: AdmissionControl

    async def seat(self, connection: Connection) -> Seat:
        """The connection's seat, which is the participant's present one.

        Raises SessionUnknown, SessionOver, NotJoined, SeatReplaced.
        """
        seat = await self.any_seat(connection)
        self.rooms.check(seat)
        return seat

    async def any_seat(self, connection: Connection) -> Seat:
        """The seat the connection took, even in a session that is over.

        Raises NotJoined, and SessionUnknown or SessionOver for one that never took a seat.
        """
        if connection.seat is None:
            grant = connection.grant
            await self.rooms.invitation(grant.session, grant.participant)
            raise NotJoined(grant.session, grant.participant)
        return connection.seat


async def join(services: Services, connection: Connection, _: Nothing) -> Data:
    """`room:join`: come in, or come back; an earlier socket of the participant is replaced.

    A client who is to be admitted waits instead, and hears `room:admitted`.
    """
    grant = connection.grant
    await services.admission.check(grant)
    joined = await services.rooms.join(grant.session, grant.participant)
    now = services.clock.now()
    if joined.seat is None:
        services.members.wait(connection)
        log.info("room.waiting", session=grant.session, participant=grant.participant)
        return said(
            NotAdmittedSaid,
            {
                "waiting": True,
                "participant_id": grant.participant,
                "role": grant.role,
                "server_time": now,
                "session": joined.session,
            },
        )
    services.members.seat(connection, joined.seat)
    sections = services.media.join(grant.session, grant.participant)
    log.info("room.joined", session=grant.session, participant=grant.participant)
    return said(
        JoinedSaid,
        {
            "participant_id": grant.participant,
            "role": grant.role,
            "server_time": now,
            "session": joined.session,
            "state": joined.state,
            "sections": sections,
            "ice_servers": services.ice.of(grant.participant, joined.session.ends_at, now),
        },
    )


async def leave(services: Services, connection: Connection, _: Nothing) -> Data:
    """`room:leave`: go out; the session goes on and the socket stays."""
    seat = await services.seat(connection)
    services.members.unseat(connection)  # first, so that it is not told of its own going
    try:
        await services.rooms.leave(seat)
    except StorageFailed:
        services.members.seat(connection, seat)
        raise
    log.info("room.left", session=seat.session, participant=seat.participant)
    return said(NothingSaid, {})


async def admit(services: Services, connection: Connection, admission: Admission) -> Data:
    """`room:admit`: by the therapist; the one who waits is told to come in."""
    seat = await services.seat(connection)
    participant = ParticipantId(admission.participant_id)
    await services.rooms.admit(seat, participant)
    log.info("room.admitted", session=seat.session, participant=participant)
    return said(NothingSaid, {})


async def sync(services: Services, connection: Connection, _: Nothing) -> Data:
    """`room:sync`: everything again."""
    seat = await services.seat(connection)
    return said(
        SyncedSaid,
        {
            "state": services.rooms.state(seat.session),
            "sections": services.media.sections(seat.session, seat.participant),
        },
    )


async def offer(services: Services, connection: Connection, offered: Offer) -> Data:
    """`rtc:offer`: answered at once, so that offers of one socket never overtake."""
    seat = await services.seat(connection)
    negotiated = services.media.negotiate(
        seat.session,
        seat.participant,
        offered.connection,
        offered.seq,
        offered.sdp,
        offered.sources,
    )
    return said(
        AnswerSaid,
        {
            "connection": offered.connection,
            "seq": offered.seq,
            "sdp": negotiated.sdp,
            "sections": negotiated.sections,
        },
    )


async def view(services: Services, connection: Connection, change: ViewChange) -> Data:
    """`rtc:view`: what the page shows; the media plane sends no more than that takes."""
    seat = await services.seat(connection)
    services.media.set_views(seat.session, seat.participant, change.views)
    return said(NothingSaid, {})


async def set_state(services: Services, connection: Connection, change: StateChange) -> Data:
    """`state:set`: enforced by the media plane before it is acked."""
    version = await services.rooms.set_state(await services.seat(connection), **change)
    return said(VersionSaid, {"version": version})


async def end(services: Services, connection: Connection, _: Nothing) -> Data:
    """`session:end`: by the therapist; again, while the socket lasts, gives the same answer."""
    ended = await services.rooms.end(await services.any_seat(connection))
    return said(EndedSaid, ended)


P = TypeVar("P")


class Event(Generic[P]):
    """One event of the table: how its payload is read, and who answers it."""

    def __init__(
        self,
        payload: type[P],
        handler: Callable[[Services, Connection, P], Awaitable[Data]],
    ) -> None:
        self._payload = PayloadType(payload)
        self._handler = handler

    async def answer(self, services: Services, connection: Connection, payload: object) -> Data:
        """Raises Refused(message.malformed), and what the handler raises."""
        return await self._handler(services, connection, self._payload.read(payload))


CLIENT_EVENTS: Final[Mapping[str, Event[Any]]] = {
    "room:join": Event(Nothing, join),
    "room:leave": Event(Nothing, leave),
    "room:admit": Event(Admission, admit),
    "room:sync": Event(Nothing, sync),
    "rtc:offer": Event(Offer, offer),
    "rtc:view": Event(ViewChange, view),
    "state:set": Event(StateChange, set_state),
    "session:end": Event(Nothing, end),
}
