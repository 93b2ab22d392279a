"""Mail over SMTP, each message on a connection of its own. Sources: RFC 5321; RFC 8314."""

import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from ipaddress import ip_address
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

import aiosmtplib

from rooms.vocabulary import EventId

# The dispatcher waits for 20 s.
_TIMEOUT_S: Final = 15
_PORTS: Final = {"smtp": 587, "smtps": 465}


class MailNotSent(Exception):
    """The mail server could not be reached or refused; says nothing of who the mail was for."""


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed in.

    encryption: "tls" from the first byte, "starttls" or nothing is sent, or, on this very
    machine, "offered": STARTTLS where the server has it.
    """

    host: str
    port: int
    encryption: Literal["tls", "starttls", "offered"]
    user: str | None
    password: str | None = field(repr=False)


def smtp_server(url: str) -> SmtpServer:
    """smtps://user:password@host:465, or smtp:// for STARTTLS, by default on port 587.

    Raises ValueError, whose message does not repeat the URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise ValueError("a mail server's URL begins with smtp:// or smtps://") from None
    if not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("a mail server's URL is smtp://user:password@host:port")
    if (parts.username is None) != (parts.password is None):
        raise ValueError("a mail server's URL has both user and password, or neither")
    encryption: Literal["tls", "starttls", "offered"] = "starttls"
    if parts.scheme == "smtps":
        encryption = "tls"
    elif _is_loopback(parts.hostname):
        encryption = "offered"
    return SmtpServer(
        parts.hostname,
        port,
        encryption,
        None if parts.username is None else unquote(parts.username),
        None if parts.password is None else unquote(parts.password),
    )


class Smtp:
    """Hands messages to a mail server. trust: which certificates are, by default the system's."""

    def __init__(self, server: SmtpServer, trust: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._trust = trust

    async def send(self, _event: EventId, message: EmailMessage) -> None:
        """Hand a message in. Raises MailNotSent."""
        server = self._server
        try:
            await aiosmtplib.send(
                message,
                hostname=server.host,
                port=server.port,
                username=server.user,
                password=server.password,
                use_tls=server.encryption == "tls",
                start_tls={"tls": False, "starttls": True, "offered": None}[server.encryption],
                tls_context=self._trust,
                timeout=_TIMEOUT_S,
            )
        except (aiosmtplib.SMTPException, OSError, ValueError) as failure:
            # Not chained and not repeated: servers say whom they refuse.
            raise MailNotSent(_reason(failure)) from None


def _reason(failure: Exception) -> str:
    match failure:
        case aiosmtplib.SMTPRecipientsRefused(recipients=[first, *_]):
            return f"the mail server refused the recipient: {first.code}"
        case aiosmtplib.SMTPResponseException():
            return f"the mail server refused: {failure.code}"
    return f"the mail server could not be used: {type(failure).__name__}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
