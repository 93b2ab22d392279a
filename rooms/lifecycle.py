"""A session's life, pure: (session, what happened, now) -> the session after it, and effects.

    scheduled -> open -> live -> ended

A session is scheduled until the first participant joins, open until a therapist and a client
both have their media connected, live from then on, and ended once; nothing revives it.
`ended` has no one in the room. Refusals are the exceptions of `rooms.errors`; then nothing
has changed. No clock, no lock, no I/O: `rooms.service` owns the state and does the effects.

A change that outlives the process has a new incarnation, and the events that tell of it; the
others (who is muted, who speaks) are known to the room alone.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from rooms.errors import (
    NotConfirmable,
    NotInvited,
    NotJoined,
    NotOpenYet,
    RoleForbidden,
    RoomFull,
    SeatReplaced,
    SessionOver,
)
from rooms.events import (
    Event,
    ParticipantAdmitted,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantWaiting,
    SessionConfirmed,
    SessionEnded,
    SessionLive,
)
from rooms.session import (
    Admitted,
    Change,
    Closed,
    Effect,
    Ended,
    ForwardingSet,
    Invitation,
    ParticipantRemoved,
    Presence,
    RoomChanged,
    Seat,
    Session,
)
from rooms.vocabulary import (
    EndCause,
    Media,
    ParticipantId,
    Quality,
    UserId,
)

# How long a participant without a socket keeps its place: a phone changing networks or a
# reload takes a few seconds, a tunnel about twenty.
GRACE: Final = timedelta(seconds=30)

# People who talk past the booked end are not cut off; a room that was forgotten is, by then.
OVERTIME: Final = timedelta(hours=2)

# Versions between two incarnations, so that those of a restarted server are still newer.
_VERSIONS: Final = 1 << 20


def first_version(incarnation: int) -> int:
    """The version of a session that was stored with this incarnation and nothing since."""
    return incarnation * _VERSIONS


def invitation(session: Session, participant: ParticipantId, now: datetime) -> Invitation:
    """The participant's invitation. Raises NotInvited, SessionOver, NotOpenYet."""
    invited = session.invitations.get(participant)
    if invited is None:
        raise NotInvited(session.id, participant)
    if session.ended is not None:
        raise SessionOver(session.id, session.ended)
    if now < session.opens_at:
        raise NotOpenYet(session.id, session.opens_at)
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


def join(session: Session, participant: ParticipantId, now: datetime) -> tuple[Change, Seat | None]:
    """Take a place in the room, or take it over from an earlier join; or wait, without a seat.

    One who comes back within the grace finds its microphone, camera, screen and full screen as
    they were. A client whom no therapist let in waits, where there is a waiting room.
    Raises NotInvited, SessionOver, NotOpenYet, RoomFull.
    """
    invited = invitation(session, participant, now)
    if session.waiting_room and invited.role == "client" and not invited.admitted:
        return _wait(session, participant), None
    before = session.present.get(participant)
    if before is None and len(session.present) >= session.max_participants:
        raise RoomFull(session.id, session.max_participants)
    joined = _stored(
        session,
        status="open" if session.status == "scheduled" else session.status,
        waiting=_without_one(session.waiting, participant),
    )
    seat = Seat(session.id, participant, joined.incarnation)
    if before is None:
        now_present = Presence(seat.incarnation)
        events: tuple[Event, ...] = (ParticipantJoined(session.id, participant),)
    else:
        now_present = replace(before, incarnation=seat.incarnation, socket_lost_at=None)
        events = ()
    change = _with_presence(joined, participant, now_present, now)
    return replace(change, events=(*events, *change.events)), seat


def _wait(session: Session, participant: ParticipantId) -> Change:
    if participant in session.waiting:
        return Change(session)
    return Change(
        _stored(session, waiting=(*session.waiting, participant)),
        (RoomChanged(),),
        (ParticipantWaiting(session.id, participant),),
    )


def stop_waiting(session: Session, participant: ParticipantId) -> Change:
    """One who waited went away, or never did wait."""
    if participant not in session.waiting:
        return Change(session)
    after = replace(
        session,
        version=session.version + 1,
        waiting=_without_one(session.waiting, participant),
    )
    return Change(after, (RoomChanged(),))


def admit(session: Session, seat: Seat, participant: ParticipantId) -> Change:
    """Let a client in, for the whole session; again changes nothing.

    Raises NotInvited, RoleForbidden, SessionOver, NotJoined, SeatReplaced.
    """
    by = session.invitations.get(seat.participant)
    admitted = session.invitations.get(participant)
    if by is None or admitted is None:
        raise NotInvited(session.id, seat.participant if by is None else participant)
    if by.role != "therapist":
        raise RoleForbidden(by.role)
    presence(session, seat)
    if admitted.admitted:
        return Change(session)
    after = _stored(
        session,
        invitations=MappingProxyType(
            {**session.invitations, participant: replace(admitted, admitted=True)}
        ),
        waiting=_without_one(session.waiting, participant),
    )
    event = ParticipantAdmitted(session.id, participant, by=seat.participant)
    return Change(after, (Admitted(participant), RoomChanged()), (event,))


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


def end(session: Session, seat: Seat, now: datetime, overlap_s: int = 0) -> Change:
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
    return _ended(session, "therapist", by, now, overlap_s)


def end_by_admin(session: Session, now: datetime, overlap_s: int = 0) -> Change:
    """End the session from outside; again changes nothing."""
    if session.ended is not None:
        return Change(session)
    return _ended(session, "admin", None, now, overlap_s)


def confirm(session: Session, user: UserId, now: datetime) -> Change:
    """The therapist says that a session that timed out took place; again changes nothing.

    Raises NotInvited, RoleForbidden, NotConfirmable.
    """
    by = invitation_of(session, user)
    if by.role != "therapist":
        raise RoleForbidden(by.role)
    if session.ended is not None and session.ended.confirmed_at is not None:
        return Change(session)
    if session.ended is None or not session.confirmable:
        raise NotConfirmable(session.id)
    after = _stored(session, ended=replace(session.ended, confirmed_at=now))
    return Change(after, (), (SessionConfirmed(session.id, user),))


def invitation_of(session: Session, user: UserId) -> Invitation:
    """A user's own invitation, whatever the session's state. Raises NotInvited."""
    for one in session.invitations.values():
        if one.user == user:
            return one
    raise NotInvited(session.id, ParticipantId(""))


def expire(
    session: Session, now: datetime, overtime: timedelta = OVERTIME, overlap_s: int = 0
) -> Change:
    """Whatever time alone brings about.

    Those without a socket for GRACE go. An empty room past its booked end is over: `no_show`
    when it never was live, else `timeout`. So is one with people in it, past the overtime.
    """
    if session.ended is not None:
        return Change(session)
    gone = tuple(
        participant
        for participant, present in session.present.items()
        if present.socket_lost_at is not None and now - present.socket_lost_at >= GRACE
    )
    change = _without(session, gone) if gone else Change(session)
    empty = not change.session.present
    if now < session.ends_at + (GRACE if empty else max(GRACE, overtime)):
        return change
    cause: EndCause = "no_show" if session.live_since is None else "timeout"
    last = _ended(change.session, cause, None, now, overlap_s)
    return Change(last.session, (*change.effects, *last.effects), (*change.events, *last.events))


def _ended(
    session: Session, cause: EndCause, by: Invitation | None, now: datetime, overlap_s: int
) -> Change:
    lasted = timedelta(0) if session.live_since is None else now - session.live_since
    ended = Ended(
        cause=cause,
        ended_by=None if by is None else by.id,
        name=None if by is None else by.name,
        ended_at=now,
        duration_s=max(0, int(lasted.total_seconds())),
        overlap_s=overlap_s,
    )
    after = _stored(
        session,
        status="ended",
        present=MappingProxyType({}),
        waiting=(),
        speaker=None,
        ended=ended,
    )
    event = SessionEnded(
        session.id,
        cause=cause,
        ended_by=ended.ended_by,
        ended_at=now,
        duration_s=ended.duration_s,
        overlap_s=overlap_s,
    )
    return Change(after, (Closed(ended),), (event,))


def _stored(session: Session, **fields: Any) -> Session:
    """The session with other fields, as its next incarnation."""
    incarnation = session.incarnation + 1
    version = max(session.version + 1, first_version(incarnation))
    return replace(session, incarnation=incarnation, version=version, **fields)


def _with_presence(
    session: Session, participant: ParticipantId, present: Presence, now: datetime
) -> Change:
    """The session with one presence as given; live once a therapist and a client connected."""
    everyone = MappingProxyType({**session.present, participant: present})
    after = replace(session, version=session.version + 1, present=everyone)
    if after.status == "open" and _both_connected(after):
        live = _stored(after, status="live", live_since=now)
        return Change(live, (RoomChanged(),), (SessionLive(session.id),))
    return Change(after, (RoomChanged(),))


def _without(session: Session, gone: tuple[ParticipantId, ...]) -> Change:
    remaining = MappingProxyType(
        {p: there for p, there in session.present.items() if p not in gone}
    )
    speaker = None if session.speaker in gone else session.speaker
    return Change(
        _stored(session, present=remaining, speaker=speaker),
        (*map(ParticipantRemoved, gone), RoomChanged()),
        tuple(ParticipantLeft(session.id, one) for one in gone),
    )


def _without_one(
    waiting: tuple[ParticipantId, ...], participant: ParticipantId
) -> tuple[ParticipantId, ...]:
    return tuple(one for one in waiting if one != participant)


def _both_connected(session: Session) -> bool:
    roles = {
        session.invitations[participant].role
        for participant, present in session.present.items()
        if present.media == "connected" and present.socket_lost_at is None
    }
    return roles == {"therapist", "client"}
