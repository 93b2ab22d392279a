"""What a session is: its people, who is in the room, how it ended; and what a change asks for.

Values only; `rooms.lifecycle` makes one from another.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, TypeAlias

from rooms.events import Event
from rooms.vocabulary import (
    EndCause,
    Media,
    ParticipantId,
    Quality,
    Role,
    SessionId,
    Source,
    Status,
    UserId,
)

# Early enough to try the camera; nobody waits longer for one who comes on time.
OPENS_BEFORE: Final = timedelta(minutes=15)

# A session that runs late, or is reopened from an old tab, still finds its room; after this
# its links are refused and an ended session may be forgotten.
LINKS_OUTLIVE_SESSION: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Invitation:
    """One person a session is for.

    user: whose account it is, None for a guest. admitted: whether a therapist let them in.
    """

    id: ParticipantId
    name: str
    role: Role
    user: UserId | None = None
    admitted: bool = False


@dataclass(frozen=True, slots=True)
class Seat:
    """One join of one participant: what every later command of that join must present.

    incarnation: the session's, as that join made it; so a stale seat is never mistaken.
    """

    session: SessionId
    participant: ParticipantId
    incarnation: int


@dataclass(frozen=True, slots=True)
class Presence:
    """A participant in the room. socket_lost_at: None while its socket is there.

    quality: of its connection, as the media plane measures it; None while that is not known.
    """

    incarnation: int
    microphone: bool = True
    camera: bool = True
    screen: bool = False
    fullscreen: bool = False
    media: Media = "connecting"
    quality: Quality | None = None
    socket_lost_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a session ended; the same for everyone who asks.

    ended_by, name: the participant who ended it, None when nobody did.
    duration_s: whole seconds from the first moment it was live; 0 when it never was.
    overlap_s: whole seconds that a therapist and a client were both there, media flowing.
    confirmed_at: when the therapist said that a session that timed out took place.
    """

    cause: EndCause
    ended_by: ParticipantId | None
    name: str | None
    ended_at: datetime
    duration_s: int
    overlap_s: int = 0
    confirmed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """Everything known of one session.

    version: grows with each change that members see. incarnation: with each that is stored.
    waiting: clients who asked to come in and were not admitted, in their order; where there is
    a waiting_room. speaker: who speaks, or did last; always one who is present.
    """

    id: SessionId
    title: str
    starts_at: datetime
    ends_at: datetime
    invitations: Mapping[ParticipantId, Invitation]
    max_participants: int
    links_until: datetime
    waiting_room: bool = False
    status: Status = "scheduled"
    version: int = 0
    incarnation: int = 0
    live_since: datetime | None = None
    present: Mapping[ParticipantId, Presence] = field(default_factory=lambda: MappingProxyType({}))
    waiting: tuple[ParticipantId, ...] = ()
    speaker: ParticipantId | None = None
    ended: Ended | None = None

    @property
    def invited(self) -> tuple[Invitation, ...]:
        """Everyone the session is for, in the order they were named."""
        return tuple(self.invitations.values())

    @property
    def opens_at(self) -> datetime:
        """Nobody comes in before this instant."""
        return self.starts_at - OPENS_BEFORE

    @property
    def confirmable(self) -> bool:
        """Whether the therapist may still say that it took place."""
        ended = self.ended
        return (
            ended is not None
            and ended.cause == "timeout"
            and ended.confirmed_at is None
            and self.live_since is not None
        )


# Effects, in the order they are to be carried out.


@dataclass(frozen=True, slots=True)
class ForwardingSet:
    """The participant's source is to flow, or not."""

    participant: ParticipantId
    source: Source
    enabled: bool


@dataclass(frozen=True, slots=True)
class ParticipantRemoved:
    """The participant is out of the room: its media is to be closed."""

    participant: ParticipantId


@dataclass(frozen=True, slots=True)
class RoomChanged:
    """Members are to be told the new state."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The participant, who waits, is to be told to come in."""

    participant: ParticipantId


@dataclass(frozen=True, slots=True)
class Closed:
    """Once per session, at its end. All media is to be closed, then everyone told."""

    ended: Ended


Effect: TypeAlias = ForwardingSet | ParticipantRemoved | RoomChanged | Admitted | Closed


@dataclass(frozen=True, slots=True)
class Change:
    """The session after a command, what is to be done about it, and what is to be stored.

    A change that is to be stored has a new incarnation; `events` are stored with it.
    """

    session: Session
    effects: tuple[Effect, ...] = ()
    events: tuple[Event, ...] = ()
