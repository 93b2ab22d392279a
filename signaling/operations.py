"""What an admin sees of the server as a whole, now: figures, ids of rooms, and no person.

Rates are for the reader to tell, from two answers: what flows is told in totals, with the
server's clock beside them. So nothing is kept for whoever looks on.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from aiohttp import web

from media.census import Census, Line
from rooms.db.engine import StorageFailed
from rooms.outbox import Backlog
from rooms.ports import Clock
from signaling.accounts import Accounts
from signaling.lag import Lag
from signaling.protocol import OperationsSaid, said

# More than anyone reads; a room of two costs the event loop some 30 µs.
_ROOMS_SHOWN: Final = 50


class MediaFigures(Protocol):
    """What the media plane tells of itself: a part of `media.sfu.Sfu`."""

    def stats(self) -> dict[str, int]: ...
    @property
    def relay_busy_s(self) -> float: ...
    def census(self) -> Census: ...
    def lines(self, rooms_at_most: int) -> Mapping[str, Sequence[Line]]: ...


@dataclass(frozen=True, slots=True)
class Operations:
    """The route. sockets: how many are open. refusing: why newcomers are, if they are."""

    accounts: Accounts
    clock: Clock
    media: MediaFigures
    lag: Callable[[], Lag]
    backlog: Callable[[], Awaitable[Backlog]]
    sockets: Callable[[], int]
    refusing: Callable[[], Collection[str]]

    def attach(self, app: web.Application) -> None:
        """Serve the route, on an application made by `signaling.http.application`."""
        app.router.add_get("/api/operations", self.now)

    async def now(self, request: web.Request) -> web.Response:
        """Everything, for an admin."""
        await self.accounts.signed_in_admin(request)
        outbox = await self._outbox()
        census = self.media.census()
        figures = {
            "clock_s": self.clock.monotonic(),
            "refusing": sorted(self.refusing()),
            "sockets": self.sockets(),
            "participants": census.participants,
            "qualities": {word or "unknown": n for word, n in census.qualities.items()},
            "rooms": census.rooms,
            "worst_rooms": [
                {"session_id": session, "lines": lines}
                for session, lines in self.media.lines(_ROOMS_SHOWN).items()
            ],
            "loop_lag": self.lag(),
            "relays": [self.media.stats() | {"busy_s": self.media.relay_busy_s}],
            "outbox": outbox,
        }
        return web.json_response(said(OperationsSaid, figures))

    async def _outbox(self) -> dict[str, Any] | None:
        """None while the database does not answer."""
        try:
            found = await self.backlog()
        except StorageFailed:
            return None
        return {
            "pending": found.pending,
            "oldest_s": found.oldest_s(self.clock.now()),
            "parked": [{"hook": hook, "number": n} for hook, n in sorted(found.parked.items())],
        }
