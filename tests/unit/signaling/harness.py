"""A real server on a free port with a fake SFU and a clock that tests move; and its clients."""

import itertools
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import aiohttp
import socketio
from aiohttp import web
from aiohttp.web_app import _cached_build_middleware
from pydantic import SecretStr

from rooms.service import Person
from rooms.session import Invitation, Session
from rooms.vocabulary import Role
from signaling.server import listen
from signaling.settings import Settings
from signaling.tokens import Grant
from signaling.wiring import Plumm
from tests.support.fake_clock import FakeClock
from tests.support.fake_sfu import FakeSfu

Json = dict[str, Any]
SECRET = "a secret of thirty-two characters"
COUPLE: Sequence[tuple[str, Role]] = (("Lena", "therapist"), ("Maya", "client"))


@dataclass(slots=True)
class Server:
    """One running server."""

    plumm: Plumm
    sfu: FakeSfu
    clock: FakeClock
    settings: Settings
    http: aiohttp.ClientSession
    sockets: list["Client"] = field(default_factory=list)
    stopped: bool = False

    @property
    def url(self) -> str:
        return self.settings.url

    async def session(
        self,
        people: Sequence[tuple[str, Role]] = COUPLE,
        *,
        starts_in: timedelta = timedelta(0),
        waiting_room: bool = False,
    ) -> "Booking":
        """A session made by the service itself; it starts now."""
        session = await self.plumm.rooms.create(
            [Person(name, role) for name, role in people],
            title="Session",
            starts_at=self.clock.now() + starts_in,
            length=timedelta(minutes=60),
            waiting_room=waiting_room,
        )
        return Booking(self, session)

    async def stop(self) -> None:
        """Stop all but the web server, as SIGTERM would. Idempotent."""
        if not self.stopped:
            self.stopped = True
            await self.plumm.stop()

    async def load(self, relay_share: float) -> None:
        """Six seconds go by in which the relay's thread is at work for this share of them."""
        for _ in range(6):
            self.clock.advance(1)
            self.sfu.relay_busy_s += relay_share
            await self.plumm.overload.look()

    def counted(self, name: str, **labels: str) -> float:
        return self.plumm.metrics.value(f"plumm_signaling_{name}", **labels)


@dataclass(slots=True)
class Booking:
    """A session and the tokens of its people, who are found by name."""

    server: Server
    session: Session

    @property
    def id(self) -> str:
        return self.session.id

    def person(self, name: str) -> Invitation:
        return next(one for one in self.session.invitations.values() if one.name == name)

    def grant(self, name: str) -> Grant:
        one = self.person(name)
        return Grant(self.session.id, one.id, one.role)

    def join_token(self, name: str) -> str:
        return self.server.plumm.tokens.join(self.grant(name))

    def link_token(self, name: str) -> str:
        return self.server.plumm.tokens.link(self.grant(name), self.session.links_until)

    async def connect(self, name: str) -> "Client":
        """A socket that was let in and has not joined."""
        client = Client(self.server.url)
        self.server.sockets.append(client)
        await client.connect(self.join_token(name))
        return client

    async def join(self, name: str) -> "Client":
        """A socket that has joined."""
        client = await self.connect(name)
        client.welcome = await client.done("room:join", {})
        return client


class Client:
    """One Socket.IO client that keeps whatever it is told."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._io = socketio.AsyncClient(reconnection=False)
        self.welcome: Json = {}
        self.told: list[tuple[str, Any]] = []
        self.refusal: Any = None
        self._io.on("*", self._hear)
        self._io.on("connect_error", self._refused)
        self._io.on("disconnect", self._closed)

    async def connect(self, token: object, **headers: str) -> None:
        await self._io.connect(
            self._url, auth={"token": token}, transports=["websocket"], headers=headers
        )

    async def ask(self, event: str, payload: object) -> Json:
        """The whole ack."""
        ack: Json = await self._io.call(event, payload, timeout=5)
        return ack

    async def done(self, event: str, payload: object) -> Json:
        """The data of an ack that must be ok."""
        ack = await self.ask(event, payload)
        assert ack["ok"], ack
        data: Json = ack["data"]
        return data

    async def refused(self, event: str, payload: object) -> str:
        """The code of an ack that must be a refusal."""
        ack = await self.ask(event, payload)
        assert not ack["ok"], ack
        assert set(ack) == {"ok", "error"}
        code: str = ack["error"]["code"]
        return code

    def names(self) -> list[str]:
        """The events it was told, in order; "disconnect" too."""
        return [name for name, _ in self.told]

    def is_closed(self) -> bool:
        return "disconnect" in self.names()

    def last(self, event: str) -> Any:
        """The newest payload of an event."""
        payloads = [payload for name, payload in self.told if name == event]
        assert payloads, f"{event} was never told, only {self.names()}"
        return payloads[-1]

    async def drop(self) -> None:
        """Go away without a word, as a phone that loses its network."""
        await self._io.eio.disconnect(abort=True)

    async def close(self) -> None:
        await self._io.shutdown()

    async def _hear(self, event: str, *args: Any) -> None:
        self.told.append((event, args[0] if args else None))

    async def _refused(self, data: Any) -> None:
        self.refusal = data

    async def _closed(self, *_: object) -> None:
        self.told.append(("disconnect", None))


class RawSocket:
    """A WebSocket on which a test says exactly what it wants."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws
        self._ids = itertools.count(1)

    @classmethod
    async def open(cls, server: Server) -> Self:
        """The WebSocket is open; nobody is let in."""
        ws = await server.http.ws_connect(f"{server.url}/socket.io/?EIO=4&transport=websocket")
        opened = await ws.receive_str(timeout=5)
        assert opened.startswith("0"), opened
        return cls(ws)

    @classmethod
    async def admitted(cls, booking: Booking, name: str) -> Self:
        """A socket that was let in."""
        socket = await cls.open(booking.server)
        await socket.send("40" + json.dumps({"token": booking.join_token(name)}))
        answer = await socket.receive()
        assert answer.startswith("40"), answer
        return socket

    async def send(self, frame: str) -> None:
        await self._ws.send_str(frame)

    async def send_bytes(self, frame: bytes) -> None:
        await self._ws.send_bytes(frame)

    async def receive(self) -> str:
        """The next frame that is not a ping."""
        while True:
            frame = await self._ws.receive_str(timeout=5)
            if frame != "2":
                return frame

    async def acked(self, frame: str) -> Json:
        """Send an event frame with an ack id in place of `#`; the ack."""
        number = next(self._ids)
        await self.send(frame.replace("#", str(number), 1))
        prefix = f"43{number}["
        while True:
            answer = await self.receive()
            if answer.startswith(prefix):
                ack: Json = json.loads(answer.removeprefix(f"43{number}"))[0]
                return ack

    async def close_code(self) -> int | None:
        """Wait for the server to close; the WebSocket status it gave."""
        while True:
            message = await self._ws.receive(timeout=5)
            if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
                return self._ws.close_code
            assert message.type is aiohttp.WSMsgType.TEXT, message

    async def abort(self) -> None:
        """Cut the connection."""
        response = self._ws._response  # the public API has no way to be rude
        assert response.connection is not None
        assert response.connection.transport is not None
        response.connection.transport.abort()


@asynccontextmanager
async def running_server(data_dir: Path, **settings: Any) -> AsyncIterator[Server]:
    """A server that is stopped, with all its clients, when the test is over."""
    listener = listen("127.0.0.1", 0)
    chosen = Settings(
        host="127.0.0.1",
        port=listener.getsockname()[1],
        data_dir=data_dir,
        secret=SecretStr(SECRET),
        **settings,
    )
    clock = FakeClock()
    plumm = await Plumm.start(chosen, clock, FakeSfu.start)
    assert isinstance(plumm.sfu, FakeSfu)
    runner = web.AppRunner(plumm.app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    async with aiohttp.ClientSession() as http:
        server = Server(plumm, plumm.sfu, clock, chosen, http)
        try:
            yield server
        finally:
            for client in server.sockets:
                await client.close()
            await server.stop()
            await runner.cleanup()
            # It remembers the last thousand applications and all that hangs on them: a million
            # objects after a while, for each of which the collector stops the loop.
            _cached_build_middleware.cache_clear()
