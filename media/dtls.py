"""DTLS for one connection: the handshake that yields the SRTP keys.

The only file that knows private names of aiortc: `RTCDtlsTransport` does the handshake and
checks the fingerprint, here it is given a datagram pipe of our own and hands its keys over
instead of decrypting media itself. aiortc is pinned and `tests/unit/media/test_dtls.py` fails
at an upgrade that breaks this.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final, cast

from aiortc import (
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCIceTransport,
    rtcdtlstransport,
)
from aiortc.rtcdtlstransport import SRTPProtectionProfile, State
from OpenSSL import SSL

# A client that knows its keys finishes in three round trips; OpenSSL repeats a flight after 1 s.
HANDSHAKE_TIMEOUT_S: Final = 10.0
# Flights are at most 3 datagrams; what arrives beyond this is junk or a repeat.
_PIPE_DATAGRAMS: Final = 32
_RENEW_BEFORE: Final = timedelta(days=15)
# aiortc reads 1,500 bytes of what OpenSSL wrote, so that a large DTLS 1.3 flight is cut.
_DTLS_1_2: Final = 0xFEFD

_PROFILES: Final = [
    rtcdtlstransport.SRTP_AEAD_AES_128_GCM,
    rtcdtlstransport.SRTP_AES128_CM_SHA1_80,
]


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """What a handshake yields: master key and salt joined, for each direction, as we see it."""

    profile: str
    receive_key: bytes
    send_key: bytes


class Certificate(RTCCertificate):
    """The server's certificate; its SSL context is made once, which halves a handshake."""

    _context: SSL.Context | None = None

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 fingerprint as SDP writes it: "AB:CD:…" (RFC 8122, 5)."""
        return next(f.value for f in self.getFingerprints() if f.algorithm == "sha-256")

    def expires_soon(self, now: datetime) -> bool:
        """aiortc's certificates last 30 days: new connections get another one at half of it."""
        return self.expires - now < _RENEW_BEFORE

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        if self._context is None:
            self._context = super()._create_ssl_context(srtp_profiles)
            self._context.set_max_proto_version(_DTLS_1_2)
        return self._context


class _Pipe:
    """The transport that RTCDtlsTransport asks for: datagrams in by a queue, out by a call."""

    role = "controlled"

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(_PIPE_DATAGRAMS)
        self._out = send
        self._closed = False

    def feed(self, data: bytes) -> None:
        if not self._queue.full():
            self._queue.put_nowait(data)

    def close(self) -> None:
        self._closed = True
        if self._queue.empty():
            self._queue.put_nowait(None)

    async def _recv(self) -> bytes:
        if self._closed:
            raise ConnectionError
        data = await self._queue.get()
        if data is None:
            raise ConnectionError
        return data

    async def _send(self, data: bytes) -> None:
        self._out(data)


class DtlsServer(rtcdtlstransport.RTCDtlsTransport):
    """The passive side of one handshake. Owned by its Peer, on the event loop.

    send: takes each datagram to the browser.
    """

    def __init__(self, certificate: Certificate, send: Callable[[bytes], None]) -> None:
        self._pipe = _Pipe(send)
        # Of its transport it uses role, _recv and _send only.
        super().__init__(cast(RTCIceTransport, self._pipe), [certificate])
        self._srtp_profiles = _PROFILES
        self._set_role("server")
        self._keys: SrtpKeys | None = None

    def feed(self, data: bytes) -> None:
        """One datagram from the browser's authenticated address, 20 ≤ first byte ≤ 63."""
        self._pipe.feed(data)

    async def handshake(self, fingerprints: Sequence[tuple[str, str]]) -> SrtpKeys | None:
        """Do the handshake with the browser whose offer has these (algorithm, value) pairs.

        None when it fails or lasts over 10 s: wrong fingerprint, no common profile, junk.
        """
        remote = RTCDtlsParameters(
            fingerprints=[RTCDtlsFingerprint(name, value) for name, value in fingerprints]
        )
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                await self.start(remote)
        except TimeoutError:
            return None
        return self._keys

    async def closed(self) -> None:
        """Wait, after the handshake, until the browser closes the association."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def stop(self) -> None:
        """Say goodbye (close_notify) and end; idempotent."""
        await super().stop()
        self._pipe.close()

    def _setup_srtp(self) -> None:
        """Called by start() between the fingerprint's check and "connected" (RFC 5764, 4.2)."""
        assert self._ssl is not None
        selected = self._ssl.get_selected_srtp_profile()
        profile = next((p for p in _PROFILES if p.openssl_profile == selected), None)
        if profile is None:
            self._set_state(State.FAILED)
            return
        material = self._ssl.export_keying_material(
            b"EXTRACTOR-dtls_srtp", 2 * (profile.key_length + profile.salt_length)
        )
        # The client writes with the first key: index 0 is what the server receives with.
        self._keys = SrtpKeys(
            profile.openssl_profile.decode(),
            receive_key=profile.get_key_and_salt(material, 0),
            send_key=profile.get_key_and_salt(material, 1),
        )
