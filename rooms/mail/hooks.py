"""Which events cause a mail, and sending it.

In two steps: a stored hook makes a MailRequested a person, exactly once; the sent hook looks up
who and what, and sends, at least once. What is secret is made when it is sent, and stored
nowhere as it is.
"""

from collections.abc import Awaitable, Callable
from email.message import EmailMessage
from typing import Final, Protocol

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from rooms import outbox, store
from rooms.db.engine import Database
from rooms.events import (
    Event,
    MailRequested,
    PasswordResetRequested,
    Recorded,
    SessionConfirmed,
    SessionEnded,
)
from rooms.hooks import Hooks
from rooms.mail import templates
from rooms.mail.message import compose
from rooms.mail.templates import Letter
from rooms.people import accounts
from rooms.people.accounts import User
from rooms.ports import Clock
from rooms.vocabulary import EventId, SessionId, UserId

log = structlog.get_logger(__name__)

_SENT: Final = "mail"


class Sender(Protocol):
    """Where mail goes: `rooms.mail.disk.Mailbox` or `rooms.mail.smtp.Smtp`."""

    async def send(self, event: EventId, message: EmailMessage, /) -> None:
        """Send one message. Raises when it was not sent; then it is sent again later."""


class MailHooks:
    """Mail that follows from events.

    sender_address: what is not read. url: where people find this server.
    reset_token: a new token with which a user chooses a password.
    """

    def __init__(
        self,
        clock: Clock,
        database: Database,
        hooks: Hooks,
        sender: Sender,
        *,
        sender_address: str,
        url: str,
        reset_token: Callable[[UserId], Awaitable[str]],
    ) -> None:
        self._clock = clock
        self._database = database
        self._hooks = hooks
        self._sender = sender
        self._sender_address = sender_address
        self._url = url
        self._reset_token = reset_token
        hooks.stored(PasswordResetRequested, templates.PASSWORD_RESET, self._on_reset_requested)
        hooks.stored(SessionEnded, templates.SESSION_SUMMARY, self._on_ended)
        hooks.stored(SessionConfirmed, templates.SESSION_SUMMARY, self._on_confirmed)
        hooks.sent(MailRequested, _SENT, self._send)

    async def _on_reset_requested(
        self, connection: AsyncConnection, recorded: Recorded[PasswordResetRequested]
    ) -> None:
        await self._append(connection, MailRequested(templates.PASSWORD_RESET, recorded.event.user))

    async def _on_ended(
        self, connection: AsyncConnection, recorded: Recorded[SessionEnded]
    ) -> None:
        # What timed out took place when the therapist says so.
        if recorded.event.cause == "therapist":
            await self._summarise(connection, recorded.event.session)

    async def _on_confirmed(
        self, connection: AsyncConnection, recorded: Recorded[SessionConfirmed]
    ) -> None:
        await self._summarise(connection, recorded.event.session)

    async def _summarise(self, connection: AsyncConnection, session: SessionId) -> None:
        """A mail to each who has an account, if the session ever was live."""
        stored = await store.load(connection, session)
        if stored is None or stored.live_since is None:
            return
        for user in {one.user: None for one in stored.invited if one.user is not None}:
            await self._append(connection, MailRequested(templates.SESSION_SUMMARY, user, session))

    async def _append(self, connection: AsyncConnection, event: Event) -> None:
        await outbox.append(connection, self._hooks, [event], self._clock.now())

    async def _send(self, recorded: Recorded[MailRequested]) -> None:
        async with self._database.reading() as connection:
            found = await accounts.with_id(connection, recorded.event.user)
        if found is None or found.user.disabled:
            log.info("mail.dropped", event_id=recorded.id)
            return
        user = found.user
        letter = await self._letter(user, recorded.event)
        await self._sender.send(
            recorded.id,
            compose(letter, recorded.id, recorded.at, self._sender_address, user.name, user.email),
        )

    async def _letter(self, user: User, wanted: MailRequested) -> Letter:
        """Raises LookupError for a template that this version does not know."""
        match wanted:
            case MailRequested(template=templates.PASSWORD_RESET):
                token = await self._reset_token(user.id)
                # In the fragment, which browsers never send: it is in no log.
                return templates.password_reset(user.name, f"{self._url}/reset#{token}")
            case MailRequested(template=templates.SESSION_SUMMARY, session=id_) if id_ is not None:
                async with self._database.reading() as connection:
                    session = await store.load(connection, id_)
                if session is None or session.live_since is None or session.ended is None:
                    raise LookupError(f"session {id_} was not held")
                return templates.session_summary(
                    user.name,
                    session.live_since,
                    session.ended.ended_at,
                    f"{self._url}/dashboard",
                )
        raise LookupError(f"no template {wanted.template}")
