"""A session's life, pure: (session, what happened, now) -> the session after it, and effects.

    scheduled -> open -> live -> ended

A session is scheduled until the first participant joins, open until a therapist and a client
both have their media connected, live from then on, and ended once; nothing revives it.
`ended` has no one in the room. Refusals are the exceptions of `rooms.errors`; then nothing
has changed. No clock, no lock, no I/O: `rooms.service` owns the state and does the effects.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, TypeAlias

from rooms.errors import (
    NotInvited,
    NotJoined,
    RoleForbidden,
    RoomFull,
    SeatReplaced,
    SessionOver,
)
from rooms.vocabulary import (
    EndCause,
    Media,
    ParticipantId,
    Quality,
    Role,
    SessionId,
    Source,
    Status,
)

# How long a participant without a socket keeps its place: a phone changing networks or a
# reload takes a few seconds, a tunnel about twenty.
GRACE: Final = timedelta(seconds=30)

# A session that runs late, or is reopened from an old tab, still finds its room; after this
# its links are refused and an ended session may be forgotten.
LINKS_OUTLIVE_SESSION: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Invitation:
    """One person a session is for."""

    id: ParticipantId
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Seat:
    """One join of one participant: what every later command of that join must present.

    incarnation: grows with each join in the session, so a stale seat is never mistaken.
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
    """

    cause: EndCause
    ended_by: ParticipantId | None
    name: str | None
    ended_at: datetime
    duration_s: int


@dataclass(frozen=True, slots=True)
class Session:
    """Everything known of one session. `version` grows with each change that members see.

    speaker: who speaks, or did last; always one who is present.
    """

    id: SessionId
    title: str
    starts_at: datetime
    ends_at: datetime
    invitations: Mapping[ParticipantId, Invitation]
    max_participants: int
    links_outlive: timedelta = LINKS_OUTLIVE_SESSION
    status: Status = "scheduled"
    version: int = 0
    live_since: datetime | None = None
    last_incarnation: int = 0
    present: Mapping[ParticipantId, Presence] = field(default_factory=lambda: MappingProxyType({}))
    speaker: ParticipantId | None = None
    ended: Ended | None = None

    @property
    def invited(self) -> tuple[Invitation, ...]:
        """Everyone the session is for, in the order they were named."""
        return tuple(self.invitations.values())

    @property
    def links_until(self) -> datetime:
        """No link into this session is valid from this instant on."""
        return self.ends_at + self.links_outlive


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
class SessionEnded:
    """Once per session. All media is to be closed, then everyone told."""

    ended: Ended


Effect: TypeAlias = ForwardingSet | ParticipantRemoved | RoomChanged | SessionEnded


@dataclass(frozen=True, slots=True)
class Change:
    """The session after a command, and what is to be done about it."""

    session: Session
    effects: tuple[Effect, ...] = ()


def invitation(session: Session, participant: ParticipantId) -> Invitation:
    """The participant's invitation. Raises NotInvited, and SessionOver once it has ended."""
    invited = session.invitations.get(participant)
    if invited is None:
        raise NotInvited(session.id, participant)
    if session.ended is not None:
        raise SessionOver(session.id, session.ended)
    return invited


def presence(session: Session, seat: Seat) -> Presence:
    """The presence a seat stands for. Raises SessionOver, NotJoined, SeatReplaced."""
    if session.ended is not None:
        raise SessionOver(session.id, session.ended)
    found = session.present.get(seat.participant)
    if found is None:
        raise NotJoined(session.id, seat.participant)
    if found.incarnation != seat.incarnation:
        raise SeatReplaced(session.id, seat.participant, seat.incarnation, found.incarnation)
    return found


def join(session: Session, participant: ParticipantId, now: datetime) -> tuple[Change, Seat]:
    """Take a place in the room, or take it over from an earlier join.

    One who comes back within the grace finds its microphone, camera, screen and full screen as
    they were. Raises NotInvited, SessionOver, RoomFull.
    """
    invitation(session, participant)
    before = session.present.get(participant)
    if before is None and len(session.present) >= session.max_participants:
        raise RoomFull(session.id, session.max_participants)
    seat = Seat(session.id, participant, session.last_incarnation + 1)
    if before is None:
        now_present = Presence(seat.incarnation)
    else:
        now_present = replace(before, incarnation=seat.incarnation, socket_lost_at=None)
    joined = replace(
        session,
        status="open" if session.status == "scheduled" else session.status,
        last_incarnation=seat.incarnation,
    )
    return _with_presence(joined, participant, now_present, now), seat


def leave(session: Session, seat: Seat) -> Change:
    """Go out of the room; the session goes on. Raises SessionOver, NotJoined, SeatReplaced."""
    presence(session, seat)
    return _without(session, (seat.participant,))


def lose_socket(session: Session, seat: Seat, now: datetime) -> Change:
    """The socket of a seat is gone; its media goes on and its place is kept for GRACE.

    Raises SessionOver, NotJoined, SeatReplaced.
    """
    found = presence(session, seat)
    return _with_presence(session, seat.participant, replace(found, socket_lost_at=now), now)


def set_state(
    session: Session,
    seat: Seat,
    now: datetime,
    *,
    microphone: bool | None = None,
    camera: bool | None = None,
    screen: bool | None = None,
    fullscreen: bool | None = None,
) -> Change:
    """Switch what is given; None leaves as it is. No change, no new version.

    Raises SessionOver, NotJoined, SeatReplaced.
    """
    before = presence(session, seat)
    after = replace(
        before,
        microphone=before.microphone if microphone is None else microphone,
        camera=before.camera if camera is None else camera,
        screen=before.screen if screen is None else screen,
        fullscreen=before.fullscreen if fullscreen is None else fullscreen,
    )
    if after == before:
        return Change(session)
    switched: list[Effect] = []
    if after.microphone != before.microphone:
        switched.append(ForwardingSet(seat.participant, "microphone", after.microphone))
    if after.camera != before.camera:
        switched.append(ForwardingSet(seat.participant, "camera", after.camera))
    if after.screen != before.screen:
        switched.append(ForwardingSet(seat.participant, "screen", after.screen))
    change = _with_presence(session, seat.participant, after, now)
    return Change(change.session, (*switched, *change.effects))


def media_changed(
    session: Session, participant: ParticipantId, media: Media, now: datetime
) -> Change:
    """What the SFU saw of a participant's connection; of one who is not here, nothing."""
    before = session.present.get(participant)
    if before is None or before.media == media:
        return Change(session)
    return _with_presence(session, participant, replace(before, media=media), now)


def quality_changed(
    session: Session, participant: ParticipantId, quality: Quality | None, now: datetime
) -> Change:
    """How good a participant's connection is; of one who is not here, nothing."""
    before = session.present.get(participant)
    if before is None or before.quality == quality:
        return Change(session)
    return _with_presence(session, participant, replace(before, quality=quality), now)


def speaker_changed(session: Session, speaker: ParticipantId | None) -> Change:
    """Who speaks now, None: nobody. One who is not here does not."""
    if speaker == session.speaker or (speaker is not None and speaker not in session.present):
        return Change(session)
    after = replace(session, version=session.version + 1, speaker=speaker)
    return Change(after, (RoomChanged(),))


def end(session: Session, seat: Seat, now: datetime) -> Change:
    """End the session for everyone. Only a therapist in the room may.

    A second End by a therapist changes nothing: the answer is `session.ended`, the first.
    Raises NotInvited, RoleForbidden, NotJoined, SeatReplaced.
    """
    by = session.invitations.get(seat.participant)
    if by is None:
        raise NotInvited(session.id, seat.participant)
    if by.role != "therapist":
        raise RoleForbidden(by.role)
    if session.ended is not None:
        return Change(session)
    presence(session, seat)
    return _ended(session, "therapist", by, now)


def expire(session: Session, now: datetime) -> Change:
    """Whatever time alone brings about.

    Those without a socket for GRACE go. An empty room past its booked end is over:
    `no_show` when it never was live, else `timeout`.
    """
    if session.ended is not None:
        return Change(session)
    gone = tuple(
        participant
        for participant, present in session.present.items()
        if present.socket_lost_at is not None and now - present.socket_lost_at >= GRACE
    )
    change = _without(session, gone) if gone else Change(session)
    if change.session.present or now < session.ends_at + GRACE:
        return change
    cause: EndCause = "no_show" if session.live_since is None else "timeout"
    last = _ended(change.session, cause, None, now)
    return Change(last.session, (*change.effects, *last.effects))


def _ended(session: Session, cause: EndCause, by: Invitation | None, now: datetime) -> Change:
    lasted = timedelta(0) if session.live_since is None else now - session.live_since
    ended = Ended(
        cause=cause,
        ended_by=None if by is None else by.id,
        name=None if by is None else by.name,
        ended_at=now,
        duration_s=max(0, int(lasted.total_seconds())),
    )
    after = replace(
        session,
        status="ended",
        version=session.version + 1,
        present=MappingProxyType({}),
        speaker=None,
        ended=ended,
    )
    return Change(after, (SessionEnded(ended),))


def _with_presence(
    session: Session, participant: ParticipantId, present: Presence, now: datetime
) -> Change:
    """The session with one presence as given; live once a therapist and a client connected."""
    everyone = MappingProxyType({**session.present, participant: present})
    after = replace(session, version=session.version + 1, present=everyone)
    if after.status == "open" and _both_connected(after):
        after = replace(after, status="live", live_since=now)
    return Change(after, (RoomChanged(),))


def _without(session: Session, gone: tuple[ParticipantId, ...]) -> Change:
    remaining = MappingProxyType(
        {p: there for p, there in session.present.items() if p not in gone}
    )
    speaker = None if session.speaker in gone else session.speaker
    after = replace(session, version=session.version + 1, present=remaining, speaker=speaker)
    return Change(after, (*map(ParticipantRemoved, gone), RoomChanged()))


def _both_connected(session: Session) -> bool:
    roles = {
        session.invitations[participant].role
        for participant, present in session.present.items()
        if present.media == "connected" and present.socket_lost_at is None
    }
    return roles == {"therapist", "client"}
