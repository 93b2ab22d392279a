"""A letter as an Internet message. Pure. Sources: RFC 5322; RFC 3834, 5 (Auto-Submitted)."""

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final

from rooms.mail.templates import Letter
from rooms.vocabulary import EventId

_SENDER_NAME: Final = "Plumm"


def compose(
    letter: Letter, event: EventId, at: datetime, sender: str, name: str, email: str
) -> EmailMessage:
    """The message that a MailRequested asks for: the same id however often it is sent.

    sender, email: addresses. Raises ValueError for one that is none, and for any line break.
    """
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(_SENDER_NAME, addr_spec=sender)
    message["To"] = Address(name, addr_spec=email)
    message["Subject"] = letter.subject
    message["Date"] = at
    message["Message-ID"] = f"<{event}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    # By itself Python would fold a long link.
    message.set_content(letter.text, cte="7bit" if letter.text.isascii() else "quoted-printable")
    return message
