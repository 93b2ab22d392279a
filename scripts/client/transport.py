"""A participant's transport: one UDP socket, an ICE check, a DTLS handshake, SRTP keys.

The server is ICE-lite and listens at one address: one check that is answered is all the ICE
there is, repeated now and then to keep its consent (RFC 7675).
"""

import asyncio
import ctypes
import secrets
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

from aioice import stun
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from scripts.client.offer import Answer, OurTransport
from scripts.pump.srtp import KEY_BYTES

# Master salt in bytes (RFC 7714, 12; RFC 3711, 8.2); the rest of a key is the master key.
_SALT_BYTES: Final = {"SRTP_AEAD_AES_128_GCM": 12, "SRTP_AES128_CM_SHA1_80": 14}
# Sent checks go unanswered while the server is busy: RFC 8445, 14.3 starts at 500 ms.
_CHECK_TIMEOUT_S: Final = 0.5
_CHECKS: Final = 7
# An IPv6 packet of 1,280 bytes carries this.
_DTLS_MTU: Final = 1200
_BUFFER_BYTES: Final = 4 << 20
# socket.connect takes no address of this family: a sockaddr of zeros is AF_UNSPEC.
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_NOWHERE: Final = bytes(16)


class ConnectionFailed(Exception):
    """No answer, or one that is not to be trusted, where ICE or DTLS should have succeeded."""


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """profile: as DTLS names it. The keys are master key and salt, joined."""

    profile: str
    send_key: bytes
    receive_key: bytes


class Transport:
    """One connection's socket; `connect` once, `keep_consent` every few seconds, `close`."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.socket.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
        _, certificate = _identity()
        digest = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
        self.ours = OurTransport(secrets.token_hex(4), secrets.token_hex(12), digest)
        self._username = ""
        self._pwd = b""
        # RFC 8445, 16.1: one tie-breaker for the agent's life.
        self._tie_breaker = secrets.randbits(64)

    async def connect(self, answer: Answer) -> SrtpKeys:
        """ICE, then DTLS as its client. Raises ConnectionFailed."""
        self.socket.connect(answer.address)
        self._username = f"{answer.ufrag}:{self.ours.ufrag}"
        self._pwd = answer.pwd.encode()
        await self._check()
        return await self._handshake(answer.fingerprint)

    def keep_consent(self) -> None:
        """Send one check; whoever reads the socket may drop its answer."""
        self._send(bytes(self._request()))

    def move(self) -> None:
        """Go on from another source port, as behind a NAT that forgot us, on the same socket.

        The server answers there after a check. Source: connect(2), on AF_UNSPEC.
        """
        server = self.socket.getpeername()
        if _LIBC.connect(self.socket.fileno(), _NOWHERE, len(_NOWHERE)) < 0:
            raise OSError(ctypes.get_errno(), "connect to nowhere")
        # The kernel chose the port, has taken it back, and chooses another.
        self.socket.connect(server)

    def close(self) -> None:
        self.socket.close()

    def _send(self, data: bytes) -> None:
        try:
            self.socket.send(data)
        except (BlockingIOError, ConnectionRefusedError):
            # Full, or nobody there: both look like loss to a protocol that repeats itself.
            return

    async def _receive(self, timeout_s: float) -> bytes | None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                return await loop.sock_recv(self.socket, 2048)
        except (TimeoutError, ConnectionRefusedError):
            return None

    def _request(self) -> stun.Message:
        request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        request.attributes["USERNAME"] = self._username
        # Peer-reflexive preference 110, component 1 (RFC 8445, 5.1.2.1).
        request.attributes["PRIORITY"] = (110 << 24) + (65535 << 8) + 255
        request.attributes["ICE-CONTROLLING"] = self._tie_breaker
        request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(self._pwd)
        return request

    async def _check(self) -> None:
        for _ in range(_CHECKS):
            request = self._request()
            self._send(bytes(request))
            data = await self._receive(_CHECK_TIMEOUT_S)
            if data is None or data[0] > 3:
                continue
            response = stun.parse_message(data)
            answers = response.transaction_id == request.transaction_id
            if answers and response.check_message_integrity(self._pwd):
                return
        raise ConnectionFailed(f"{_CHECKS} ICE checks went unanswered")

    async def _handshake(self, fingerprint: str) -> SrtpKeys:
        connection = SSL.Connection(dtls_context(), None)
        connection.set_connect_state()
        connection.set_ciphertext_mtu(_DTLS_MTU)
        async with asyncio.timeout(10):
            while not _step(connection):
                self._flush(connection)
                timeout_s = connection.DTLSv1_get_timeout()
                data = await self._receive(1.0 if timeout_s is None else timeout_s)
                if data is None:
                    connection.DTLSv1_handle_timeout()
                elif 20 <= data[0] <= 63:
                    connection.bio_write(data)
        self._flush(connection)
        certificate = connection.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            raise ConnectionFailed("the server has no certificate")
        if certificate.fingerprint(hashes.SHA256()).hex(":").upper() != fingerprint.upper():
            raise ConnectionFailed("the certificate is not the answer's")
        return _exported_keys(connection)

    def _flush(self, connection: SSL.Connection) -> None:
        while True:
            try:
                self._send(connection.bio_read(_DTLS_MTU))
            except SSL.WantReadError:
                return


def _step(connection: SSL.Connection) -> bool:
    """True once the handshake is done."""
    try:
        connection.do_handshake()
    except SSL.WantReadError:
        return False
    except SSL.Error as error:
        raise ConnectionFailed(f"DTLS: {error}") from error
    return True


def _exported_keys(connection: SSL.Connection) -> SrtpKeys:
    """Source: RFC 5764, 4.2: client key, server key, client salt, server salt."""
    profile = connection.get_selected_srtp_profile().decode()
    if profile not in _SALT_BYTES:
        raise ConnectionFailed("no SRTP profile in common")
    salt = _SALT_BYTES[profile]
    key = KEY_BYTES[profile] - salt
    material = connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt))
    keys, salts = material[: 2 * key], material[2 * key :]
    return SrtpKeys(profile, keys[:key] + salts[:salt], keys[key:] + salts[salt:])


@cache
def _identity() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """One self-signed certificate for the whole process: to make one costs the load core."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "load")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
    )
    return key, builder.sign(key, hashes.SHA256())


@cache
def dtls_context() -> SSL.Context:
    """One for the whole process, and for either end of a handshake."""
    key, certificate = _identity()
    context = SSL.Context(SSL.DTLS_METHOD)
    # Whom we speak to is told by the fingerprint in the answer, checked after the handshake.
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    context.use_certificate(certificate)
    context.use_privatekey(key)
    context.set_tlsext_use_srtp(b":".join(name.encode() for name in _SALT_BYTES))
    return context
