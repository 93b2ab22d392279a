"""What the mails say, and the messages they become."""

from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP

import pytest

from rooms.mail import templates
from rooms.mail.message import compose
from rooms.mail.templates import Letter
from rooms.vocabulary import EventId

AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
LINK = "https://a-very-long-name-of-a-practice.plumm.example/reset#" + "x" * 43


def composed(letter: Letter, name: str = "Maya", email: str = "maya@example.org") -> EmailMessage:
    return compose(letter, EventId("e1"), AT, "no-reply@plumm.example", name, email)


def test_the_message_says_that_it_is_automatic_and_which_event_it_is_of() -> None:
    message = composed(Letter("Hello", "Text\n"))
    assert message["Message-ID"] == "<e1@plumm.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["From"] == "Plumm <no-reply@plumm.example>"
    assert message["To"] == "Maya <maya@example.org>"
    assert message["Date"].datetime == AT


def test_the_reset_link_stands_in_the_message_as_it_is() -> None:
    raw = composed(templates.password_reset("Maya", LINK)).as_bytes()
    assert LINK.encode() in raw.splitlines()


@pytest.mark.parametrize("name", ["Zoë Müller", "玛雅", 'Maya "M" Lind, Ph.D. <x@y>'])
def test_any_name_arrives_whole(name: str) -> None:
    letter = templates.password_reset(name, LINK)
    raw = composed(letter, name).as_bytes()
    message = message_from_bytes(raw, EmailMessage, policy=SMTP)
    (to,) = message["To"].addresses
    assert (to.display_name, to.addr_spec) == (name, "maya@example.org")
    assert f"Hello {name}," in message.get_content()
    assert LINK in message.get_content()


@pytest.mark.parametrize(
    ("name", "email"),
    [
        ("Maya\r\nBcc: all@example.org", "maya@example.org"),
        ("Maya\nSubject: other", "maya@example.org"),
        ("Maya", "maya@example.org\r\nBcc: all@example.org"),
        ("Maya", "maya@example.org>\r\nRCPT TO:<all@example.org"),
        ("Maya", "maya@example.org, all@example.org"),
    ],
)
def test_no_header_can_be_put_in_by_a_name_or_an_address(name: str, email: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        composed(Letter("Hello", "Text\n"), name, email)


def test_a_summary_says_when_and_how_long_and_no_more() -> None:
    ended = AT + timedelta(minutes=49, seconds=40)
    letter = templates.session_summary("Maya", AT, ended, "https://plumm.example/dashboard")
    assert letter.subject == "Your session took place"
    assert "Began:   22 November 2026, 10:00 UTC" in letter.text
    assert "Ended:   22 November 2026, 10:49 UTC" in letter.text
    assert "Length:  50 minutes" in letter.text
    assert "\nhttps://plumm.example/dashboard\n" in letter.text


@pytest.mark.parametrize(
    ("seconds", "told"), [(0, "less than a minute"), (61, "1 minute"), (5400, "90 minutes")]
)
def test_lengths_are_told_as_people_say_them(seconds: int, told: str) -> None:
    letter = templates.session_summary("Maya", AT, AT + timedelta(seconds=seconds), "")
    assert f"Length:  {told}\n" in letter.text
