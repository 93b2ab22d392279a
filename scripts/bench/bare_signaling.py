"""The yardstick of signaling: aiohttp's WebSockets on uvloop, and nothing around them.

As a process, `python -m scripts.bench.bare_signaling`: it prints its TCP port and serves until
its standard input closes. A client names its room first. What it sends is sent back; an "end"
is one row in SQLite, committed as durably as Plumm's, then "ended" to everyone in the room.
"""

import asyncio
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import aiohttp
import uvloop
from aiohttp import web

from scripts.bench.cores import SERVER_CORE, on_core

# As Plumm does: who went away in silence is found out.
_HEARTBEAT_S: Final = 5.0


class BareSignaling:
    """The server: who is in which room, and a table of ends."""

    def __init__(self, database: Path) -> None:
        self._rooms: dict[str, set[web.WebSocketResponse]] = {}
        self._database = sqlite3.connect(database, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute("CREATE TABLE ended (room TEXT PRIMARY KEY)")

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(heartbeat=_HEARTBEAT_S, compress=False)
        await ws.prepare(request)
        name = await ws.receive_str()
        room = self._rooms.setdefault(name, set())
        room.add(ws)
        await ws.send_str("in")
        async for message in ws:
            if message.data == "end":
                self._database.execute("INSERT INTO ended VALUES (?)", (name,))
                for one in list(room):
                    await one.send_str("ended")
            else:
                await ws.send_str(message.data)
        room.discard(ws)
        return ws


class BareClient:
    """One socket to it. `await connect()`, then `request`, or `ended`; `close` always."""

    def __init__(self, http: aiohttp.ClientSession, url: str, room: str) -> None:
        self._http = http
        self._url = url
        self._room = room
        self._heard: asyncio.Queue[str] = asyncio.Queue()
        self._ws: aiohttp.ClientWebSocketResponse
        self._reading: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        self._ws = await self._http.ws_connect(self._url, compress=0)
        self._reading = asyncio.create_task(self._read())
        await self.request(self._room)

    async def request(self, text: str) -> None:
        """Send a text; wait for what comes back. "end" is answered by the end of the room."""
        await self._ws.send_str(text)
        await self._heard.get()

    async def ended(self) -> None:
        """Wait for the end that the other one asked for."""
        await self._heard.get()

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
            await self._ws.close()

    async def _read(self) -> None:
        # Always: heartbeats are answered while somebody reads.
        async for message in self._ws:
            self._heard.put_nowait(message.data)


@contextmanager
def running_bare_signaling() -> Iterator[tuple[int, str]]:
    """Its PID and URL, on the server's core; ended afterwards."""
    with on_core(SERVER_CORE):
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.bench.bare_signaling"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    try:
        assert process.stdout is not None
        yield process.pid, f"http://127.0.0.1:{int(process.stdout.readline())}/"
    finally:
        process.kill()
        process.wait()


async def _serve(listener: socket.socket, database: Path) -> None:
    app = web.Application()
    app.router.add_get("/", BareSignaling(database).serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    print(listener.getsockname()[1], flush=True)
    await asyncio.Event().wait()


def main() -> None:
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="plumm-bench-") as folder:
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        uvloop.run(_serve(listener, Path(folder) / "bare.db"))


if __name__ == "__main__":
    main()
