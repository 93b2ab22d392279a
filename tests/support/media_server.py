"""The media plane without rooms: a relay, and a peer for each connection of a page.

What tests drive the relay's verbs by while real browsers send and receive.
"""

import asyncio
from time import monotonic
from types import TracebackType
from typing import Final

from media.dtls import Certificate
from media.offer import parse_offer
from media.peer import Peer
from media.relay import DTLS, Relay

_DATAGRAMS_A_TURN: Final = 16


class MediaServer:
    """Answers offers while it is entered, on 127.0.0.1."""

    def __init__(self) -> None:
        self.relay = Relay("127.0.0.1")
        self._certificate = Certificate.generateCertificate()
        self._peers: dict[int, Peer] = {}

    async def __aenter__(self) -> "MediaServer":
        self.relay.start()
        asyncio.get_running_loop().add_reader(self.relay.fileno(), self._drain)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for peer in self._peers.values():
            peer.detach()
            await peer.say_goodbye()
        asyncio.get_running_loop().remove_reader(self.relay.fileno())
        self.relay.stop()

    def peer(self) -> Peer:
        """The server's side of a new connection."""
        address = ("127.0.0.1", self.relay.port)
        peer = Peer(self.relay, self._certificate, [address], lambda _: None)
        self._peers[peer.handle] = peer
        return peer

    def answer(self, peer: Peer, sdp: str) -> str:
        return peer.negotiate(parse_offer(sdp))

    def _drain(self) -> None:
        for kind, handle, address, data in self.relay.poll(_DATAGRAMS_A_TURN):
            if kind == DTLS:
                self._peers[handle].receive_dtls(data)
            else:
                self._peers[handle].receive_stun(data, address, monotonic())
