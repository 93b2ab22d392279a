"""What the rooms ask of the world around them; signaling/wiring.py supplies it.

Nothing here knows how media flows or how a browser is told.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from rooms.attendance import Interval
from rooms.session import Ended, Session
from rooms.snapshot import RoomState
from rooms.vocabulary import ParticipantId, SessionId


class Clock(Protocol):
    def now(self) -> datetime:
        """The present instant, aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""


class MediaPlane(Protocol):
    """The SFU as the rooms see it. Every verb has taken effect when it returns."""

    def set_forwarding(
        self, session: SessionId, participant: ParticipantId, source: str, enabled: bool
    ) -> None:
        """Let a participant's "microphone", "camera" or "screen" through, or drop its packets.

        Remembered for tracks that come later, for as long as the participant is in the room.
        The screen of a newcomer is not let through: whether it is shared is for others to see.
        Of a participant it does not know, nothing.
        """

    def remove_participant(self, session: SessionId, participant: ParticipantId) -> None:
        """Close the participant's connection; no packet to or from it afterwards. Idempotent."""

    def close_session(self, session: SessionId) -> None:
        """Close every connection of the session. Idempotent."""

    def heard(self, session: SessionId) -> Mapping[str, float]:
        """How many seconds ago an authentic packet last came from each participant.

        Those whose connection is not established are left out. Of a session it does not know,
        nothing.
        """


class Audience(Protocol):
    """Whoever is connected to a session and is to be told."""

    def room_changed(self, session: SessionId, state: RoomState) -> None: ...

    def session_ended(self, session: SessionId, ended: Ended) -> None: ...

    def admitted(self, session: SessionId, participant: ParticipantId) -> None:
        """Tell one who waits to come in."""

    def heard(self, session: SessionId) -> Mapping[str, float]:
        """How many seconds ago the page of each participant in the room was last heard."""


class Notary(Protocol):
    """Whoever signs what this server observed."""

    def receipt(self, session: Session, attendance: Sequence[Interval], /) -> str:
        """The signed receipt of a session that is over, as the text of a file."""
