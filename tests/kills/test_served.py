"""A real server killed while a page's End is under way: what a page heard is so, once."""

from collections.abc import AsyncIterator
from copy import deepcopy
from pathlib import Path

import pytest
from sqlalchemy import select

from rooms.db.engine import Database, sqlite_url
from rooms.db.schema import events, sessions
from rooms.failpoints import FAILPOINTS
from tests.kills.effects import OfMail
from tests.kills.served import run
from tests.support.mail_server import MailServer

# Each failpoint once, and one at random.
KILLS = len(FAILPOINTS) + 1


@pytest.fixture
async def mail_server() -> AsyncIterator[MailServer]:
    async with MailServer() as running:
        yield running


@pytest.mark.timeout(400)
async def test_what_a_page_heard_is_so_and_every_hook_ran_once(
    database_url: str, tmp_path: Path, mail_server: MailServer
) -> None:
    report = await run(database_url, tmp_path, mail_server, KILLS, seed=1)
    assert report.wrong == []
    assert report.killed.total() == KILLS


async def test_mail_that_is_lost_or_too_much_is_found(
    tmp_path: Path, mail_server: MailServer
) -> None:
    url = sqlite_url(tmp_path / "plumm.sqlite3")
    assert (await run(url, tmp_path, mail_server, 0, seed=1)).wrong == []
    database = await Database.open(url)
    async with database.reading() as connection:
        ended = select(sessions.c.id).where(sessions.c.status == "ended")
        of_it = select(events).where(events.c.session_id.in_(ended))
        happened = (await connection.execute(of_it)).all()
        found = OfMail(mail_server)

        async def wrong() -> list[str]:
            return await found.of_session(connection, happened) + await found.of_all(connection)

        first, second = mail_server.received
        mail_server.received.append(first)
        assert (await wrong(), found.repeated) == ([], 1)
        other = deepcopy(first)
        other.message.replace_header("Subject", "Something else")
        mail_server.received[:] = [first, other, second]
        (differ,) = await wrong()
        assert differ.endswith("are not the same")
        other.message.replace_header("Message-ID", "<nobody-asked@localhost>")
        assert await wrong() == ["a mail without its event: nobody-asked"]
        mail_server.received[:] = [first]
        lost, people = await wrong()
        assert lost.startswith("no mail of event")
        assert people == "mails by person: [1], people: 2"
    await database.close()
