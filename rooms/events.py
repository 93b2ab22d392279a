"""The catalogue of events: everything the rooms tell the rest of the product, durably.

An event is stored in the transaction that made it true and is delivered at least once to each
hook (`rooms.hooks`). Ids only: never a name, an address or a message text. Fields may be added,
with a default; a type, once shipped, keeps its meaning.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final, Generic, TypeVar

from pydantic import TypeAdapter

from rooms.vocabulary import EndCause, EventId, ParticipantId, SessionId, UserId


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events. type: its stable name in the database and to webhooks."""

    type: ClassVar[str]


@dataclass(frozen=True, slots=True)
class SessionScheduled(Event):
    """A session was made. Once per session."""

    type: ClassVar[str] = "session.scheduled"
    session: SessionId
    by: UserId | None = None


@dataclass(frozen=True, slots=True)
class ParticipantJoined(Event):
    """A participant came in, or came back. Not when only its socket changed."""

    type: ClassVar[str] = "participant.joined"
    session: SessionId
    participant: ParticipantId


@dataclass(frozen=True, slots=True)
class ParticipantWaiting(Event):
    """A client asked to come in and waits to be admitted. Not again while it waits."""

    type: ClassVar[str] = "participant.waiting"
    session: SessionId
    participant: ParticipantId


@dataclass(frozen=True, slots=True)
class ParticipantAdmitted(Event):
    """A therapist let a waiting client in. Once per client and session."""

    type: ClassVar[str] = "participant.admitted"
    session: SessionId
    participant: ParticipantId
    by: ParticipantId


@dataclass(frozen=True, slots=True)
class ParticipantLeft(Event):
    """A participant left, or stayed away for longer than the grace. Not at the session's end."""

    type: ClassVar[str] = "participant.left"
    session: SessionId
    participant: ParticipantId


@dataclass(frozen=True, slots=True)
class SessionLive(Event):
    """A therapist and a client both have media for the first time. At most once per session."""

    type: ClassVar[str] = "session.live"
    session: SessionId


@dataclass(frozen=True, slots=True)
class SessionEnded(Event):
    """The session is over; nothing revives it. Once per session.

    overlap_s: whole seconds that a therapist and a client were both there with media flowing.
    ended_by: the participant who ended it, None when nobody did.
    Only `cause` "therapist" counts as held by itself; a "timeout" waits for SessionConfirmed.
    """

    type: ClassVar[str] = "session.ended"
    session: SessionId
    cause: EndCause
    ended_by: ParticipantId | None
    ended_at: datetime
    duration_s: int
    overlap_s: int


@dataclass(frozen=True, slots=True)
class SessionConfirmed(Event):
    """The therapist said that a session that timed out took place: it counts, as ended late.

    At most once per session, and only after a SessionEnded with cause "timeout".
    """

    type: ClassVar[str] = "session.confirmed"
    session: SessionId
    by: UserId


@dataclass(frozen=True, slots=True)
class UserAdded(Event):
    """An account was made. by: None for the command line."""

    type: ClassVar[str] = "user.added"
    user: UserId
    by: UserId | None = None


@dataclass(frozen=True, slots=True)
class UserDisabled(Event):
    """An account was closed; all of its sign-ins are over. by: None for the command line."""

    type: ClassVar[str] = "user.disabled"
    user: UserId
    by: UserId | None = None


@dataclass(frozen=True, slots=True)
class UserSignedIn(Event):
    """Somebody signed in with the right password."""

    type: ClassVar[str] = "user.signed_in"
    user: UserId


@dataclass(frozen=True, slots=True)
class UserSignedOut(Event):
    """A user signed out. everywhere: on all devices at once."""

    type: ClassVar[str] = "user.signed_out"
    user: UserId
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class PasswordResetRequested(Event):
    """A known user asked for a new password. Not for an address that nobody has."""

    type: ClassVar[str] = "user.password_reset_requested"
    user: UserId


@dataclass(frozen=True, slots=True)
class PasswordChanged(Event):
    """A user chose a new password; all of its sign-ins are over."""

    type: ClassVar[str] = "user.password_changed"
    user: UserId


@dataclass(frozen=True, slots=True)
class MailRequested(Event):
    """One mail to one person is to be sent. template: of `rooms.mail`.

    session: what it is about; the address, names and times are looked up when it is sent.
    """

    type: ClassVar[str] = "mail.requested"
    template: str
    user: UserId
    session: SessionId | None = None


E = TypeVar("E", bound=Event, covariant=True)


@dataclass(frozen=True, slots=True)
class Recorded(Generic[E]):
    """An event as it is stored. id: the idempotency key of whatever follows from it."""

    id: EventId
    at: datetime
    event: E


CATALOGUE: Final[dict[str, type[Event]]] = {kind.type: kind for kind in Event.__subclasses__()}
_ADAPTERS: Final[dict[str, TypeAdapter[Event]]] = {
    name: TypeAdapter(kind) for name, kind in CATALOGUE.items()
}


def to_json(event: Event) -> dict[str, Any]:
    """The event's fields as JSON values."""
    fields: dict[str, Any] = _ADAPTERS[event.type].dump_python(event, mode="json")
    return fields


def from_json(type_name: str, data: object) -> Event:
    """The event of a stored row. Raises KeyError for a type this version does not know."""
    return _ADAPTERS[type_name].validate_python(data)
