"""The HTTP side: tokens, sessions, health and metrics, and the headers of every answer."""

import secrets
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog
from aiohttp import web

from rooms.errors import RoleForbidden, RoomsError
from rooms.people.service import People
from rooms.ports import Clock
from rooms.service import Person, SessionService
from rooms.session import LINKS_OUTLIVE_SESSION, Session
from rooms.vocabulary import ParticipantId, Role, SessionId
from signaling.accounts import Accounts
from signaling.admission import AdmissionControl, as_refused
from signaling.errors import ERRORS, Refused, error_body
from signaling.metrics import CONTENT_TYPE, Metrics
from signaling.protocol import MAX_MESSAGE_BYTES, EndedSaid, PayloadType, SessionRequest, said
from signaling.rate import TokenBucket, TokenBuckets
from signaling.requests import bearer, check_origin, json_body
from signaling.tokens import (
    JOIN_TOKEN_LIFETIME,
    JOIN_TOKENS_BURST,
    JOIN_TOKENS_PER_SECOND,
    Grant,
    Tokens,
    room_link,
)

log = structlog.get_logger(__name__)

_SESSION_REQUEST: Final = PayloadType(SessionRequest)
# Anyone may make one, with two accounts: each costs a tenth of a second of a core.
_DEMOS_PER_SECOND: Final = 1
_DEMOS_BURST: Final = 20
_DEMO_LINKS_OUTLIVE: Final = timedelta(hours=1)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Api:
    """The routes. url: where browsers find this server, for the links in answers.

    check_ready: raises what is out of order.
    """

    rooms: SessionService
    admission: AdmissionControl
    people: People
    accounts: Accounts
    tokens: Tokens
    clock: Clock
    metrics: Metrics
    url: str
    origins: Collection[str]
    demo_sessions: bool
    check_ready: Callable[[], Awaitable[None]]
    _demos: TokenBucket = field(
        init=False, default_factory=lambda: TokenBucket(_DEMOS_PER_SECOND, _DEMOS_BURST, now_s=0)
    )
    _join_tokens: TokenBuckets[Grant] = field(
        init=False,
        default_factory=lambda: TokenBuckets(JOIN_TOKENS_PER_SECOND, JOIN_TOKENS_BURST),
    )

    def attach(self, app: web.Application) -> None:
        """Serve the routes, on an application made by `application`."""
        app.router.add_get("/healthz", self.health)
        app.router.add_get("/readyz", self.readiness)
        app.router.add_get("/metrics", self.exposition)
        app.router.add_post("/api/join-token", self.join_token)
        app.router.add_post("/api/sessions", self.create_session)
        app.router.add_post("/api/sessions/{session}/end", self.end_session)
        if self.demo_sessions:
            app.router.add_post("/api/demo", self.create_demo)

    async def health(self, _: web.Request) -> web.Response:
        """200 while the server can answer at all."""
        return web.json_response({"status": "ok"})

    async def readiness(self, _: web.Request) -> web.Response:
        """200 while what joins need works; `busy` while newcomers are to wait all the same.

        Too much to do is no reason to be without traffic: those who are in a call reload, refresh
        and end it by way of this server and no other.
        """
        await self.check_ready()
        busy = bool(self.admission.overload.reasons)
        return web.json_response({"status": "ready", "busy": busy})

    async def exposition(self, _: web.Request) -> web.Response:
        """The counters, for Prometheus."""
        samples = await self.metrics.exposition()
        return web.Response(body=samples, headers={"Content-Type": CONTENT_TYPE})

    async def join_token(self, request: web.Request) -> web.Response:
        """A link token for a join token, while the session is not over."""
        grant = self.tokens.read_link(bearer(request))
        if not self._join_tokens.take(grant, self.clock.monotonic()):
            raise Refused("rate.limited")
        await self.admission.check(grant)
        lifetime_s = int(JOIN_TOKEN_LIFETIME.total_seconds())
        return web.json_response({"token": self.tokens.join(grant), "expires_in": lifetime_s})

    async def create_session(self, request: web.Request) -> web.Response:
        """A session that starts now, for whoever has the admin token."""
        self.tokens.check_admin(bearer(request))
        return await self._created(_SESSION_REQUEST.read(await json_body(request)))

    async def end_session(self, request: web.Request) -> web.Response:
        """End a session from outside, for an admin; again says the same."""
        if bearer(request) is not None:
            self.tokens.check_admin(bearer(request))
        else:
            await self.accounts.signed_in_admin(request)
        session = SessionId(request.match_info["session"])
        return web.json_response(said(EndedSaid, await self.rooms.end_by_admin(session)))

    async def create_demo(self, request: web.Request) -> web.Response:
        """The same with made-up names, for the button on the home page."""
        check_origin(request, self.origins)
        self.admission.check_room()
        if not self._demos.take(self.clock.monotonic()):
            raise Refused("rate.limited")
        password, number = secrets.token_urlsafe(12), secrets.token_hex(4)
        emails = {
            "therapist": f"lena.{number}@demo.invalid",
            "client": f"maya.{number}@demo.invalid",
        }
        await self.people.add(emails["therapist"], "Dr. Lena Hart", "therapist", password)
        await self.people.add(emails["client"], "Maya Lind", "client", password)
        wanted = SessionRequest(
            therapist_email=emails["therapist"],
            client_email=emails["client"],
            title="Demo session",
        )
        accounts = [
            {"role": role, "email": email, "password": password} for role, email in emails.items()
        ]
        return await self._created(wanted, _DEMO_LINKS_OUTLIVE, accounts=accounts)

    async def _person(self, name: str | None, email: str | None, role: Role) -> Person:
        """Whoever is wanted for a session. Raises UserUnknown, RoleForbidden."""
        if email is None:
            assert name is not None, "SessionRequest saw to it"
            return Person(name, role)
        user = await self.people.find(email)
        if user.role != role:
            raise RoleForbidden(user.role)
        return Person(user.name, role, user.id)

    async def _created(
        self,
        wanted: SessionRequest,
        links_outlive: timedelta = LINKS_OUTLIVE_SESSION,
        **more: object,
    ) -> web.Response:
        session = await self.rooms.create(
            [
                await self._person(wanted.therapist, wanted.therapist_email, "therapist"),
                await self._person(wanted.client, wanted.client_email, "client"),
                *(Person(other, "client") for other in wanted.others),
            ],
            title=wanted.title,
            starts_at=wanted.starts_at or self.clock.now(),
            length=timedelta(minutes=wanted.minutes),
            links_outlive=links_outlive,
            waiting_room=wanted.waiting_room,
        )
        log.info("session.created", session=session.id)
        therapist, client, *others = (self._link(session, one) for one in session.invitations)
        made: dict[str, object] = {
            "session_id": session.id,
            "therapist_url": therapist,
            "client_url": client,
        }
        if others:
            made["other_urls"] = others
        return web.json_response(made | more, status=201)

    def _link(self, session: Session, participant: ParticipantId) -> str:
        grant = Grant(session.id, participant, session.invitations[participant].role)
        return room_link(self.url, self.tokens, session, grant)


def application(origins: Collection[str], metrics: Metrics) -> web.Application:
    """An empty application that turns refusals into answers and puts our headers on all."""

    @web.middleware
    async def answer_refusals(request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            return await _answered(request, handler)
        except Refused as refused:
            metrics.refused_requests.labels(code=refused.code).inc()
            body = {"error": error_body(refused)}
            retry_after = refused.more.get("retry_after")
            headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
            return web.json_response(body, status=ERRORS[refused.code].status, headers=headers)

    app = web.Application(middlewares=[answer_refusals], client_max_size=MAX_MESSAGE_BYTES)
    headers = _security_headers(origins)

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(headers)
        if request.path.startswith("/api/"):
            response.headers["Cache-Control"] = "no-store"

    app.on_response_prepare.append(add_headers)
    return app


async def _answered(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """The handler's answer. Raises Refused for whatever is refused or fails, and HTTPException."""
    try:
        return await handler(request)
    except (Refused, RoomsError) as refusal:
        raise as_refused(refusal) from None
    except web.HTTPRequestEntityTooLarge:
        raise Refused("message.too_large") from None
    except web.HTTPException:
        raise
    except Exception as failure:
        error_id = secrets.token_hex(4)
        log.error("request.failed", error_id=error_id, path=request.path, exc_info=failure)
        raise Refused("internal", error_id=error_id) from failure


def _security_headers(origins: Collection[str]) -> dict[str, str]:
    # Not every browser takes 'self' for a WebSocket, so ours are named.
    sockets = " ".join(origin.replace("http", "ws", 1) for origin in origins)
    policy = (
        "default-src 'self'",
        f"connect-src 'self' {sockets}",
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
