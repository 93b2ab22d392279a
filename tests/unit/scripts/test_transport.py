"""The client's ICE check and DTLS handshake, with the server's own ICE and DTLS behind a socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from media.dtls import Certificate, DtlsServer, SrtpKeys
from media.ice_lite import Address, Credentials, IceLite
from scripts.client.offer import Answer
from scripts.client.transport import ConnectionFailed, Transport
from tests.support.eventually import eventually


class LiteServer(asyncio.DatagramProtocol):
    """One connection of a server, without a relay."""

    def __init__(self, transport: Transport, certificate: Certificate) -> None:
        self.credentials = Credentials.generate()
        self._ice = IceLite(self.credentials, transport.ours.ufrag)
        self._dtls = DtlsServer(certificate, self._send)
        self._fingerprints = [("sha-256", transport.ours.fingerprint)]
        self._udp: asyncio.DatagramTransport | None = None
        self.keys: asyncio.Task[SrtpKeys | None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._udp = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._udp is not None
        if data[0] < 4:
            verdict = self._ice.receive(data, addr, 0.0)
            if verdict is not None:
                self._udp.sendto(verdict.reply, addr)
            return
        if self.keys is None:
            self.keys = asyncio.create_task(self._dtls.handshake(self._fingerprints))
        self._dtls.feed(data)

    def _send(self, data: bytes) -> None:
        if self._udp is not None and self._ice.selected is not None:
            self._udp.sendto(data, self._ice.selected)

    @property
    def selected(self) -> Address | None:
        """Where it would send media to."""
        return self._ice.selected

    async def close(self) -> None:
        await self._dtls.stop()
        if self._udp is not None:
            self._udp.close()


@asynccontextmanager
async def serving(transport: Transport) -> AsyncIterator[tuple[LiteServer, Answer]]:
    certificate = Certificate.generateCertificate()
    loop = asyncio.get_running_loop()
    udp, server = await loop.create_datagram_endpoint(
        lambda: LiteServer(transport, certificate), local_addr=("127.0.0.1", 0)
    )
    address = udp.get_extra_info("sockname")
    pwd = server.credentials.pwd
    try:
        yield server, Answer(address, server.credentials.ufrag, pwd, certificate.fingerprint, {})
    finally:
        await server.close()
        transport.close()


async def test_both_sides_end_with_the_same_keys() -> None:
    transport = Transport()
    async with serving(transport) as (server, answer):
        keys = await transport.connect(answer)
        assert server.keys is not None
        theirs = await server.keys
    assert theirs == SrtpKeys(keys.profile, receive_key=keys.send_key, send_key=keys.receive_key)
    assert keys.profile == "SRTP_AEAD_AES_128_GCM"


async def test_another_certificate_than_the_answers_is_refused() -> None:
    transport = Transport()
    async with serving(transport) as (_, answer):
        wrong = Answer(answer.address, answer.ufrag, answer.pwd, ":".join(["00"] * 32), {})
        with pytest.raises(ConnectionFailed, match="certificate"):
            await transport.connect(wrong)


async def test_after_a_move_the_server_answers_at_another_port_of_the_same_socket() -> None:
    transport = Transport()
    async with serving(transport) as (server, answer):
        await transport.connect(answer)
        before, descriptor = transport.socket.getsockname(), transport.socket.fileno()
        await eventually(lambda: server.selected == before)
        transport.move()
        after = transport.socket.getsockname()
        assert after != before
        assert transport.socket.fileno() == descriptor
        assert transport.socket.getpeername() == answer.address
        transport.keep_consent()
        await eventually(lambda: server.selected == after)
