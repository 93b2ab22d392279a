"""Signing in and out over HTTP, and who is signed in: the cookie's one reader."""

import asyncio
from collections.abc import Awaitable, Collection
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Final

import structlog
from aiohttp import web

from rooms.db.engine import StorageFailed
from rooms.errors import RoleForbidden
from rooms.people.accounts import User
from rooms.people.secret import sha256_of
from rooms.people.service import People
from rooms.ports import Clock
from rooms.vocabulary import SignInId, UserRole
from signaling.errors import Refused
from signaling.protocol import (
    ChosenPassword,
    MeSaid,
    PasswordReset,
    PayloadType,
    SignInRequest,
    SignOutRequest,
    said,
)
from signaling.rate import TokenBuckets
from signaling.requests import check_origin, client_network, json_body

log = structlog.get_logger(__name__)

# The prefix: browsers take it from this very host alone, for all of it, and over TLS
# (RFC 6265bis, 4.1.3.2).
COOKIE: Final = "__Host-plumm"

# From one network: people behind one router sign in together, and no more than that.
_TRIES_PER_SECOND: Final = 1
_TRIES_BURST: Final = 30
# For one account, whoever asks: mails that nobody wants.
_RESETS_PER_SECOND: Final = 1 / 300
_RESETS_BURST: Final = 3

_SIGN_IN: Final = PayloadType(SignInRequest)
_SIGN_OUT: Final = PayloadType(SignOutRequest)
_PASSWORD_RESET: Final = PayloadType(PasswordReset)
_CHOSEN_PASSWORD: Final = PayloadType(ChosenPassword)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Whoever sent a request, by the cookie."""

    user: User
    sign_in: SignInId

    @property
    def role(self) -> UserRole:
        return self.user.role


@dataclass(frozen=True, slots=True)
class Accounts:
    """The routes, and `signed_in` for those of others.

    cookie_lasts: how long browsers keep the cookie. proxies: whose X-Forwarded-For is believed.
    """

    people: People
    clock: Clock
    origins: Collection[str]
    cookie_lasts: timedelta
    proxies: Collection[IPv4Network | IPv6Network]
    _tries: TokenBuckets[str] = field(
        init=False, default_factory=lambda: TokenBuckets(_TRIES_PER_SECOND, _TRIES_BURST)
    )
    _resets: TokenBuckets[str] = field(
        init=False, default_factory=lambda: TokenBuckets(_RESETS_PER_SECOND, _RESETS_BURST)
    )
    _later: set[asyncio.Task[None]] = field(init=False, default_factory=set)

    def attach(self, app: web.Application) -> None:
        """Serve the routes, on an application made by `signaling.http.application`."""
        app.router.add_post("/api/sign-in", self.sign_in)
        app.router.add_post("/api/sign-out", self.sign_out)
        app.router.add_get("/api/me", self.me)
        app.router.add_post("/api/password-reset", self.request_reset)
        app.router.add_post("/api/password-reset/choose", self.choose_password)

    async def signed_in(self, request: web.Request) -> SignedIn:
        """Who sent this request. Raises SignInRequired, Refused(origin.forbidden)."""
        if request.method not in ("GET", "HEAD"):
            check_origin(request, self.origins)
        found = await self.people.signed_in(request.cookies.get(COOKIE))
        return SignedIn(found.user, found.id)

    async def signed_in_admin(self, request: web.Request) -> SignedIn:
        """The same, of an admin. Raises RoleForbidden, too."""
        who = await self.signed_in(request)
        if who.role != "admin":
            raise RoleForbidden(who.role)
        return who

    async def sign_in(self, request: web.Request) -> web.Response:
        """The right password for a cookie."""
        check_origin(request, self.origins)
        network = self._let_through(request)
        wanted = _SIGN_IN.read(await json_body(request))
        new = await self.people.sign_in(wanted.email, wanted.password, network)
        response = web.json_response(said(MeSaid, new.user))
        response.set_cookie(
            COOKIE,
            new.secret,
            max_age=int(self.cookie_lasts.total_seconds()),
            secure=True,
            httponly=True,
            samesite="Lax",
        )
        return response

    async def sign_out(self, request: web.Request) -> web.Response:
        """End this sign-in, or all of the user's."""
        who = await self.signed_in(request)
        wanted = _SIGN_OUT.read(await json_body(request))
        await self.people.sign_out(who.user.id, who.sign_in, everywhere=wanted.everywhere)
        response = web.Response(status=204)
        response.del_cookie(COOKIE, secure=True, httponly=True, samesite="Lax")
        return response

    async def me(self, request: web.Request) -> web.Response:
        """Who is signed in."""
        return web.json_response(said(MeSaid, (await self.signed_in(request)).user))

    async def request_reset(self, request: web.Request) -> web.Response:
        """A mail to whoever has the address; the answer and its time tell nothing."""
        check_origin(request, self.origins)
        self._let_through(request)
        email = _PASSWORD_RESET.read(await json_body(request)).email
        if self._resets.take(sha256_of(email.strip().lower()), self.clock.monotonic()):
            self._afterwards(self.people.request_reset(email))
        return web.json_response({}, status=202)

    async def choose_password(self, request: web.Request) -> web.Response:
        """A new password, for the token of the mail."""
        check_origin(request, self.origins)
        self._let_through(request)
        chosen = _CHOSEN_PASSWORD.read(await json_body(request))
        await self.people.choose_password(chosen.token, chosen.password)
        return web.Response(status=204)

    async def settle(self) -> None:
        """Wait for what was put off until after the answer."""
        while self._later:
            await asyncio.wait(self._later)

    def _let_through(self, request: web.Request) -> str:
        """The client's network, unless it tries too often."""
        network = client_network(request, self.proxies)
        if not self._tries.take(network, self.clock.monotonic()):
            raise Refused("rate.limited")
        return network

    def _afterwards(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(_logged(work))
        self._later.add(task)
        task.add_done_callback(self._later.discard)


async def _logged(work: Awaitable[None]) -> None:
    try:
        await work
    except StorageFailed as failure:
        log.error("password_reset.failed", reason=failure.reason)
