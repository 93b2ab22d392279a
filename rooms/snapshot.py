"""What members see of a session: small, whole, versioned. Derived, never stored."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from rooms.session import Invitation, Presence, Session
from rooms.vocabulary import ParticipantId, Quality, Role

Connection: TypeAlias = Literal["connecting", "connected", "reconnecting"]


@dataclass(frozen=True, slots=True)
class ParticipantState:
    """One participant in the room, as everyone there sees it."""

    id: ParticipantId
    name: str
    role: Role
    microphone: bool
    camera: bool
    screen: bool
    fullscreen: bool
    connection: Connection
    quality: Quality | None


@dataclass(frozen=True, slots=True)
class RoomState:
    """Everyone in the room, in the order they came. A newer state has a greater version.

    waiting: who asked to come in and is to be admitted, in their order.
    """

    version: int
    status: Literal["open", "live", "ended"]
    live_since: datetime | None
    speaker: ParticipantId | None
    participants: tuple[ParticipantState, ...]
    waiting: tuple[Invitation, ...]


def room_state(session: Session) -> RoomState:
    """The session as its members see it; a scheduled one is open to whoever may join."""
    return RoomState(
        version=session.version,
        status="open" if session.status == "scheduled" else session.status,
        live_since=session.live_since,
        speaker=session.speaker,
        participants=tuple(
            _participant_state(session, participant, present)
            for participant, present in session.present.items()
        ),
        waiting=tuple(session.invitations[one] for one in session.waiting),
    )


def _participant_state(
    session: Session, participant: ParticipantId, present: Presence
) -> ParticipantState:
    invited = session.invitations[participant]
    return ParticipantState(
        id=participant,
        name=invited.name,
        role=invited.role,
        microphone=present.microphone,
        camera=present.camera,
        screen=present.screen,
        fullscreen=present.fullscreen,
        connection=_connection(present),
        quality=present.quality,
    )


def _connection(present: Presence) -> Connection:
    """One word for socket and media together: either one gone is `reconnecting`."""
    if present.socket_lost_at is not None or present.media == "lost":
        return "reconnecting"
    return "connected" if present.media == "connected" else "connecting"
