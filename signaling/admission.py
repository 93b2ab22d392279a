"""Who may come in, and what a refusal by any package is on the wire: for sockets and HTTP alike."""

import secrets
from dataclasses import dataclass
from typing import Final

from media.errors import MediaError
from rooms.errors import NotOpenYet, RoomsError, SessionOver
from rooms.service import SessionService
from signaling.errors import Refused
from signaling.overload import Overload
from signaling.protocol import EndedSaid, OpensSaid, said
from signaling.tokens import Grant

# Apart, so that those who wait do not come back in one wave.
_RETRY_AFTER_S: Final = range(5, 11)


@dataclass(frozen=True, slots=True)
class AdmissionControl:
    """Asked at each door: for a join token, at a new socket, and at `room:join`."""

    rooms: SessionService
    overload: Overload

    async def check(self, grant: Grant) -> None:
        """Raise unless the bearer of a token is invited, in its role, by now, and there is room.

        Raises Refused(token.invalid, busy), SessionUnknown, NotInvited, SessionOver, NotOpenYet.
        """
        if (await self.rooms.invitation(grant.session, grant.participant)).role != grant.role:
            raise Refused("token.invalid")
        # Whoever is in the room, was before, or was let in by the therapist is no newcomer.
        if not self.rooms.knows(grant.session, grant.participant):
            self.check_room()

    def check_room(self) -> None:
        """Raise Refused(busy) while the server has too much to do."""
        if self.overload.reasons:
            raise Refused("busy", more={"retry_after": secrets.choice(_RETRY_AFTER_S)})


def as_refused(refusal: Refused | RoomsError | MediaError) -> Refused:
    """The refusal as this package's own, with all that the one who is refused may know.

    A session that is over says so to its participants only: others are NotInvited first.
    """
    match refusal:
        case Refused():
            return refusal
        case SessionOver(ended=ended):
            return Refused(refusal.code, more={"ended": said(EndedSaid, ended)})
        case NotOpenYet():
            return Refused(refusal.code, more=said(OpensSaid, refusal))
        case MediaError():
            return Refused(refusal.code, str(refusal)[:200])
    return Refused(refusal.code)
