"""The HTTP side: tokens, sessions, health and metrics, and the headers of every answer."""

import json
import secrets
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from aiohttp import web

from rooms.errors import RoomsError
from rooms.lifecycle import ParticipantId, Session
from rooms.ports import Clock
from rooms.service import SessionService
from signaling.errors import ERRORS, Refused, error_body
from signaling.metrics import CONTENT_TYPE, Metrics
from signaling.protocol import MAX_MESSAGE_BYTES, PayloadType, SessionRequest
from signaling.tokens import JOIN_TOKEN_LIFETIME, Grant, Tokens

log = structlog.get_logger(__name__)

_SESSION_REQUEST: Final = PayloadType(SessionRequest)
_DEMO_SESSION: Final = SessionRequest(
    therapist="Dr. Lena Hart", client="Maya Lind", title="Demo session"
)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Api:
    """The routes. url: where browsers find this server, for the links in answers."""

    rooms: SessionService
    tokens: Tokens
    clock: Clock
    metrics: Metrics
    url: str
    origins: Collection[str]
    demo_sessions: bool

    def attach(self, app: web.Application) -> None:
        """Serve the routes, on an application made by `application`."""
        app.router.add_get("/healthz", self.health)
        app.router.add_get("/metrics", self.exposition)
        app.router.add_post("/api/join-token", self.join_token)
        app.router.add_post("/api/sessions", self.create_session)
        if self.demo_sessions:
            app.router.add_post("/api/demo", self.create_demo)

    async def health(self, _: web.Request) -> web.Response:
        """200 while the server can answer at all."""
        return web.json_response({"status": "ok"})

    async def exposition(self, _: web.Request) -> web.Response:
        """The counters, for Prometheus."""
        return web.Response(body=self.metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    async def join_token(self, request: web.Request) -> web.Response:
        """A link token for a join token, while the session is not over."""
        grant = self.tokens.read_link(_bearer(request))
        invited = self.rooms.invitation(grant.session, grant.participant)
        if invited.role != grant.role:
            raise Refused("token.invalid")
        lifetime_s = int(JOIN_TOKEN_LIFETIME.total_seconds())
        return web.json_response({"token": self.tokens.join(grant), "expires_in": lifetime_s})

    async def create_session(self, request: web.Request) -> web.Response:
        """A session that starts now, for whoever has the admin token."""
        self.tokens.check_admin(_bearer(request))
        return self._created(_SESSION_REQUEST.read(await _json(request)))

    async def create_demo(self, request: web.Request) -> web.Response:
        """The same with made-up names, for the button on the home page."""
        origin = request.headers.get("Origin")
        if origin is not None and origin not in self.origins:
            raise Refused("origin.forbidden")
        return self._created(_DEMO_SESSION)

    def _created(self, wanted: SessionRequest) -> web.Response:
        session = self.rooms.create(
            [
                (wanted.therapist, "therapist"),
                *((client, "client") for client in (wanted.client, *wanted.others)),
            ],
            title=wanted.title,
            starts_at=self.clock.now(),
            length=timedelta(minutes=wanted.minutes),
        )
        log.info("session.created", session=session.id)
        therapist, client, *others = (self._link(session, one) for one in session.invitations)
        made: dict[str, str | list[str]] = {
            "session_id": session.id,
            "therapist_url": therapist,
            "client_url": client,
        }
        if others:
            made["other_urls"] = others
        return web.json_response(made, status=201)

    def _link(self, session: Session, participant: ParticipantId) -> str:
        grant = Grant(session.id, participant, session.invitations[participant].role)
        # The token is in the fragment, which browsers never send: it is in no log.
        return f"{self.url}/room/{session.id}#{self.tokens.link(grant, session.links_until)}"


def application(origins: Collection[str]) -> web.Application:
    """An empty application that turns refusals into answers and puts our headers on all."""
    app = web.Application(middlewares=[_refusals], client_max_size=MAX_MESSAGE_BYTES)
    headers = _security_headers(origins)

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(headers)
        if request.path.startswith("/api/"):
            response.headers["Cache-Control"] = "no-store"

    app.on_response_prepare.append(add_headers)
    return app


@web.middleware
async def _refusals(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (Refused, RoomsError) as refusal:
        return _error(refusal.code, detail=getattr(refusal, "detail", None))
    except web.HTTPRequestEntityTooLarge:
        return _error("message.too_large")
    except web.HTTPException:
        raise
    except Exception as failure:
        error_id = secrets.token_hex(4)
        log.error("request.failed", error_id=error_id, path=request.path, exc_info=failure)
        return _error("internal", error_id=error_id)


def _error(code: str, *, detail: str | None = None, error_id: str | None = None) -> web.Response:
    body = {"error": error_body(code, detail=detail, error_id=error_id)}
    return web.json_response(body, status=ERRORS[code].status)


def _bearer(request: web.Request) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


async def _json(request: web.Request) -> object:
    try:
        document: object = json.loads(await request.read())
    except (ValueError, RecursionError):
        raise Refused("message.malformed", "not JSON") from None
    return document


def _security_headers(origins: Collection[str]) -> dict[str, str]:
    # Not every browser takes 'self' for a WebSocket, so ours are named.
    sockets = " ".join(origin.replace("http", "ws", 1) for origin in origins)
    policy = (
        "default-src 'self'",
        f"connect-src 'self' {sockets}",
        "img-src 'self' data: blob:",
        "media-src 'self' blob: mediastream:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Server": "plumm",
        "Permissions-Policy": "camera=(self), microphone=(self), fullscreen=(self)",
    }
