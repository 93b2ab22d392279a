"""The ICE servers of one participant, with credentials that a coturn server takes for a while.

Pure. coturn shares one secret with us (`use-auth-secret`, `static-auth-secret`) and keeps no
accounts: the user name says until when it is good, the password proves that we wrote it.
Source: draft-uberti-behave-turn-rest-00, 2.2; coturn's turnserver.conf.
"""

import base64
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

# coturn asks for them whenever a browser allocates: at a connection, and at an ICE restart. A
# session may go on past its booked end; whoever joins again, or reloads, gets new ones.
OUTLIVE: Final = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class StunServer:
    """Tells a browser its own address; asks for nothing."""

    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TurnServer:
    """Relays for whoever has credentials."""

    urls: tuple[str, ...]
    username: str
    credential: str = field(repr=False)


class IceServers:
    """What the settings name, ready to be handed to participants."""

    def __init__(self, urls: Sequence[str], secret: str) -> None:
        self._stun = tuple(url for url in urls if _is_stun(url))
        self._turn = tuple(url for url in urls if not _is_stun(url))
        self._secret = secret.encode()

    def of(
        self, participant: str, ends_at: datetime, now: datetime
    ) -> tuple[StunServer | TurnServer, ...]:
        """Good until OUTLIVE after the session's booked end, or after now where that has passed."""
        servers: list[StunServer | TurnServer] = []
        if self._stun:
            servers.append(StunServer(self._stun))
        if self._turn:
            expiry = max(ends_at, now) + OUTLIVE
            username = f"{int(expiry.timestamp())}:{participant}"
            password = hmac.digest(self._secret, username.encode(), "sha1")
            servers.append(
                TurnServer(self._turn, username, base64.b64encode(password).decode("ascii"))
            )
        return tuple(servers)


def _is_stun(url: str) -> bool:
    return url.startswith(("stun:", "stuns:"))
