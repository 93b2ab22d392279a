"""The second yardstick: the same loop as one writes it first, asyncio and pylibsrtp."""

import asyncio
import struct
from socket import socket
from typing import cast

from pylibsrtp import Error, Session

from scripts.pump.srtp import open_session

_HEADER = struct.Struct("!BBHII")


class AsyncioLoop(asyncio.DatagramProtocol):
    """Decrypts, rewrites and encrypts each datagram in `datagram_received`."""

    def __init__(self) -> None:
        self._routes: dict[tuple[str, int], tuple[Session, Session, tuple[str, int]]] = {}
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def route(
        self,
        source_port: int,
        destination_port: int,
        profile: str,
        receive_key: bytes,
        send_key: bytes,
    ) -> None:
        """Forward what 127.0.0.1:source_port sends to 127.0.0.1:destination_port."""
        self._routes["127.0.0.1", source_port] = (
            open_session(profile, receive_key, "receive"),
            open_session(profile, send_key, "send"),
            ("127.0.0.1", destination_port),
        )

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        route = self._routes.get(addr)
        if route is None or self._transport is None:
            return
        receiving, sending, destination = route
        try:
            packet = bytearray(receiving.unprotect(data))
        except Error:
            return
        first, second, seq16, ts, ssrc = _HEADER.unpack_from(packet)
        _HEADER.pack_into(
            packet,
            0,
            first,
            second ^ 1,
            (seq16 + 1000) & 0xFFFF,
            (ts + 90_000) & 0xFFFFFFFF,
            ssrc ^ 0x55555555,
        )
        self._transport.sendto(sending.protect(bytes(packet)), destination)


async def serve(sock: socket, loop: AsyncioLoop) -> None:
    """Forward until the process ends."""
    sock.setblocking(False)
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: loop, sock=sock)
    await asyncio.Event().wait()
