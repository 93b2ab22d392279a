"""One open socket as the server holds it: what is queued for it, and how it ends.

Owned by the event loop. Sending never waits: who does not read is cut off when its queue is
full, so one slow consumer costs bounded memory and nobody else's time.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

from aiohttp import WSCloseCode
from engineio.packet import MESSAGE, Packet
from socketio.packet import DISCONNECT, EVENT

from signaling.metrics import Metrics

# To get in once the socket is open: the token is at hand, this is one round trip.
ADMITTED_WITHIN_S: Final = 5.0
# To join the room once let in: clients do so in their next message.
JOINED_WITHIN_S: Final = 10.0
# For the peer to take what is queued, and to answer our close.
CLOSED_WITHIN_S: Final = 1.0
# What may wait for a socket that does not read: a room of twelve changing twenty times over.
MAX_QUEUED_PACKETS: Final = 256
MAX_QUEUED_CHARS: Final = 512 * 1024


def event_frame(name: str, data: Any) -> str:
    """One event as a Socket.IO packet; encoded once for all who are told."""
    return f"{EVENT}{json.dumps([name, data], separators=(',', ':'))}"


class SendQueue(asyncio.Queue[Packet | None]):
    """What waits to be written to one socket; engineio reads it. None ends the socket.

    Putting never waits: a packet that finds the queue full is dropped, and `on_overflow` called.
    """

    def __init__(self) -> None:
        super().__init__()
        self._chars = 0
        self.on_overflow: Callable[[], None] = lambda: None

    async def put(self, item: Packet | None) -> None:
        self.put_nowait(item)

    def put_nowait(self, item: Packet | None) -> None:
        full = self.qsize() >= MAX_QUEUED_PACKETS or self._chars >= MAX_QUEUED_CHARS
        if full and item is not None:
            self.on_overflow()
        else:
            super().put_nowait(item)

    def _put(self, item: Packet | None) -> None:
        self._chars += _chars(item)
        super()._put(item)

    def _get(self) -> Packet | None:
        item = super()._get()
        self._chars -= _chars(item)
        return item


def _chars(item: Packet | None) -> int:
    return len(item.data) if item is not None and isinstance(item.data, str) else 0


class Link:
    """The application's handle on one socket, the same object for the socket's whole life."""

    def __init__(self, queue: SendQueue, transport: asyncio.Transport, metrics: Metrics) -> None:
        self._queue = queue
        self._transport = transport
        self._metrics = metrics
        self._deadline: asyncio.TimerHandle | None = None
        self.close_code = WSCloseCode.OK
        self.closing = False
        self._heard_at = asyncio.get_running_loop().time()
        queue.on_overflow = lambda: self._cut_off("slow_consumer")
        self._set_deadline(ADMITTED_WITHIN_S, "idle")

    def heard(self) -> None:
        """A frame came from the peer."""
        self._heard_at = asyncio.get_running_loop().time()

    @property
    def silence_s(self) -> float:
        """Seconds since a frame came from the peer, or since it connected."""
        return asyncio.get_running_loop().time() - self._heard_at

    def send(self, frame: str) -> None:
        """Queue one `event_frame`; never waits. To a closing socket nothing is sent."""
        if not self.closing:
            self._queue.put_nowait(Packet(MESSAGE, frame))

    def close(self, code: WSCloseCode = WSCloseCode.OK) -> None:
        """Write what is queued, then close; cut off when that takes too long. Idempotent."""
        if not self.closing:
            self.closing = True
            self.close_code = code
            self._queue.put_nowait(None)
            self._set_deadline(CLOSED_WITHIN_S, None)

    def disconnect(self) -> None:
        """Close so that a Socket.IO client does not come back by itself."""
        self.send(str(DISCONNECT))
        self.close()

    def admitted(self) -> None:
        """The client is let in; its second deadline runs. A closing link keeps its last."""
        if not self.closing:
            self._set_deadline(JOINED_WITHIN_S, "idle")

    def joined(self) -> None:
        """The client did what it came for: no deadline is left. A closing link keeps its last."""
        if not self.closing:
            self._clear_deadline()

    def ended(self) -> None:
        """The socket is closed; nothing is left to do."""
        self.closing = True
        self._clear_deadline()

    def _set_deadline(self, seconds: float, reason: str | None) -> None:
        self._clear_deadline()
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(seconds, self._cut_off, reason)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _cut_off(self, reason: str | None) -> None:
        """End the connection without a word: the peer does not listen."""
        if not self._transport.is_closing():
            if reason is not None:
                self._metrics.dropped_sockets.labels(reason=reason).inc()
            self._transport.abort()
