"""Load tests, over HTTP: only of a server whose owner has set a key for them.

Whoever has the key makes sessions of made-up people and nothing else. The server goes first: it
proves that it has the key itself, so that no other is loaded, or sees a token.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from aiohttp import web

from rooms.ports import Clock
from rooms.service import Person, SessionService
from signaling.protocol import LoadTestChallenge, LoadTestRoom, PayloadType
from signaling.requests import bearer, json_body
from signaling.tokens import Grant, Tokens, room_link

log = structlog.get_logger(__name__)

_CHALLENGE: Final = PayloadType(LoadTestChallenge)
_ROOM: Final = PayloadType(LoadTestRoom)
# As long as the longest test, and some minutes.
_LENGTH: Final = timedelta(minutes=90)
_LINKS_OUTLIVE: Final = timedelta(0)


@dataclass(frozen=True, slots=True)
class LoadTest:
    """The routes. keyed: tokens of the load-test key; tokens: of the secret, for the links.

    url: where browsers find this server.
    """

    rooms: SessionService
    keyed: Tokens
    tokens: Tokens
    clock: Clock
    url: str

    def attach(self, app: web.Application) -> None:
        """Serve the routes, on an application made by `signaling.http.application`."""
        app.router.add_post("/api/load-test", self.prove)
        app.router.add_post("/api/load-test/sessions", self.create)

    async def prove(self, request: web.Request) -> web.Response:
        """That this server has the load-test key. Anyone may ask: it makes no token."""
        asked = _CHALLENGE.read(await json_body(request))
        return web.json_response({"proof": self.keyed.load_proof(asked.nonce, self.url)})

    async def create(self, request: web.Request) -> web.Response:
        """A session that starts now; its links, the therapist's first."""
        self.keyed.check_load(bearer(request))
        wanted = _ROOM.read(await json_body(request))
        session = await self.rooms.create(
            [
                Person(f"Load {number}", "client" if number else "therapist")
                for number in range(wanted.people)
            ],
            title="Load test",
            starts_at=self.clock.now(),
            length=_LENGTH,
            links_outlive=_LINKS_OUTLIVE,
        )
        log.info("session.created", session=session.id)
        links = [
            room_link(self.url, self.tokens, session, Grant(session.id, one.id, one.role))
            for one in session.invited
        ]
        return web.json_response({"session_id": session.id, "urls": links}, status=201)
