"""What two kinds of hooks left, beside the events that they followed from."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from rooms.db.schema import events, invitations, users
from rooms.events import MailRequested, SessionEnded
from tests.kills.findings import count, differing
from tests.support.effects import effects
from tests.support.mail_server import MailServer, Received


class OfTestHooks:
    """Of `life`'s: a row for each event in a table of the tests, a file for each end."""

    def __init__(self, mails: Path) -> None:
        self._mails = mails

    async def of_session(
        self, connection: AsyncConnection, happened: Sequence[Row[Any]]
    ) -> list[str]:
        ids = sorted(one.id for one in happened)
        carried_out = select(effects.c.event_id).where(effects.c.event_id.in_(ids))
        wrong = []
        if sorted((await connection.execute(carried_out)).scalars()) != ids:
            wrong.append(f"effects are not one for each of its {len(ids)} events")
        ends = [one.id for one in happened if one.type == SessionEnded.type]
        unsent = [id_ for id_ in ends if not (self._mails / id_).exists()]
        return wrong + [f"no mail of event {id_}" for id_ in unsent]

    async def of_all(self, connection: AsyncConnection) -> list[str]:
        ends = select(events).where(events.c.type == SessionEnded.type).subquery()
        mails = [one for one in self._mails.iterdir() if not one.name.startswith(".")]
        return differing(
            ("effects", await count(connection, effects), await count(connection, events)),
            ("mails", len(mails), await count(connection, ends)),
        )


class OfMail:
    """Of the product's own: what a mail server was handed, told apart by its Message-ID."""

    def __init__(self, server: MailServer) -> None:
        self._server = server

    @property
    def repeated(self) -> int:
        """How many came that had come before."""
        return sum(len(copies) - 1 for copies in self._by_event().values())

    async def of_session(
        self, connection: AsyncConnection, happened: Sequence[Row[Any]]
    ) -> list[str]:
        """One summary to each who has an account; what came twice is the same mail twice."""
        session = happened[0].session_id
        invited = await connection.execute(
            select(users.c.email)
            .join(invitations, invitations.c.user_id == users.c.id)
            .where(invitations.c.session_id == session)
        )
        came = self._by_event()
        wrong, written_to = [], Counter[str]()
        for one in happened:
            if one.type != MailRequested.type:
                continue
            copies = came.get(one.id, [])
            if not copies:
                wrong.append(f"no mail of event {one.id}")
                continue
            written_to.update(copies[0].recipients)
            if len({_whole(copy) for copy in copies}) > 1:
                wrong.append(f"the {len(copies)} mails of event {one.id} are not the same")
        expected = Counter(dict.fromkeys(invited.scalars(), 1))
        if written_to != expected:
            # Numbers alone: no test prints whom mail is for.
            wrong.append(f"mails by person: {sorted(written_to.values())}, people: {len(expected)}")
        return wrong

    async def of_all(self, connection: AsyncConnection) -> list[str]:
        asked = await connection.execute(
            select(events.c.id).where(events.c.type == MailRequested.type)
        )
        without = self._by_event().keys() - set(asked.scalars())
        return [f"a mail without its event: {one}" for one in sorted(without)]

    def _by_event(self) -> dict[str, list[Received]]:
        came = defaultdict(list)
        for mail in self._server.received:
            came[_event_of(mail.message)].append(mail)
        return came


def _event_of(message: EmailMessage) -> str:
    """Message-ID: <event@host>, of which the event is the idempotency key."""
    return str(message["Message-ID"]).strip("<>").partition("@")[0]


def _whole(mail: Received) -> tuple[tuple[str, ...], bytes]:
    return tuple(mail.recipients), bytes(mail.message)
