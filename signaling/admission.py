"""Who may come in, and what a refusal by any package is on the wire: for sockets and HTTP alike."""

from media.errors import MediaError
from rooms.errors import NotOpenYet, RoomsError, SessionOver
from rooms.service import SessionService
from signaling.errors import Refused
from signaling.protocol import EndedSaid, OpensSaid, said
from signaling.tokens import Grant


async def check_invited(rooms: SessionService, grant: Grant) -> None:
    """Raise unless the bearer of a token is invited to its session, in its role, by now.

    Raises Refused(token.invalid), SessionUnknown, NotInvited, SessionOver, NotOpenYet.
    """
    if (await rooms.invitation(grant.session, grant.participant)).role != grant.role:
        raise Refused("token.invalid")


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
