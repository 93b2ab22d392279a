"""Who takes part in a load test, whatever makes their media: the contract, and those of a pump.

A `Crowd` makes the clients of a whole run and counts their media; a `Client` is one participant.
"""

import asyncio
import time
from typing import Final, Literal, Protocol, Self
from urllib.parse import urlsplit

from scripts.client.peer import CAMERA, Peer, Picture
from scripts.pump import Figures, Pump
from signaling.client import RoomClient

Kind = Literal["audio", "video"]

_LOOK_S: Final = 0.01
# The pump has read by then what came at the old port.
_DRAIN_S: Final = 0.005
# RFC 8445, 14.3.
_CHECK_AGAIN_S: Final = 0.5


class Client(Protocol):
    """One participant: `join`, `connect`, `receives`, `send`, in this order; `close` always.

    room: its socket, for what a page says and hears. Its methods raise what RoomClient raises,
    and ConnectionFailed.
    """

    @property
    def room(self) -> RoomClient: ...

    async def join(self) -> None:
        """Take the place in the room."""

    async def connect(self) -> None:
        """Offer, ICE and DTLS: until media can flow."""

    async def receives(self, sections: int, timeout_s: float) -> None:
        """Wait until the server agreed to send in so many sections. Raises TimeoutError."""

    def send(self) -> None:
        """Begin with sound and picture."""

    def pause(self, kind: Kind) -> None:
        """Send no more of it until `resume`."""

    def resume(self, kind: Kind) -> None: ...

    async def first_media(self, timeout_s: float) -> float:
        """When the first packet of somebody else's came on this connection, by time.monotonic.

        Raises TimeoutError.
        """

    async def refresh(self) -> None:
        """A new connection for the same participant, which sends at once."""

    async def rejoin(self) -> None:
        """A new socket for the same participant, as after one that dropped; media goes on."""

    async def move(self, timeout_s: float) -> float:
        """Go on from another source port; when the first packet came there, by time.monotonic.

        Raises TimeoutError.
        """

    async def close(self) -> None:
        """Leave without a word, as a closed tab does. Idempotent."""


class Crowd(Protocol):
    """Everyone of one run. Use as an async context manager around all its clients.

    name: of its kind of clients, for reports.
    """

    @property
    def name(self) -> str: ...

    def client(self, room_url: str, picture: Picture = CAMERA) -> Client:
        """Whoever the link is for, who sends such pictures; nothing happens yet."""

    async def figures(self) -> Figures:
        """All media since the begin; what this kind of client does not count is 0."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...


class PumpCrowd:
    """Native clients: one thread makes the media of all."""

    name: Final = "pump"

    def __init__(self) -> None:
        self._pump = Pump()

    def client(self, room_url: str, picture: Picture = CAMERA) -> Client:
        return PumpClient(room_url, self._pump, picture)

    async def figures(self) -> Figures:
        return self._pump.figures()

    async def __aenter__(self) -> Self:
        self._pump.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._pump.stop)


class PumpClient:
    """A Peer whose media a running pump makes."""

    def __init__(self, room_url: str, pump: Pump, picture: Picture) -> None:
        self._peer = Peer(room_url)
        # All links to one room have one path; what differs is behind the #.
        self._room_path = urlsplit(room_url).path
        self._pump = pump
        self._picture = picture
        self._number: int | None = None

    @property
    def room(self) -> RoomClient:
        return self._peer.room

    async def join(self) -> None:
        await self._peer.join()

    async def connect(self) -> None:
        await self._peer.connect()

    async def receives(self, sections: int, timeout_s: float) -> None:
        await self._peer.receives(sections, timeout_s)

    def send(self) -> None:
        self._number = self._peer.send_by(self._pump, self._picture, room=self._room_path)

    def pause(self, kind: Kind) -> None:
        for flow in self._peer.flows[kind]:
            self._pump.pause(flow)

    def resume(self, kind: Kind) -> None:
        for flow in self._peer.flows[kind]:
            self._pump.resume(flow)

    async def first_media(self, timeout_s: float) -> float:
        assert self._number is not None, "send first"
        async with asyncio.timeout(timeout_s):
            while True:
                at = self._pump.first_media(self._number)
                if at is not None:
                    return at
                await asyncio.sleep(_LOOK_S)

    async def refresh(self) -> None:
        self._fall_silent()
        await self._peer.refresh()
        self.send()

    async def rejoin(self) -> None:
        await self._peer.rejoin()

    async def move(self, timeout_s: float) -> float:
        assert self._number is not None, "send first"
        self._peer.move()
        await asyncio.sleep(_DRAIN_S)
        before = self._pump.received_by(self._number)
        async with asyncio.timeout(timeout_s):
            while True:
                self._peer.check()
                check_again_at = time.monotonic() + _CHECK_AGAIN_S
                while time.monotonic() < check_again_at:
                    if self._pump.received_by(self._number) > before:
                        return time.monotonic()
                    await asyncio.sleep(_LOOK_S)

    async def close(self) -> None:
        self._fall_silent()
        await self._peer.close()

    def _fall_silent(self) -> None:
        """Take the socket from the pump before it is closed."""
        if self._number is not None:
            self._pump.remove_peer(self._number)
            self._number = None
