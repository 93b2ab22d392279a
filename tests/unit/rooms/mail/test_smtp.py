"""Handing mail to a real SMTP server."""

import socket
import traceback
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest

from rooms.mail.message import compose
from rooms.mail.smtp import MailNotSent, Smtp, SmtpServer, smtp_server
from rooms.mail.templates import Letter
from rooms.vocabulary import EventId
from tests.support.mail_server import MailServer, self_signed

EVENT = EventId("e1")
AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def message() -> EmailMessage:
    letter = Letter("Hello", "A text.\n.\n..\nFrom here on\n")
    return compose(letter, EVENT, AT, "no-reply@plumm.example", "Zoë", "zoe@example.org")


async def test_a_message_arrives_as_it_was_composed() -> None:
    async with MailServer() as server:
        await Smtp(smtp_server(f"smtp://127.0.0.1:{server.port}")).send(EVENT, message())
    (received,) = server.received
    assert (received.sender, received.recipients) == (
        "no-reply@plumm.example",
        ["zoe@example.org"],
    )
    assert received.message["Message-ID"] == "<e1@plumm.example>"
    assert received.text == "A text.\n.\n..\nFrom here on\n"
    assert not received.encrypted


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_it_is_encrypted_and_signed_in_where_the_server_wants_it(
    scheme: str, tmp_path: Path
) -> None:
    ours, trust = self_signed(tmp_path)
    login = ("plumm", "p@ss/word")
    async with MailServer(ours, implicit=scheme == "smtps", login=login) as server:
        url = f"{scheme}://plumm:p%40ss%2Fword@localhost:{server.port}"
        await Smtp(smtp_server(url), trust).send(EVENT, message())
    (received,) = server.received
    assert received.encrypted
    assert received.user == "plumm"


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_nothing_is_handed_to_a_server_that_is_not_trusted(
    scheme: str, tmp_path: Path
) -> None:
    ours, _ = self_signed(tmp_path)
    async with MailServer(ours, implicit=scheme == "smtps") as server:
        with pytest.raises(MailNotSent):
            await Smtp(smtp_server(f"{scheme}://localhost:{server.port}")).send(EVENT, message())
    assert server.received == []


async def test_nothing_goes_unencrypted_to_another_machine() -> None:
    async with MailServer() as server:
        another = SmtpServer("127.0.0.1", server.port, "starttls", None, None)
        with pytest.raises(MailNotSent):
            await Smtp(another).send(EVENT, message())
    assert server.received == []


@pytest.mark.parametrize(
    ("refusal", "code"), [("550 no such user zoe@example.org", 550), ("451 later, Zoë", 451)]
)
async def test_a_refusal_says_the_code_and_not_who_it_was_for(refusal: str, code: int) -> None:
    async with MailServer(refusing=refusal.encode("ascii", "replace").decode()) as server:
        with pytest.raises(MailNotSent, match=str(code)) as failure:
            await Smtp(smtp_server(f"smtp://127.0.0.1:{server.port}")).send(EVENT, message())
    logged = "".join(traceback.format_exception(failure.value))
    assert "zoe" not in logged.lower()


async def test_a_server_that_is_gone_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(MailNotSent):
        await Smtp(smtp_server(f"smtp://127.0.0.1:{port}")).send(EVENT, message())


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtps://mail.example.org", ("mail.example.org", 465, "tls", None)),
        ("smtp://mail.example.org", ("mail.example.org", 587, "starttls", None)),
        ("smtp://u:p@mail.example.org:25/", ("mail.example.org", 25, "starttls", "u")),
        ("smtp://localhost:2525", ("localhost", 2525, "offered", None)),
        ("smtp://[::1]:25", ("::1", 25, "offered", None)),
    ],
)
def test_a_url_says_how(url: str, expected: tuple[str, int, str, str | None]) -> None:
    server = smtp_server(url)
    assert (server.host, server.port, server.encryption, server.user) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example.org",
        "http://mail.example.org",
        "smtp://",
        "smtp://u@mail.example.org",
        "smtp://mail.example.org:port",
        "smtp://mail.example.org/path",
        "smtp://mail.example.org?x",
    ],
)
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="mail server's URL"):
        smtp_server(url)


def test_the_password_is_not_in_the_servers_text() -> None:
    assert "geheim" not in repr(smtp_server("smtp://u:geheim@mail.example.org"))
