"""Socket.IO over WebSocket: frames in, events and acks out.

The only file that relies on private parts of python-socketio and python-engineio; the tests
of this file fail at an upgrade that moves them. What those libraries leave open is closed here:

- A frame is judged before they parse it: binary, oversized and malformed ones end the socket
  (WebSocket status 1003, 1009, 1002) instead of raising in their read loop.
- A client's event cannot reach the `connect` and `disconnect` handlers by bearing their name.
- Sending never waits (`signaling.link`), so a slow consumer holds nobody up.
- Every socket ends: who does not get in, is refused or disconnected, has a deadline.

Owned by the event loop. Knows nothing of rooms: an Application decides.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from typing import Any, Final, Protocol

import engineio
import socketio
from aiohttp import WebSocketError, WSCloseCode, WSMsgType, web
from socketio.packet import CONNECT, EVENT, Packet

from signaling.errors import ERRORS, Refused, error_body
from signaling.link import CLOSED_WITHIN_S, Link, SendQueue
from signaling.metrics import Metrics
from signaling.protocol import MAX_MESSAGE_BYTES

# A socket that went away in silence is known to be gone within ten seconds.
# What the client itself sent; other messages say that nothing more will come.
_FRAMES: Final = (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CLOSE)

PING_INTERVAL_S: Final = 5
PING_TIMEOUT_S: Final = 5

_LINK: Final = "plumm.link"
# The one event name that python-socketio dispatches; the client's own name is its argument.
_ANY_EVENT: Final = "any"

# Below ERROR these libraries repeat what peers said; we count and log what matters ourselves.
_LIBRARY_LOG: Final = logging.getLogger("plumm.socketio")
_LIBRARY_LOG.setLevel(logging.ERROR)

_CLOSE_CODES: Final = {
    "message.binary": WSCloseCode.UNSUPPORTED_DATA,
    "message.malformed": WSCloseCode.PROTOCOL_ERROR,
    "message.too_large": WSCloseCode.MESSAGE_TOO_BIG,
}


class Application(Protocol):
    """Whom the transport serves."""

    async def admit(self, link: Link, auth: object) -> None:
        """Let a socket in, or raise Refused and nothing else."""

    async def answer(self, link: Link, name: str | None, args: tuple[object, ...]) -> object:
        """The ack of one event; never raises. name: None when the message was no event."""

    def gone(self, link: Link) -> None:
        """A socket that was let in is closed, or as good as. Once."""


class SocketServer:
    """The Socket.IO endpoint of one application."""

    def __init__(
        self, application: Application, origins: Collection[str], metrics: Metrics
    ) -> None:
        self._application = application
        self._origins = frozenset(origins)
        self._metrics = metrics
        self._open: set[Link] = set()
        metrics.sockets.set_function(lambda: self.count)
        self._admitted: set[Link] = set()
        self._none_open = asyncio.Event()
        self._sio = _Server(
            serializer=_StrictPacket,
            async_mode="aiohttp",
            async_handlers=False,  # one socket's events are answered in their order
            transports=["websocket"],
            max_http_buffer_size=MAX_MESSAGE_BYTES,
            ping_interval=PING_INTERVAL_S,
            ping_timeout=PING_TIMEOUT_S,
            cors_allowed_origins=[],  # checked in _serve, before anything is made
            logger=_LIBRARY_LOG,
            engineio_logger=_LIBRARY_LOG,
        )
        self._sio.eio.drive_sockets_with(partial(_WebSocket, self))
        self._sio.on("connect", self._connect)
        self._sio.on(_ANY_EVENT, self._event)
        self._sio.on("disconnect", self._disconnect)

    def attach(self, app: web.Application) -> None:
        """Serve /socket.io/ of an aiohttp application."""
        app.router.add_get("/socket.io/", self._serve)

    @property
    def count(self) -> int:
        """How many sockets are open."""
        return len(self._open)

    async def stop(self) -> None:
        """Close every socket so that its client tries again; those that tarry are cut off."""
        for link in self._open:
            link.close(WSCloseCode.GOING_AWAY)
        if self._open:
            self._none_open.clear()
            with suppress(TimeoutError):
                # Each link cuts itself off at its deadline; a handler may be slower.
                await asyncio.wait_for(self._none_open.wait(), 1.2 * CLOSED_WITHIN_S)
        await self._sio.shutdown()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        # A browser always says where a WebSocket comes from; other clients need not.
        origin = request.headers.get("Origin")
        if origin is not None and origin not in self._origins:
            self._metrics.refused_connections.labels(code="origin.forbidden").inc()
            forbidden = Refused("origin.forbidden")
            body = {"error": error_body(forbidden)}
            return web.json_response(body, status=ERRORS[forbidden.code].status)
        response: web.StreamResponse = await self._sio.handle_request(request)
        return response

    def opened(self, queue: SendQueue, transport: asyncio.Transport) -> Link:
        """A socket is open; its first deadline runs. For `_WebSocket`."""
        link = Link(queue, transport, self._metrics)
        self._open.add(link)
        return link

    def closed(self, link: Link) -> None:
        """A socket is closed. For `_WebSocket`."""
        link.ended()
        self._open.discard(link)
        self._forget(link)
        if not self._open:
            self._none_open.set()

    def refused_frame(self, code: str) -> None:
        """A frame ended its socket. For `_WebSocket`."""
        self._metrics.dropped_sockets.labels(reason=code).inc()

    async def _connect(self, _sid: str, environ: dict[str, Any], auth: object) -> None:
        link: Link = environ[_LINK]
        try:
            if link.closing:  # it took its leave, and thought better of it
                raise Refused("token.invalid")
            await self._application.admit(link, auth)
        except Refused as refusal:
            self._metrics.refused_connections.labels(code=refusal.code).inc()
            # Later, so that the client hears why first.
            asyncio.get_running_loop().call_soon(link.close)
            body = error_body(refusal)
            raise socketio.exceptions.ConnectionRefusedError(body["message"], body) from None
        link.admitted()
        self._admitted.add(link)
        if link.closing:  # it went away while it was let in
            self._forget(link)

    async def _event(self, sid: str, name: str | None, *args: object) -> object:
        link: Link = self._sio.get_environ(sid)[_LINK]
        return await self._application.answer(link, name, args)

    async def _disconnect(self, sid: str, _reason: str) -> None:
        link: Link = self._sio.get_environ(sid)[_LINK]
        self._forget(link)
        link.close()

    def _forget(self, link: Link) -> None:
        if link in self._admitted:
            self._admitted.discard(link)
            self._application.gone(link)


class _WebSocket:
    """One WebSocket, in the shape of engineio's own driver for aiohttp.

    Its `send`, `wait` and `close` are engineio's; `serve` is that library's read loop.
    """

    def __init__(self, sockets: SocketServer, serve: Any, _engine: object) -> None:
        self._sockets = sockets
        self._serve = serve
        self._ws = web.WebSocketResponse(
            max_msg_size=MAX_MESSAGE_BYTES, timeout=CLOSED_WITHIN_S, compress=False
        )
        self._link: Link

    async def __call__(self, environ: dict[str, Any]) -> web.WebSocketResponse:
        request: web.Request = environ["aiohttp.request"]
        await self._ws.prepare(request)
        if request.transport is None:
            return self._ws
        self._link = self._sockets.opened(self._serve.__self__.queue, request.transport)
        environ[_LINK] = self._link
        try:
            await self._serve(self)
        finally:
            self._sockets.closed(self._link)
        return self._ws

    async def send(self, frame: str) -> None:
        await self._ws.send_str(frame)

    async def close(self) -> None:
        self._link.close(self._link.close_code)
        await self._ws.close(code=self._link.close_code)

    async def wait(self) -> str:
        """The next frame that is worth parsing. Raises OSError when there will be none."""
        message = await self._ws.receive()
        if message.type in _FRAMES:
            self._link.heard()
        if message.type is WSMsgType.TEXT:
            text: str = message.data
            fault = _fault(text)
            if fault is None:
                return text
        elif message.type is WSMsgType.BINARY:
            fault = "message.binary"
        elif _is_too_big(message.data):
            fault = "message.too_large"
        else:
            raise OSError("closed by the client")
        self._sockets.refused_frame(fault)
        self._link.close(_CLOSE_CODES[fault])
        raise OSError(fault)


def _is_too_big(error: object) -> bool:
    return isinstance(error, WebSocketError) and error.code == WSCloseCode.MESSAGE_TOO_BIG


def _fault(frame: str) -> str | None:
    """The error code of a text frame that is not to be parsed; None for a fair one.

    A client says pong ("3"), close ("1") and messages ("4"), which connect ("0"), disconnect
    ("1") or are events ("2"). "b", "45" and "46" announce binary.
    Source: Engine.IO protocol 4 and Socket.IO protocol 5, packet encoding.
    """
    if frame in ("1", "3") or frame[:2] in ("40", "41", "42"):
        return None
    if frame[:1] == "b" or frame[:2] in ("45", "46"):
        return "message.binary"
    return "message.malformed"


class _StrictPacket(Packet):  # type: ignore[misc]
    """A Socket.IO packet that decodes from any text, without raising.

    An event becomes [_ANY_EVENT, name, *args]; name is None when the text was not an event.
    """

    uses_binary_events = False
    packet_type: int
    data: Any

    def decode(self, encoded_packet: str) -> int:
        try:
            super().decode(encoded_packet)
            well_formed = self._is_well_formed()
        # RecursionError: 64 KiB hold brackets enough to nest too deep for the JSON parser.
        except (ValueError, RecursionError):
            well_formed = False
        if self.packet_type == EVENT:
            self.data = [_ANY_EVENT, *(self.data if well_formed else [None])]
        elif self.packet_type == CONNECT and not well_formed:
            self.data = None
        return 0

    def _is_well_formed(self) -> bool:
        if self.packet_type != EVENT:
            return True
        return isinstance(self.data, list) and bool(self.data) and isinstance(self.data[0], str)


class _Engine(engineio.AsyncServer):  # type: ignore[misc]
    """engineio with our queue and our WebSocket driver."""

    _async: dict[str, Any]

    def create_queue(self) -> SendQueue:
        return SendQueue()

    def drive_sockets_with(self, driver: Callable[..., _WebSocket]) -> None:
        self._async = {**self._async, "websocket": driver}


class _Server(socketio.AsyncServer):  # type: ignore[misc]
    """python-socketio on our engineio."""

    def _engineio_server_class(self) -> type[_Engine]:
        return _Engine
