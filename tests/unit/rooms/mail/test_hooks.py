"""From an event to a mail in a real SMTP server."""

import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from types import MappingProxyType

import pytest
import structlog
from sqlalchemy import update

from rooms import outbox, store
from rooms.db.engine import Database
from rooms.db.schema import users
from rooms.events import Event, PasswordResetRequested, SessionConfirmed, SessionEnded
from rooms.mail.hooks import MailHooks
from rooms.mail.smtp import Smtp, smtp_server
from rooms.outbox import PARKED_AFTER, Backlog, Dispatcher
from rooms.people.accounts import User
from rooms.people.errors import ResetExpired
from rooms.session import Ended, Invitation, Session
from rooms.vocabulary import EndCause, ParticipantId, SessionId, UserId
from signaling.logs import configure_logs
from tests.support.fake_clock import FakeClock
from tests.support.mail_server import MailServer
from tests.unit.rooms.people.office import PASSWORD, Office

URL = "https://plumm.example"


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with MailServer() as running:
        yield running


class PostOffice(Office):
    """An office whose events cause mail."""

    def __init__(self, database: Database, clock: FakeClock, server: MailServer) -> None:
        super().__init__(database, clock)
        self.dispatcher = Dispatcher(database, self.hooks, clock)
        MailHooks(
            clock,
            database,
            self.hooks,
            Smtp(smtp_server(f"smtp://127.0.0.1:{server.port}")),
            sender_address="no-reply@plumm.example",
            url=URL,
            reset_token=self.people.reset_token,
        )

    async def happens(self, *happened: Event) -> None:
        async with self.database.transaction() as connection:
            await outbox.append(connection, self.hooks, happened, self.clock.now())

    async def deliver(self) -> None:
        while await self.dispatcher.store_due() + await self.dispatcher.send_due():
            pass

    async def maya(self) -> User:
        return await self.people.add("maya@example.org", "Maya Lind", "client", PASSWORD)

    async def held(
        self, *users: UserId | None, cause: EndCause = "therapist", live: bool = True
    ) -> SessionId:
        """A session that is over, with these people; its title is nobody's business."""
        began = self.clock.now()
        ended_at = began + timedelta(minutes=50)
        people = [
            Invitation(ParticipantId(f"p{i}"), "A name", "client" if i else "therapist", user)
            for i, user in enumerate(users)
        ]
        session = Session(
            id=SessionId("s1"),
            title="Grief group",
            starts_at=began,
            ends_at=ended_at,
            links_until=ended_at,
            invitations=MappingProxyType({one.id: one for one in people}),
            max_participants=12,
            status="ended",
            live_since=began if live else None,
            ended=Ended(
                cause=cause,
                ended_by=people[0].id,
                name="A name",
                ended_at=ended_at,
                duration_s=3000,
                overlap_s=2990,
                confirmed_at=None,
            ),
        )
        async with self.database.transaction() as connection:
            await store.add(connection, session)
        return session.id

    def ended(self, session: SessionId, cause: EndCause = "therapist") -> SessionEnded:
        return SessionEnded(
            session,
            cause,
            ParticipantId("p0"),
            self.clock.now() + timedelta(minutes=50),
            duration_s=3000,
            overlap_s=2990,
        )


@pytest.fixture
async def office(database: Database, server: MailServer) -> AsyncIterator[PostOffice]:
    made = PostOffice(database, FakeClock(), server)
    yield made
    made.people.close()


@pytest.fixture
def logs(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """What was logged, in the words of a running server."""
    configure_logs("debug", "console")
    yield lambda: capsys.readouterr().err
    structlog.reset_defaults()
    logging.getLogger().handlers.clear()


def token_in(text: str) -> str:
    found = re.search(rf"^{re.escape(URL)}/reset#(\S+)$", text, re.MULTILINE)
    assert found, text
    return found[1]


async def test_the_mails_token_chooses_a_password(office: PostOffice, server: MailServer) -> None:
    maya = await office.maya()
    await office.people.request_reset(maya.email)
    await office.deliver()
    (mail,) = server.received
    assert mail.recipients == [maya.email]
    await office.people.choose_password(token_in(mail.text), "another long password")
    assert await office.sign_in(maya.email, "another long password")


async def test_the_tokens_hour_begins_when_it_is_sent(
    office: PostOffice, server: MailServer
) -> None:
    maya = await office.maya()
    await office.happens(PasswordResetRequested(maya.id))
    office.clock.advance(7200)
    await office.deliver()
    office.clock.advance(3599)
    token = token_in(server.received[0].text)
    await office.people.choose_password(token, "another long password")
    await office.happens(PasswordResetRequested(maya.id))
    await office.deliver()
    office.clock.advance(3600)
    with pytest.raises(ResetExpired):
        await office.people.choose_password(token_in(server.received[1].text), PASSWORD)


async def test_everyone_with_an_account_hears_that_the_session_took_place(
    office: PostOffice, server: MailServer
) -> None:
    lena, maya = await office.lena(), await office.maya()
    session = await office.held(lena.id, maya.id, None)
    await office.happens(office.ended(session))
    await office.deliver()
    assert [one.recipients for one in server.received] == [[lena.email], [maya.email]]
    text = server.received[1].text
    assert "Hello Maya Lind," in text
    assert "Length:  50 minutes" in text
    assert f"\n{URL}/dashboard\n" in text
    assert "Grief" not in server.received[1].message.as_string()
    assert lena.name not in text


@pytest.mark.parametrize("cause", ["timeout", "no_show", "admin"])
async def test_nobody_hears_that_it_took_place_when_nobody_said_so(
    office: PostOffice, server: MailServer, cause: EndCause
) -> None:
    session = await office.held((await office.lena()).id, cause=cause)
    await office.happens(office.ended(session, cause))
    await office.deliver()
    assert server.received == []


async def test_a_session_that_timed_out_is_told_of_when_it_is_confirmed(
    office: PostOffice, server: MailServer
) -> None:
    lena = await office.lena()
    session = await office.held(lena.id, cause="timeout")
    await office.happens(office.ended(session, "timeout"))
    await office.happens(SessionConfirmed(session, lena.id))
    await office.deliver()
    assert [one.recipients for one in server.received] == [[lena.email]]


async def test_a_session_in_which_nobody_met_did_not_take_place(
    office: PostOffice, server: MailServer
) -> None:
    session = await office.held((await office.lena()).id, live=False)
    await office.happens(office.ended(session))
    await office.deliver()
    assert server.received == []


async def test_a_closed_account_gets_no_mail(office: PostOffice, server: MailServer) -> None:
    maya = await office.maya()
    await office.people.request_reset(maya.email)
    await office.people.disable(maya.email)
    await office.deliver()
    assert server.received == []
    async with office.database.reading() as connection:
        assert await outbox.backlog(connection) == Backlog(0, {}, None)


async def test_a_server_that_refuses_is_tried_again_with_the_same_message_and_then_parked(
    office: PostOffice, server: MailServer
) -> None:
    maya = await office.maya()
    await office.people.request_reset(maya.email)
    server.refusing = f"550 {maya.email} is unknown here"
    for _ in range(PARKED_AFTER):
        await office.deliver()
        office.clock.advance(3600)
    async with office.database.transaction() as connection:
        (parked,) = await outbox.parked(connection)
        assert (parked.hook, parked.attempts) == ("mail", PARKED_AFTER)
        await outbox.retry_parked(connection, office.clock.now())
    server.refusing = None
    await office.deliver()
    (mail,) = server.received
    assert mail.message["Message-ID"] == f"<{parked.event_id}@plumm.example>"
    await office.people.choose_password(token_in(mail.text), "another long password")


async def test_what_fails_is_logged_without_names_addresses_or_tokens(
    office: PostOffice, server: MailServer, logs: Callable[[], str]
) -> None:
    maya = await office.maya()
    await office.people.request_reset(maya.email)
    server.refusing = f"550 {maya.email} is unknown here"
    await office.deliver()
    logged = logs()
    assert "delivery.failed" in logged
    assert "550" in logged
    for secret in (maya.email, "Maya", "reset#"):
        assert secret not in logged


async def test_a_name_that_would_be_a_header_is_never_sent(
    office: PostOffice, server: MailServer
) -> None:
    maya = await office.maya()
    injected = "Maya\r\nBcc: all@example.org"
    async with office.database.transaction() as connection:
        await connection.execute(update(users).values(name=injected))
    await office.people.request_reset(maya.email)
    await office.deliver()
    assert server.received == []
