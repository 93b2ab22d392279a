"""What the rooms ask of the world, in memory: no media flows and nobody is told."""

from collections.abc import Callable, Sequence

from rooms.attendance import Interval
from rooms.session import Ended, Session
from rooms.snapshot import RoomState
from rooms.vocabulary import ParticipantId, SessionId


class World:
    """Media plane, audience and notary in one, so that the order between them is seen.

    silences: how long ago each connected participant was last heard, in seconds.
    """

    def __init__(self) -> None:
        self.story: list[str] = []
        self.silences: dict[str, float] = {}
        self.on_close: Callable[[], None] = lambda: None

    def set_forwarding(
        self, _session: SessionId, _participant: ParticipantId, source: str, enabled: bool
    ) -> None:
        self.story.append(f"{source} {'on' if enabled else 'off'}")

    def remove_participant(self, _session: SessionId, _participant: ParticipantId) -> None:
        self.story.append("media removed")

    def close_session(self, _session: SessionId) -> None:
        self.story.append("media closed")
        self.on_close()

    def heard(self, _session: SessionId) -> dict[str, float]:
        return self.silences

    def room_changed(self, _session: SessionId, state: RoomState) -> None:
        self.story.append(f"told of {len(state.participants)}, {len(state.waiting)} waiting")

    def session_ended(self, _session: SessionId, ended: Ended) -> None:
        self.story.append(f"told ended by {ended.name}")

    def admitted(self, _session: SessionId, _participant: ParticipantId) -> None:
        self.story.append("told admitted")

    def receipt(self, session: Session, attendance: Sequence[Interval]) -> str:
        return f"{session.id}: {len(attendance)} intervals"
