"""The DTLS server against aiortc's own client: what an upgrade of aiortc must not break."""

import asyncio
from datetime import timedelta

import pytest
from aiortc.rtcdtlstransport import (
    SRTP_AEAD_AES_256_GCM,
    SRTP_PROFILES,
    RTCCertificate,
    SRTPProtectionProfile,
)

from media.dtls import Certificate, DtlsServer, SrtpKeys
from tests.support.dtls_client import Client, Wire


class Call:
    """A server and a client joined by a wire."""

    def __init__(self, profiles: list[SRTPProtectionProfile] = SRTP_PROFILES) -> None:
        self.certificate = Certificate.generateCertificate()
        wire = Wire()
        self.server = DtlsServer(self.certificate, wire.inbox.put_nowait)
        wire.deliver = self.server.feed
        self.client = Client(wire, profiles)

    async def connect(self, fingerprints: list[tuple[str, str]] | None = None) -> SrtpKeys | None:
        keys, _ = await asyncio.gather(
            self.server.handshake(fingerprints or self.client.fingerprints()),
            asyncio.wait_for(self.client.connect(self.certificate.fingerprint), 5),
        )
        return keys

    async def close(self) -> None:
        await self.client.stop()
        await self.server.stop()


@pytest.mark.parametrize("profile", SRTP_PROFILES[1:], ids=lambda p: p.openssl_profile.decode())
async def test_both_sides_get_the_same_keys(profile: SRTPProtectionProfile) -> None:
    call = Call([profile])
    keys = await call.connect()
    assert keys == call.client.keys(profile)
    await call.close()


async def test_gcm_is_preferred_to_counter_mode() -> None:
    call = Call()
    keys = await call.connect()
    assert keys is not None
    assert keys.profile == "SRTP_AEAD_AES_128_GCM"
    await call.close()


async def test_dtls_1_2_is_spoken_even_where_openssl_knows_1_3() -> None:
    call = Call()
    await call.connect()
    assert call.client._ssl is not None
    assert call.client._ssl.get_protocol_version_name() == "DTLSv1.2"
    await call.close()


async def test_a_certificate_that_the_offer_did_not_name_yields_no_keys() -> None:
    call = Call()
    stranger = RTCCertificate.generateCertificate().getFingerprints()[0]
    assert await call.connect([(stranger.algorithm, stranger.value)]) is None
    await call.close()


async def test_a_client_without_a_common_srtp_profile_yields_no_keys() -> None:
    call = Call([SRTP_AEAD_AES_256_GCM])
    connecting = asyncio.ensure_future(call.client.connect(call.certificate.fingerprint))
    assert await call.server.handshake(call.client.fingerprints()) is None
    connecting.cancel()
    await asyncio.wait([connecting])
    await call.close()


async def test_a_client_that_leaves_is_noticed() -> None:
    call = Call()
    await call.connect()
    await call.client.stop()
    await asyncio.wait_for(call.server.closed(), 5)
    await call.server.stop()


async def test_junk_before_the_handshake_does_not_hinder_it() -> None:
    call = Call()
    call.server.feed(bytes([22]) + bytes(200))
    call.server.feed(bytes([63]))
    assert await call.connect() is not None
    await call.close()


def test_a_certificate_is_replaced_at_half_of_its_life() -> None:
    certificate = Certificate.generateCertificate()
    assert not certificate.expires_soon(certificate.expires - timedelta(days=16))
    assert certificate.expires_soon(certificate.expires - timedelta(days=14))


def test_one_ssl_context_serves_all_handshakes() -> None:
    certificate = Certificate.generateCertificate()
    context = certificate._create_ssl_context(SRTP_PROFILES)
    assert certificate._create_ssl_context(SRTP_PROFILES) is context
