"""A UDP hop between browsers and the media port that loses datagrams, seeded, or is narrow.

A page is brought here by `script`, which changes the port of the answer's candidates; the
server sees one source port of the hop's for each of a browser's.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, Final, Self

Address = tuple[str, int]

_QUEUE_S: Final = 0.3
# IPv4 and UDP, which a line carries as well.
_HEADERS: Final = 28

_BRING = """
(() => {
  const apply = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function ({type, sdp}) {
    return apply.call(this, {type, sdp: sdp.replaceAll(' %d typ host', ' %d typ host')});
  };
})();
"""


class LossyHop:
    """Use as an async context manager.

    server: the media port, on an address of this machine; the hop is on the same.
    loss: of media, 0..1, each way; STUN and DTLS pass (first byte below 64, RFC 7983).
    delay_s: each way.
    down_kbit: the rate to browsers, all together; 0: unlimited. A queue of 300 ms is before it.
    """

    def __init__(
        self,
        server: Address,
        *,
        loss: float = 0.0,
        delay_s: float = 0.0,
        down_kbit: float = 0.0,
        seed: int = 1,
    ) -> None:
        self._server = server
        self._loss = loss
        self._delay_s = delay_s
        self._down_kbit = down_kbit
        self._down_free_at = 0.0
        self._random = Random(seed)
        self._front: asyncio.DatagramTransport | None = None
        self._backs: dict[Address, asyncio.Future[asyncio.DatagramTransport]] = {}
        self.passed = 0
        self.lost = 0
        self.dropped = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._front, _ = await loop.create_datagram_endpoint(
            lambda: _End(self._from_browser), local_addr=(self._server[0], 0)
        )
        return self

    @property
    def script(self) -> str:
        """For a page, before its own scripts."""
        assert self._front is not None
        port = self._front.get_extra_info("sockname")[1]
        return _BRING % (self._server[1], port)

    async def __aexit__(self, *_: object) -> None:
        assert self._front is not None
        self._front.close()
        for back in self._backs.values():
            (await back).close()

    def _loses(self, data: bytes) -> bool:
        if data[0] >= 64 and self._random.random() < self._loss:
            self.lost += 1
            return True
        self.passed += 1
        return False

    def _from_browser(self, data: bytes, browser: Address) -> None:
        if self._loses(data):
            return
        if browser not in self._backs:
            self._backs[browser] = asyncio.ensure_future(self._open(browser))
        self._backs[browser].add_done_callback(lambda back: self._send(back.result(), data))

    async def _open(self, browser: Address) -> asyncio.DatagramTransport:
        def to_browser(data: bytes, _: Address) -> None:
            if self._front is None or self._loses(data):
                return
            queued_s = self._queue(len(data))
            if queued_s is not None:
                self._send(self._front, data, browser, queued_s)

        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _End(to_browser), remote_addr=self._server
        )
        return transport

    def _queue(self, size: int) -> float | None:
        """Seconds until a datagram has left the queue to browsers; None: there is no room."""
        if not self._down_kbit:
            return 0.0
        now = asyncio.get_running_loop().time()
        leaves_at = max(now, self._down_free_at) + (size + _HEADERS) * 8 / (self._down_kbit * 1000)
        if leaves_at - now > _QUEUE_S:
            self.dropped += 1
            return None
        self._down_free_at = leaves_at
        return leaves_at - now

    def _send(
        self,
        through: asyncio.DatagramTransport,
        data: bytes,
        to: Address | None = None,
        queued_s: float = 0.0,
    ) -> None:
        def leave() -> None:
            if not through.is_closing():
                through.sendto(data, to)

        if wait_s := self._delay_s + queued_s:
            asyncio.get_running_loop().call_later(wait_s, leave)
        else:
            leave()


class _End(asyncio.DatagramProtocol):
    def __init__(self, receive: Callable[[bytes, Address], None]) -> None:
        self._receive = receive

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._receive(data, address)
