"""The sessions of this process, in memory: applies the life cycle and carries out its effects.

Owned by the event loop; every verb is synchronous and atomic to it. A command's new state is
stored before any effect, effects happen in the order the life cycle gave them, and media is
closed before anyone is told. Verbs raise what `rooms.lifecycle` raises, and SessionUnknown.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from rooms import lifecycle
from rooms.errors import SessionUnknown, TooManySessions
from rooms.lifecycle import (
    LINKS_OUTLIVE_SESSION,
    Change,
    Ended,
    ForwardingSet,
    Invitation,
    ParticipantRemoved,
    RoomChanged,
    Seat,
    Session,
    SessionEnded,
)
from rooms.ports import Audience, Clock, MediaPlane
from rooms.snapshot import RoomState, room_state
from rooms.vocabulary import Media, ParticipantId, Quality, Role, SessionId

# A session and its people take about 2 KB: all that may be kept take 20 MB.
MAX_SESSIONS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Joined:
    """What one who joined is told."""

    seat: Seat
    session: Session
    state: RoomState


class SessionService:
    """All sessions, until they are forgotten."""

    def __init__(
        self, clock: Clock, media: MediaPlane, audience: Audience, max_participants: int
    ) -> None:
        self._clock = clock
        self._media = media
        self._audience = audience
        self._max_participants = max_participants
        self._sessions: dict[SessionId, Session] = {}

    def create(
        self,
        people: Sequence[tuple[str, Role]],
        *,
        title: str,
        starts_at: datetime,
        length: timedelta,
        links_outlive: timedelta = LINKS_OUTLIVE_SESSION,
    ) -> Session:
        """Schedule a session for these (name, role). Raises TooManySessions."""
        if len(self._sessions) >= MAX_SESSIONS:
            raise TooManySessions(MAX_SESSIONS)
        invited = [
            Invitation(ParticipantId(secrets.token_hex(8)), name, role) for name, role in people
        ]
        session = Session(
            id=SessionId(secrets.token_hex(8)),
            title=title,
            starts_at=starts_at,
            ends_at=starts_at + length,
            invitations=MappingProxyType({one.id: one for one in invited}),
            max_participants=self._max_participants,
            links_outlive=links_outlive,
        )
        self._sessions[session.id] = session
        return session

    def session(self, session: SessionId) -> Session:
        """The session as it is now."""
        found = self._sessions.get(session)
        if found is None:
            raise SessionUnknown(session)
        return found

    def invitation(self, session: SessionId, participant: ParticipantId) -> Invitation:
        """Whether the participant may come in now, and as whom."""
        return lifecycle.invitation(self.session(session), participant)

    def check(self, seat: Seat) -> None:
        """Raise unless the seat is the participant's present one."""
        lifecycle.presence(self.session(seat.session), seat)

    def state(self, session: SessionId) -> RoomState:
        """What members see now."""
        return room_state(self.session(session))

    def join(self, session: SessionId, participant: ParticipantId) -> Joined:
        """Bring a participant in; its earlier seat, if it has one, is replaced."""
        change, seat = lifecycle.join(self.session(session), participant, self._clock.now())
        self._apply(change)
        return Joined(seat, change.session, room_state(change.session))

    def leave(self, seat: Seat) -> None:
        """Let a participant go; its media is closed on return."""
        self._apply(lifecycle.leave(self.session(seat.session), seat))

    def lose_socket(self, seat: Seat) -> None:
        """Note that the seat's socket is gone; `expire` removes it when it stays away."""
        self._apply(lifecycle.lose_socket(self.session(seat.session), seat, self._clock.now()))

    def set_state(
        self,
        seat: Seat,
        *,
        microphone: bool | None = None,
        camera: bool | None = None,
        screen: bool | None = None,
        fullscreen: bool | None = None,
    ) -> int:
        """Switch what is given, enforced by the media plane on return. The room's version."""
        change = lifecycle.set_state(
            self.session(seat.session),
            seat,
            self._clock.now(),
            microphone=microphone,
            camera=camera,
            screen=screen,
            fullscreen=fullscreen,
        )
        self._apply(change)
        return change.session.version

    def end(self, seat: Seat) -> Ended:
        """End the session; again gives the same answer and does nothing."""
        change = lifecycle.end(self.session(seat.session), seat, self._clock.now())
        self._apply(change)
        assert change.session.ended is not None
        return change.session.ended

    def media_changed(self, session: SessionId, participant: ParticipantId, media: Media) -> None:
        """The media plane's news; it may come late, so nothing unknown is an error."""
        known = self._sessions.get(session)
        if known is not None:
            self._apply(lifecycle.media_changed(known, participant, media, self._clock.now()))

    def quality_changed(
        self, session: SessionId, participant: ParticipantId, quality: Quality | None
    ) -> None:
        """The media plane's measure of a connection; like `media_changed`, it may come late."""
        known = self._sessions.get(session)
        if known is not None:
            self._apply(lifecycle.quality_changed(known, participant, quality, self._clock.now()))

    def speaker_changed(self, session: SessionId, speaker: ParticipantId | None) -> None:
        """Whom the media plane hears; like `media_changed`, it may come late."""
        known = self._sessions.get(session)
        if known is not None:
            self._apply(lifecycle.speaker_changed(known, speaker))

    def expire(self) -> None:
        """Do what is due by now, in all sessions; forget those whose last link has expired.

        To be called about once a second. O(sessions).
        """
        now = self._clock.now()
        for session in list(self._sessions.values()):
            if session.ended is None:
                self._apply(lifecycle.expire(session, now))
            elif now >= session.links_until:
                del self._sessions[session.id]

    def _apply(self, change: Change) -> None:
        session = change.session
        self._sessions[session.id] = session
        for effect in change.effects:
            match effect:
                case ForwardingSet(participant, source, enabled):
                    self._media.set_forwarding(session.id, participant, source, enabled)
                case ParticipantRemoved(participant):
                    self._media.remove_participant(session.id, participant)
                case SessionEnded(ended):
                    self._media.close_session(session.id)
                    self._audience.session_ended(session.id, ended)
                case RoomChanged():
                    # The state of now: an effect before this one may have come back with news.
                    self._audience.room_changed(session.id, self.state(session.id))
