"""aiortc's DTLS client on a wire of the test's: the browser of a handshake."""

import asyncio
from collections.abc import Callable
from typing import cast

from aiortc import RTCDtlsFingerprint, RTCDtlsParameters, RTCIceTransport
from aiortc.rtcdtlstransport import (
    SRTP_PROFILES,
    RTCCertificate,
    RTCDtlsTransport,
    SRTPProtectionProfile,
)

from media.dtls import SrtpKeys


class Wire:
    """The browser's side of a datagram pipe."""

    role = "controlling"

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[bytes] = asyncio.Queue()
        self.deliver: Callable[[bytes], None] = lambda _: None

    async def _recv(self) -> bytes:
        return await self.inbox.get()

    async def _send(self, data: bytes) -> None:
        self.deliver(data)


class Client(RTCDtlsTransport):
    """aiortc as the browser, its SRTP keys laid open."""

    def __init__(self, wire: Wire, profiles: list[SRTPProtectionProfile] = SRTP_PROFILES) -> None:
        self.certificate = RTCCertificate.generateCertificate()
        super().__init__(cast(RTCIceTransport, wire), [self.certificate])
        self._srtp_profiles = profiles
        self._set_role("client")

    async def connect(self, fingerprint: str) -> None:
        """Do the handshake with the server whose certificate has this SHA-256 fingerprint."""
        await self.start(RTCDtlsParameters([RTCDtlsFingerprint("sha-256", fingerprint)]))

    def fingerprints(self) -> list[tuple[str, str]]:
        return [(f.algorithm, f.value) for f in self.certificate.getFingerprints()]

    def keys(self, profile: SRTPProtectionProfile) -> SrtpKeys:
        assert self._ssl is not None
        material = self._ssl.export_keying_material(
            b"EXTRACTOR-dtls_srtp", 2 * (profile.key_length + profile.salt_length)
        )
        return SrtpKeys(
            profile.openssl_profile.decode(),
            receive_key=profile.get_key_and_salt(material, 0),
            send_key=profile.get_key_and_salt(material, 1),
        )
