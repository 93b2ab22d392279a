"""The messages of PROTOCOL.md as types: the source of what clients and server say.

Payloads from clients are strict: no other keys, no coercion. What the server says is read off
the frozen values of `rooms` and `media` by attribute, so those may grow without the wire
changing by accident. Instants are UTC and end in Z.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Generic, Literal, Self, TypeAlias, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
    with_config,
)
from typing_extensions import TypedDict

from signaling.errors import Refused

MAX_MESSAGE_BYTES: Final = 64 * 1024
EVENTS_PER_SECOND: Final = 20
EVENTS_BURST: Final = 40
# Of one participant: the one in the room, and those of a client that lost it in silence.
MAX_SOCKETS: Final = 4

Source: TypeAlias = Literal["microphone", "camera", "screen"]
Picture: TypeAlias = Literal["camera", "screen"]
Role: TypeAlias = Literal["therapist", "client"]
UserRole: TypeAlias = Literal["therapist", "client", "support", "admin"]

# From clients

_STRICT = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class _Payload(BaseModel):
    model_config = _STRICT | ConfigDict(frozen=True)


class Nothing(_Payload):
    """`{}`, the payload of events that say all by their name."""


class Offer(_Payload):
    """`rtc:offer`. connection: a random id of the client's; a UUID fits."""

    connection: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    seq: Annotated[int, Field(ge=0, lt=2**31)]
    sdp: str
    # Names of sections are the browser's; the answerer judges them.
    sources: Annotated[dict[str, Source], Field(max_length=64)]


@with_config(_STRICT)
class StateChange(TypedDict, total=False):
    """`state:set`. What is absent stays as it is."""

    microphone: bool
    camera: bool
    screen: bool
    fullscreen: bool


# No picture is shown in more device pixels than this; it keeps areas far below 2**31.
_Pixels: TypeAlias = Annotated[int, Field(ge=0, le=16_384)]


class View(_Payload):
    """One picture on a client's page: width by height in device pixels, 0 by 0 when hidden."""

    participant_id: Annotated[str, StringConstraints(max_length=64)]
    source: Picture
    width: _Pixels
    height: _Pixels


class GuestLinkRequest(_Payload):
    """`POST /api/my/sessions/<id>/guest-link`: whom the link is for."""

    participant_id: Annotated[str, StringConstraints(max_length=64)]


class Admission(_Payload):
    """`room:admit`: whom to let in."""

    participant_id: Annotated[str, StringConstraints(max_length=64)]


class ViewChange(_Payload):
    """`rtc:view`: every picture of the page that is not hidden. A room has at most 12 people."""

    views: Annotated[list[View], Field(max_length=64)]


_Name: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=80)]


def _is_text(value: object) -> object:
    """Numbers would be taken for seconds since 1970."""
    if not isinstance(value, str):
        raise ValueError("an instant is text")
    return value


# ISO 8601 with its zone.
_Instant: TypeAlias = Annotated[AwareDatetime, Strict(False), BeforeValidator(_is_text)]


_Email: TypeAlias = Annotated[str, StringConstraints(max_length=254)]


class SessionRequest(_Payload):
    """`POST /api/sessions`. others: further clients of the same session (a couple, a family).

    Therapist and client are named, or have accounts and are known by their addresses.
    starts_at: None for now. waiting_room: clients wait until a therapist lets them in.
    """

    therapist: _Name | None = None
    therapist_email: _Email | None = None
    client: _Name | None = None
    client_email: _Email | None = None
    others: Annotated[list[_Name], Field(max_length=30)] = []
    minutes: Annotated[int, Field(ge=5, le=480)] = 60
    title: Annotated[str, StringConstraints(min_length=1, max_length=120)] = "Session"
    starts_at: _Instant | None = None
    waiting_room: bool = False

    @model_validator(mode="after")
    def _somebody_each(self) -> Self:
        for name, email in (
            (self.therapist, self.therapist_email),
            (self.client, self.client_email),
        ):
            if (name is None) == (email is None):
                raise ValueError("a therapist and a client, each by name or by e-mail address")
        return self


class LoadTestChallenge(_Payload):
    """`POST /api/load-test`. nonce: 32 random bytes of the asker's, in hex."""

    nonce: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class LoadTestRoom(_Payload):
    """`POST /api/load-test/sessions`. people: how many the session is for; the first is its
    therapist."""

    people: Annotated[int, Field(ge=2, le=12)]


_Password: TypeAlias = Annotated[str, StringConstraints(max_length=1024)]


class SignInRequest(_Payload):
    """`POST /api/sign-in`."""

    email: _Email
    password: _Password


class SignOutRequest(_Payload):
    """`POST /api/sign-out`. everywhere: on all devices."""

    everywhere: bool = False


class PasswordReset(_Payload):
    """`POST /api/password-reset`."""

    email: _Email


class ChosenPassword(_Payload):
    """`POST /api/password-reset/choose`. token: from the mail's link."""

    token: Annotated[str, StringConstraints(max_length=64)]
    password: _Password


P = TypeVar("P")


class PayloadType(Generic[P]):
    """One payload's shape, ready to read."""

    def __init__(self, shape: type[P]) -> None:
        self._adapter = TypeAdapter(shape)

    def read(self, payload: object) -> P:
        """The payload as its type. Raises Refused(message.malformed), naming the first fault."""
        try:
            return self._adapter.validate_python(payload)
        except ValidationError as error:
            raise Refused("message.malformed", _first_fault(error)) from None


def _first_fault(error: ValidationError) -> str:
    """Where and what, without the value; a key is the client's own word, so it is cut short."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part)[:32] for part in first["loc"])
    return f"{place}: {first['msg']}" if place else str(first["msg"])


# From the server


class _Said(BaseModel):
    model_config = ConfigDict(from_attributes=True, frozen=True)


class ParticipantSaid(_Said):
    """One participant of a RoomState."""

    id: str
    name: str
    role: Role
    microphone: bool
    camera: bool
    screen: bool
    fullscreen: bool
    connection: Literal["connecting", "connected", "reconnecting"]
    quality: Literal["good", "fair", "poor"] | None


class RoomStateSaid(_Said):
    """`RoomState`: everyone in the room."""

    version: int
    status: Literal["open", "live", "ended"]
    live_since: datetime | None
    speaker: str | None
    participants: tuple[ParticipantSaid, ...]
    waiting: tuple["WaitingSaid", ...]


class WaitingSaid(_Said):
    """One who asked to come in and is to be admitted."""

    id: str
    name: str


class TrackSaid(_Said):
    """One section that shows one source of one participant."""

    mid: str
    participant_id: str
    source: Source
    paused: bool


class SectionsSaid(_Said):
    """`Sections`: what the client is to receive, and in which of its sections."""

    audios: int
    videos: int
    tracks: tuple[TrackSaid, ...]


class TrackLayersSaid(_Said):
    """The simulcast layers of one of the client's sources that somebody watches."""

    source: Picture
    layers: tuple[str, ...]


class LayersSaid(_Said):
    """`rtc:layers`: what the client is to encode of each picture that it sends in layers."""

    tracks: tuple[TrackLayersSaid, ...]


class EndedSaid(_Said):
    """`Ended`: how the session ended."""

    cause: Literal["therapist", "admin", "timeout", "no_show"]
    ended_by: str | None
    name: str | None
    ended_at: datetime
    duration_s: int
    overlap_s: int
    confirmed_at: datetime | None


class OpensSaid(_Said):
    """When a room opens that is not open yet."""

    opens_at: datetime


class InvitedSaid(_Said):
    """One person the session is for, in the room or not."""

    id: str
    name: str
    role: Role


class SessionSaid(_Said):
    """The booking, as `room:join` answers it."""

    id: str
    title: str
    starts_at: datetime
    ends_at: datetime
    invited: tuple[InvitedSaid, ...]


class StunServerSaid(_Said):
    """An RTCIceServer that tells a browser its address."""

    urls: tuple[str, ...]


class TurnServerSaid(_Said):
    """An RTCIceServer that relays, and credentials for it that expire."""

    urls: tuple[str, ...]
    username: str
    credential: str


class JoinedSaid(_Said):
    """The answer to `room:join`."""

    participant_id: str
    role: Role
    server_time: datetime
    session: SessionSaid
    state: RoomStateSaid
    sections: SectionsSaid
    ice_servers: tuple[TurnServerSaid | StunServerSaid, ...]


class NotAdmittedSaid(_Said):
    """The answer to `room:join` of one who is to wait."""

    waiting: Literal[True]
    participant_id: str
    role: Role
    server_time: datetime
    session: SessionSaid


class MeSaid(_Said):
    """Who is signed in, over HTTP."""

    id: str
    name: str
    email: str
    role: UserRole


class OtherSaid(_Said):
    """Another person of one's session. guest: without an account, comes by a link."""

    participant_id: str
    name: str
    role: Role
    guest: bool


class IntervalSaid(_Said):
    """One stay."""

    since: datetime
    until: datetime


class AttendedSaid(_Said):
    """When one person was there with media."""

    name: str
    role: Role
    intervals: tuple[IntervalSaid, ...]


class AttendanceSaid(_Said):
    """What the server observed of a session that is over."""

    overlap_s: int
    people: tuple[AttendedSaid, ...]


class MySessionSaid(_Said):
    """One session of whoever is signed in, as the dashboard lists it."""

    id: str
    title: str
    starts_at: datetime
    ends_at: datetime
    opens_at: datetime
    status: Literal["scheduled", "open", "live", "ended"]
    role: Role
    others: Annotated[tuple[OtherSaid, ...], Field(serialization_alias="with")]
    ended: EndedSaid | None
    confirmable: bool
    attendance: AttendanceSaid | None


class MySessionsSaid(_Said):
    """The answer to `GET /api/my/sessions`."""

    server_time: datetime
    sessions: tuple[MySessionSaid, ...]


class MailSaid(_Said):
    """One mail on disk, over HTTP."""

    id: str
    to: str
    subject: str
    at: datetime
    text: str


class MailboxSaid(_Said):
    """The answer to `GET /api/mail`, newest first."""

    mails: tuple[MailSaid, ...]


class LineSaid(_Said):
    """`media.census.Line`: one participant's connection."""

    participant: str
    connection: Literal["none", "connecting", "connected", "lost"]
    quality: Literal["good", "fair", "poor"] | None
    bytes_in: int
    bytes_out: int
    received: int
    lost: int
    loss_down: float | None
    round_trip_ms: float | None


class WatchedRoomSaid(_Said):
    """One room and the connections in it."""

    session_id: str
    lines: tuple[LineSaid, ...]


class LagSaid(_Said):
    """`signaling.lag.Lag`."""

    p50_s: float
    p99_s: float
    max_s: float


class RelaySaid(_Said):
    """One relay thread: its totals, and how long it was at work."""

    busy_s: float
    packets_in: int
    bytes_in: int
    packets_out: int
    bytes_out: int
    dropped_receive_buffer: int
    dropped_send: int


class ParkedSaid(_Said):
    """How many deliveries to a hook were given up."""

    hook: str
    number: int


class OutboxSaid(_Said):
    """What is not delivered."""

    pending: int
    oldest_s: float | None
    parked: tuple[ParkedSaid, ...]


class OperationsSaid(_Said):
    """The answer to `GET /api/operations`."""

    clock_s: float
    refusing: tuple[str, ...]
    sockets: int
    rooms: int
    participants: int
    qualities: dict[Literal["good", "fair", "poor", "unknown"], int]
    worst_rooms: tuple[WatchedRoomSaid, ...]
    loop_lag: LagSaid
    relays: tuple[RelaySaid, ...]
    outbox: OutboxSaid | None


class SyncedSaid(_Said):
    """The answer to `room:sync`."""

    state: RoomStateSaid
    sections: SectionsSaid


class AnswerSaid(_Said):
    """The answer to `rtc:offer`."""

    connection: str
    seq: int
    sdp: str
    sections: SectionsSaid


class VersionSaid(_Said):
    """The answer to `state:set`."""

    version: int


class NothingSaid(_Said):
    """`{}`"""


# Event names and what each carries.

ROOM_STATE: Final = "room:state"
RTC_SECTIONS: Final = "rtc:sections"
RTC_LAYERS: Final = "rtc:layers"
SESSION_ENDED: Final = "session:ended"
ROOM_REPLACED: Final = "room:replaced"
ROOM_ADMITTED: Final = "room:admitted"
SERVER_CLOSING: Final = "server:closing"

SERVER_EVENTS: Final[Mapping[str, type[_Said]]] = {
    ROOM_STATE: RoomStateSaid,
    RTC_SECTIONS: SectionsSaid,
    RTC_LAYERS: LayersSaid,
    SESSION_ENDED: EndedSaid,
    ROOM_REPLACED: NothingSaid,
    ROOM_ADMITTED: NothingSaid,
    SERVER_CLOSING: NothingSaid,
}


def said(shape: type[_Said], value: object) -> dict[str, Any]:
    """A value of `rooms` or `media` (or a mapping) as the JSON of the given shape."""
    return shape.model_validate(value).model_dump(mode="json", by_alias=True)
