"""A participant's socket alone, without python-socketio: one process holds thousands.

Speaks signaling/PROTOCOL.md by the few frames it takes; `signaling.client.RoomClient` is the
client of everybody who needs less than hundreds of them.
"""

import asyncio
import json
from collections.abc import Callable
from itertools import count
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from signaling.client import RefusedByServer

_REQUEST_TIMEOUT_S: Final = 30.0
_PING, _PONG = "2", "3"
_CONNECT, _CONNECTED, _REFUSED = "40", "40", "44"
_EVENT, _ACK = "42", "43"

Json = dict[str, Any]


class LightClient:
    """`await connect()`, then `request`; `await close()` always.

    http: shared by as many as the caller likes, without a limit on connections. room_url: the
    link a participant opens. heard: called with the name of each event, as it comes.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        room_url: str,
        heard: Callable[[str], None] = lambda _: None,
    ) -> None:
        address = urlsplit(room_url)
        self._http = http
        self._server = f"{address.scheme}://{address.netloc}"
        self._link_token = address.fragment
        self._heard = heard
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[Json]] = {}
        self._ws: aiohttp.ClientWebSocketResponse
        self._reading: asyncio.Task[None] | None = None

    async def connect(self) -> Json:
        """Open the socket and join the room; the data of the `room:join` ack.

        Raises RefusedByServer, aiohttp.ClientError, ConnectionError, TimeoutError.
        """
        async with self._http.post(
            f"{self._server}/api/join-token",
            headers={"Authorization": f"Bearer {self._link_token}"},
        ) as response:
            token = _unless_refused(await response.json())["token"]
        self._ws = await self._http.ws_connect(
            f"{self._server}/socket.io/?EIO=4&transport=websocket", compress=0
        )
        await self._ws.receive_str()  # the handshake's parameters; our pings are answered as asked
        await self._ws.send_str(_CONNECT + json.dumps({"token": token}))
        answer = await self._ws.receive_str()
        if answer.startswith(_REFUSED):
            _unless_refused({"error": json.loads(answer.removeprefix(_REFUSED))["data"]})
        self._reading = asyncio.create_task(self._read())
        return await self.request("room:join", {})

    async def request(self, event: str, payload: Json) -> Json:
        """Send one event; its ack's data. Raises RefusedByServer, ConnectionError, TimeoutError."""
        number = next(self._numbers)
        acked = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._ws.send_str(f"{_EVENT}{number}{json.dumps([event, payload])}")
        async with asyncio.timeout(_REQUEST_TIMEOUT_S):
            ack: Json = _unless_refused(await acked)["data"]
            return ack

    async def close(self) -> None:
        """Close the socket, as a closed tab does. Idempotent."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
            self._reading = None
            await self._ws.close()

    async def _read(self) -> None:
        try:
            async for message in self._ws:
                await self._take(message.data)
        finally:
            for acked in self._waiting.values():
                acked.cancel()

    async def _take(self, frame: str) -> None:
        if frame == _PING:
            await self._ws.send_str(_PONG)
        elif frame.startswith(_ACK):
            start = frame.index("[")
            acked = self._waiting.pop(int(frame[len(_ACK) : start]))
            if not acked.done():
                acked.set_result(json.loads(frame[start:])[0])
        elif frame.startswith(_EVENT):
            self._heard(json.loads(frame.removeprefix(_EVENT))[0])


def _unless_refused(answer: Json) -> Json:
    if "error" in answer:
        raise RefusedByServer(answer["error"]["code"], answer["error"]["message"])
    return answer
