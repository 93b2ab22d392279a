"""Mail as files."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rooms.mail.disk import Mailbox
from rooms.mail.message import compose
from rooms.mail.templates import Letter
from rooms.vocabulary import EventId

AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


async def send(mailbox: Mailbox, event: str, text: str = "Text\n") -> None:
    at = AT + timedelta(hours=int(event))
    letter = Letter("Hello", text)
    message = compose(letter, EventId(event), at, "no-reply@x.example", "Zoë", "zoe@example.org")
    await mailbox.send(EventId(event), message)


async def test_mail_is_shown_as_it_was_written_newest_first(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path / "mail")
    for event in ("1", "2"):
        await send(mailbox, event, f"Grüße {event}\n")
        moment = 1_000_000_000 * int(event)
        os.utime(tmp_path / "mail" / f"{event}.eml", ns=(moment, moment))
    newest, oldest = await mailbox.newest()
    assert (newest.id, oldest.id) == ("2", "1")
    assert newest.to == "Zoë <zoe@example.org>"
    assert newest.subject == "Hello"
    assert newest.at == AT + timedelta(hours=2)
    assert newest.text == "Grüße 2\n"


async def test_mail_is_for_its_owner_alone(tmp_path: Path) -> None:
    await send(Mailbox(tmp_path / "mail"), "1")
    assert (tmp_path / "mail").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "mail" / "1.eml").stat().st_mode & 0o777 == 0o600


async def test_a_mail_sent_again_is_one(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path / "mail")
    await send(mailbox, "1", "first\n")
    await send(mailbox, "1", "second\n")
    assert [one.text for one in await mailbox.newest()] == ["second\n"]
    assert [file.name for file in (tmp_path / "mail").iterdir()] == ["1.eml"]


async def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "mail" / "1.eml").mkdir(parents=True)
    with pytest.raises(OSError, match=r".*"):
        await send(Mailbox(tmp_path / "mail"), "1")
    assert [one.name for one in (tmp_path / "mail").iterdir()] == ["1.eml"]


async def test_before_the_first_mail_there_is_none(tmp_path: Path) -> None:
    assert await Mailbox(tmp_path / "mail").newest() == []
