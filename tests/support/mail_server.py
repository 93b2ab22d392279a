"""A real SMTP server that keeps what it is handed, or refuses it."""

import asyncio
import logging
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True, slots=True)
class Received:
    """One message. sender, recipients: of its envelope."""

    sender: str | None
    recipients: list[str]
    message: EmailMessage
    encrypted: bool
    user: str | None

    @property
    def text(self) -> str:
        content: str = self.message.get_content()
        return content.replace("\r\n", "\n")


@dataclass(slots=True)
class MailServer:
    """Use as an async context manager.

    certificate: encrypt with it, by STARTTLS or, when `implicit`, from the first byte.
    refusing: the answer to every message, if it is to be refused. login: who may hand in.
    """

    certificate: ssl.SSLContext | None = None
    implicit: bool = False
    refusing: str | None = None
    login: tuple[str, str] | None = None
    received: list[Received] = field(default_factory=list)
    _server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None
        number: int = self._server.sockets[0].getsockname()[1]
        return number

    async def __aenter__(self) -> Self:
        # It tells every line that it hears; tests ask what the product tells.
        logging.getLogger("mail.log").setLevel(logging.WARNING)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._session, "127.0.0.1", 0, ssl=self.certificate if self.implicit else None
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def _session(self) -> SMTP:
        options: dict[str, Any] = {}
        if self.certificate is not None and not self.implicit:
            options |= {"tls_context": self.certificate, "require_starttls": True}
        if self.login is not None:
            # aiosmtpd does not see that a connection is encrypted from its first byte.
            options |= {"authenticator": self._authenticate, "auth_required": True}
            options["auth_require_tls"] = not self.implicit
        return SMTP(self, hostname="localhost", **options)

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        if self.refusing is not None:
            return self.refusing
        assert isinstance(envelope.content, bytes)
        assert server.transport is not None
        self.received.append(
            Received(
                envelope.mail_from,
                list(envelope.rcpt_tos),
                message_from_bytes(envelope.content, EmailMessage, policy=default),
                server.transport.get_extra_info("ssl_object") is not None,
                session.auth_data.login.decode() if session.auth_data else None,
            )
        )
        return "250 OK"

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _kind: str, auth: Any
    ) -> AuthResult:
        assert isinstance(auth, LoginPassword)
        given = (auth.login.decode(), auth.password.decode())
        return AuthResult(success=given == self.login, auth_data=auth)


def self_signed(directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A certificate for "localhost": the server's side, and that of a client who trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = directory / "localhost.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=file)
