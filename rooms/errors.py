"""What the rooms refuse, each with a stable code that a client may read."""

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from rooms.session import Ended


class RoomsError(Exception):
    """Base of every refusal by this package. A refused command has changed nothing."""

    code: ClassVar[str]


class SessionUnknown(RoomsError):
    """No such session, or its last link has expired and it was forgotten."""

    code = "session.unknown"

    def __init__(self, session: str) -> None:
        super().__init__(f"no session {session}")
        self.session = session


class SessionOver(RoomsError):
    """The session has ended; nothing revives it."""

    code = "session.ended"

    def __init__(self, session: str, ended: "Ended") -> None:
        super().__init__(f"session {session} has ended")
        self.session = session
        self.ended = ended


class NotInvited(RoomsError):
    """The session is not for this participant."""

    code = "token.invalid"

    def __init__(self, session: str, participant: str) -> None:
        super().__init__(f"participant {participant} does not belong to session {session}")
        self.session = session
        self.participant = participant


class NotOpenYet(RoomsError):
    """The room opens later."""

    code = "session.not_open"

    def __init__(self, session: str, opens_at: datetime) -> None:
        super().__init__(f"session {session} opens at {opens_at.isoformat()}")
        self.session = session
        self.opens_at = opens_at


class NotConfirmable(RoomsError):
    """Nothing about the session is to be confirmed: it did not time out, or was never live."""

    code = "session.not_confirmable"

    def __init__(self, session: str) -> None:
        super().__init__(f"session {session} is not one to be confirmed")
        self.session = session


class RoomFull(RoomsError):
    """As many participants are in the room as may be."""

    code = "room.full"

    def __init__(self, session: str, limit: int) -> None:
        super().__init__(f"session {session} has its most participants ({limit})")
        self.session = session
        self.limit = limit


class NotJoined(RoomsError):
    """The participant is not in the room: never joined, left, or away for too long."""

    code = "room.not_joined"

    def __init__(self, session: str, participant: str) -> None:
        super().__init__(f"participant {participant} is not in session {session}")
        self.session = session
        self.participant = participant


class SeatReplaced(RoomsError):
    """A later join of the same participant took this seat."""

    code = "room.replaced"

    def __init__(self, session: str, participant: str, incarnation: int, current: int) -> None:
        super().__init__(
            f"join {incarnation} of participant {participant} in session {session} "
            f"was replaced by join {current}"
        )
        self.session = session
        self.participant = participant
        self.incarnation = incarnation
        self.current = current


class RoleForbidden(RoomsError):
    """This role may not do that."""

    code = "role.forbidden"

    def __init__(self, role: str) -> None:
        super().__init__(f"a {role} may not do that")
        self.role = role
