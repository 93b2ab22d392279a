"""What the mails say: plain text, kind, and nothing about therapy. Pure.

A mail is read on a locked phone by whoever is near: no session's title, no other person's name.
The texts are ASCII, so that a link stands in the message as it is, and a paragraph is one line:
whoever shows it breaks it where the window ends, on a phone sooner.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

PASSWORD_RESET: Final = "password_reset"  # noqa: S105 - a template's name
SESSION_SUMMARY: Final = "session_summary"

_SIGNED: Final = "\n\nThis is an automatic message; answers to it are not read.\n"


@dataclass(frozen=True, slots=True)
class Letter:
    """A subject of one line, and a text."""

    subject: str
    text: str


def password_reset(name: str, link: str) -> Letter:
    """link: where the password is chosen, with its token."""
    return Letter(
        "Choose your password",
        f"Hello {name},\n\n"
        "you can choose a password for your account here:\n\n"
        f"{link}\n\n"
        "The link works once, and for one hour. If it is too late, ask for a new one on the "
        "sign-in page. If you did not ask for this, you need not do anything: your password "
        f"stays as it is.{_SIGNED}",
    )


def session_summary(name: str, began: datetime, ended: datetime, dashboard: str) -> Letter:
    """began, ended: instants; told in UTC. dashboard: its address."""
    return Letter(
        "Your session took place",
        f"Hello {name},\n\n"
        "your session took place.\n\n"
        f"  Began:   {_told(began)}\n"
        f"  Ended:   {_told(ended)}\n"
        f"  Length:  {_length(began, ended)}\n\n"
        "You find it on your dashboard:\n\n"
        f"{dashboard}{_SIGNED}",
    )


def _told(instant: datetime) -> str:
    return f"{instant.day} {_MONTHS[instant.month - 1]} {instant:%Y, %H:%M} UTC"


def _length(began: datetime, ended: datetime) -> str:
    minutes = round((ended - began).total_seconds() / 60)
    if minutes < 1:
        return "less than a minute"
    return "1 minute" if minutes == 1 else f"{minutes} minutes"


# Not of strftime: they would follow the machine's locale.
_MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
