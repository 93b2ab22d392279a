"""The sessions of whoever is signed in, over HTTP: the list, the way in, the word after the end.

Somebody else's session is unknown here, whatever its state.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from aiohttp import web

from rooms import lifecycle
from rooms.attendance import Interval
from rooms.errors import NotInvited, RoleForbidden, SessionUnknown
from rooms.ports import Clock
from rooms.service import SessionService
from rooms.session import Invitation, Session
from rooms.vocabulary import ParticipantId, SessionId, UserId
from signaling.accounts import Accounts
from signaling.admission import AdmissionControl
from signaling.errors import Refused
from signaling.protocol import GuestLinkRequest, MySessionSaid, MySessionsSaid, PayloadType, said
from signaling.rate import TokenBuckets
from signaling.requests import json_body
from signaling.tokens import (
    JOIN_TOKEN_LIFETIME,
    JOIN_TOKENS_BURST,
    JOIN_TOKENS_PER_SECOND,
    Grant,
    Tokens,
    room_link,
)

# Long enough to confirm one after a holiday.
_LISTED_AFTER_THE_END: Final = timedelta(days=30)

_GUEST_LINK: Final = PayloadType(GuestLinkRequest)


@dataclass(frozen=True, slots=True)
class MySessions:
    """The routes. url: where browsers find this server."""

    rooms: SessionService
    admission: AdmissionControl
    accounts: Accounts
    tokens: Tokens
    clock: Clock
    url: str
    _join_tokens: TokenBuckets[Grant] = field(
        init=False,
        default_factory=lambda: TokenBuckets(JOIN_TOKENS_PER_SECOND, JOIN_TOKENS_BURST),
    )

    def attach(self, app: web.Application) -> None:
        """Serve the routes, on an application made by `signaling.http.application`."""
        one = "/api/my/sessions/{session}"
        app.router.add_get("/api/my/sessions", self.list_sessions)
        app.router.add_post(f"{one}/join-token", self.join_token)
        app.router.add_post(f"{one}/guest-link", self.guest_link)
        app.router.add_post(f"{one}/confirm", self.confirm)
        app.router.add_get(f"{one}/receipt", self.receipt)

    async def list_sessions(self, request: web.Request) -> web.Response:
        """What is not over, and what ended lately."""
        user = (await self.accounts.signed_in(request)).user.id
        now = self.clock.now()
        found = await self.rooms.sessions_of(user, now - _LISTED_AFTER_THE_END)
        rows = await self._rows(user, found)
        return web.json_response(said(MySessionsSaid, {"server_time": now, "sessions": rows}))

    async def join_token(self, request: web.Request) -> web.Response:
        """A join token, while the room is open."""
        who = await self.accounts.signed_in(request)
        session, own = await self._own(request, who.user.id)
        grant = Grant(session.id, own.id, own.role, who.sign_in)
        if not self._join_tokens.take(grant, self.clock.monotonic()):
            raise Refused("rate.limited")
        await self.admission.check(grant)
        lifetime_s = int(JOIN_TOKEN_LIFETIME.total_seconds())
        return web.json_response({"token": self.tokens.join(grant), "expires_in": lifetime_s})

    async def guest_link(self, request: web.Request) -> web.Response:
        """A link for one of the session's clients, to be handed on by its therapist."""
        who = await self.accounts.signed_in(request)
        session, own = await self._own(request, who.user.id)
        if own.role != "therapist":
            raise RoleForbidden(own.role)
        wanted = _GUEST_LINK.read(await json_body(request)).participant_id
        guest = lifecycle.invitation(session, ParticipantId(wanted), session.opens_at)
        if guest.role != "client":
            raise RoleForbidden(guest.role)
        grant = Grant(session.id, guest.id, guest.role)
        return web.json_response({"url": room_link(self.url, self.tokens, session, grant)})

    async def confirm(self, request: web.Request) -> web.Response:
        """A session that timed out took place: its therapist says so."""
        user = (await self.accounts.signed_in(request)).user.id
        session, _ = await self._own(request, user)
        (row,) = await self._rows(user, [await self.rooms.confirm(session.id, user)])
        return web.json_response(said(MySessionSaid, row))

    async def receipt(self, request: web.Request) -> web.Response:
        """The signed receipt, as a file."""
        user = (await self.accounts.signed_in(request)).user.id
        session, _ = await self._own(request, user)
        text = await self.rooms.receipt(session.id)
        if text is None:
            raise Refused("session.not_over")
        name = f"receipt-{session.id}.json"
        return web.Response(
            text=text,
            content_type="application/json",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    async def _own(self, request: web.Request, user: UserId) -> tuple[Session, Invitation]:
        """The session of the path and the user's invitation. Raises SessionUnknown."""
        session = await self.rooms.session(SessionId(request.match_info["session"]))
        try:
            return session, lifecycle.invitation_of(session, user)
        except NotInvited:
            raise SessionUnknown(session.id) from None

    async def _rows(self, user: UserId, sessions: Collection[Session]) -> list[dict[str, Any]]:
        over = [session.id for session in sessions if session.ended is not None]
        attendance = await self.rooms.attendance(over) if over else {}
        return [_row(session, user, attendance.get(session.id, [])) for session in sessions]


def _row(session: Session, user: UserId, stays: Collection[Interval]) -> dict[str, Any]:
    own = lifecycle.invitation_of(session, user)
    theirs = own.role == "therapist"
    others = [one for one in session.invited if one.id != own.id]
    return {
        "id": session.id,
        "title": session.title,
        "starts_at": session.starts_at,
        "ends_at": session.ends_at,
        "opens_at": session.opens_at,
        "status": session.status,
        "role": own.role,
        "others": [
            {"participant_id": one.id, "name": one.name, "role": one.role, "guest": not one.user}
            for one in others
        ],
        "ended": session.ended,
        "confirmable": theirs and session.confirmable,
        "attendance": _attendance(session, stays) if theirs and session.ended else None,
    }


def _attendance(session: Session, stays: Collection[Interval]) -> dict[str, Any]:
    """When each had media: that is what counts."""
    assert session.ended is not None
    return {
        "overlap_s": session.ended.overlap_s,
        "people": [
            {
                "name": one.name,
                "role": one.role,
                "intervals": [
                    {"since": stay.since, "until": stay.until}
                    for stay in stays
                    if stay.participant == one.id and stay.kind == "media"
                ],
            }
            for one in session.invited
        ],
    }
