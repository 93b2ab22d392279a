"""Who is connected to which session, and telling them.

Implements `rooms.ports.Audience`, and hands on what the media plane wishes of one participant.
Owned by the event loop. Telling is deferred by one turn of the loop: the ack of a command is
queued before the events it caused, and nobody is told in the middle of a command.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import structlog

from rooms.session import Ended, Seat
from rooms.snapshot import RoomState
from rooms.vocabulary import ParticipantId, SessionId, SignInId
from signaling.link import Link, event_frame
from signaling.protocol import (
    ROOM_ADMITTED,
    ROOM_REPLACED,
    ROOM_STATE,
    RTC_LAYERS,
    RTC_SECTIONS,
    SERVER_CLOSING,
    SERVER_EVENTS,
    SESSION_ENDED,
    said,
)
from signaling.tokens import Grant

log = structlog.get_logger(__name__)

# A socket told that it is over stays this long, so that what it sent meanwhile is answered.
LINGER_S: Final = 0.25


@dataclass(slots=True, eq=False)
class Connection:
    """One socket that was let in.

    seat: set while it is in the room, and once replaced. waiting: it is to be admitted.
    signed_out: the sign-in it came by is over.
    """

    link: Link
    grant: Grant
    seat: Seat | None = None
    waiting: bool = False
    signed_out: bool = False
    gone: bool = False


class Members:
    """All connections by session, and those in the room by participant."""

    def __init__(self) -> None:
        self._connected: dict[SessionId, set[Connection]] = {}
        self._seated: dict[SessionId, dict[ParticipantId, Connection]] = {}

    def connect(self, connection: Connection) -> None:
        """A socket was let in; it will be told of the session's end."""
        self._connected.setdefault(connection.grant.session, set()).add(connection)

    def seat(self, connection: Connection, seat: Seat) -> None:
        """The connection is in the room; the participant's other one, if any, is sent away."""
        seated = self._seated.setdefault(seat.session, {})
        before = seated.get(seat.participant)
        seated[seat.participant] = connection
        connection.seat = seat
        connection.waiting = False
        connection.link.joined()
        if before is not None and before is not connection:
            _tell([before], ROOM_REPLACED, {})
            _disconnect_soon(before)

    def wait(self, connection: Connection) -> None:
        """The connection asked to come in and is to be admitted."""
        connection.waiting = True
        connection.link.joined()

    def is_waiting(self, grant: Grant) -> bool:
        """Whether a socket of the participant waits to be admitted."""
        connected = self._connected.get(grant.session, ())
        return any(one.waiting and one.grant.participant == grant.participant for one in connected)

    def unseat(self, connection: Connection) -> None:
        """The connection left the room and stays connected."""
        seat, connection.seat = connection.seat, None
        if seat is None:
            return
        seated = self._seated.get(seat.session, {})
        if seated.get(seat.participant) is connection:
            del seated[seat.participant]
            if not seated:
                del self._seated[seat.session]

    def disconnect(self, connection: Connection) -> None:
        """The connection is gone."""
        self.unseat(connection)
        connected = self._connected.get(connection.grant.session, set())
        connected.discard(connection)
        if not connected:
            self._connected.pop(connection.grant.session, None)

    def sockets_of(self, grant: Grant) -> int:
        """How many sockets of one participant are open. O(sockets of the session)."""
        connected = self._connected.get(grant.session, ())
        return sum(one.grant.participant == grant.participant for one in connected)

    def sign_ins(self) -> set[SignInId]:
        """What those who are connected came in by, of those who are signed in."""
        return {
            connection.grant.sign_in
            for connected in self._connected.values()
            for connection in connected
            if connection.grant.sign_in is not None
        }

    def connected(self, session: SessionId) -> int:
        """How many sockets are connected to a session."""
        return len(self._connected.get(session, ()))

    def people(self) -> int:
        """How many are in rooms. O(rooms)."""
        return sum(map(len, self._seated.values()))

    def room_changed(self, session: SessionId, state: RoomState) -> None:
        """Tell everyone in the room."""
        _tell(self._seated.get(session, {}).values(), ROOM_STATE, state)

    def session_ended(self, session: SessionId, ended: Ended) -> None:
        """Tell everyone connected, in the room or not, then close their sockets."""
        connected = list(self._connected.get(session, ()))
        log.info(
            "session.ended",
            session=session,
            cause=ended.cause,
            duration_s=ended.duration_s,
            told=len(connected),
        )
        _tell(connected, SESSION_ENDED, ended)
        for connection in connected:
            _disconnect_soon(connection)

    def admitted(self, session: SessionId, participant: ParticipantId) -> None:
        """Tell one who waits to come in."""
        waiting = [
            connection
            for connection in self._connected.get(session, ())
            if connection.waiting and connection.grant.participant == participant
        ]
        _tell(waiting, ROOM_ADMITTED, {})

    def heard(self, session: SessionId) -> dict[str, float]:
        """How many seconds ago the page of each participant in the room was last heard."""
        seated = self._seated.get(session, {})
        return {
            participant: connection.link.silence_s for participant, connection in seated.items()
        }

    def sections_changed(self, session: str, participant: str, sections: object) -> None:
        """Tell one participant what it is to receive."""
        self._tell_one(session, participant, RTC_SECTIONS, sections)

    def layers_changed(self, session: str, participant: str, layers: object) -> None:
        """Tell one participant what of its pictures is watched."""
        self._tell_one(session, participant, RTC_LAYERS, layers)

    def server_closing(self) -> None:
        """Tell everyone; the transport closes the sockets."""
        for connected in self._connected.values():
            _tell(connected, SERVER_CLOSING, {})

    def _tell_one(self, session: str, participant: str, event: str, value: object) -> None:
        seated = self._seated.get(SessionId(session), {})
        connection = seated.get(ParticipantId(participant))
        if connection is not None:
            _tell([connection], event, value)


def _tell(connections: Iterable[Connection], event: str, value: object) -> None:
    told = list(connections)
    if not told:
        return
    frame = event_frame(event, said(SERVER_EVENTS[event], value))
    loop = asyncio.get_running_loop()
    for connection in told:
        loop.call_soon(connection.link.send, frame)


def _disconnect_soon(connection: Connection) -> None:
    asyncio.get_running_loop().call_later(LINGER_S, connection.link.disconnect)
