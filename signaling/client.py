"""A room's client in Python: what the demo partner and the load tests speak to a server with.

Speaks PROTOCOL.md and nothing else; whoever uses it brings the media.
"""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import socketio

# An answer takes milliseconds; a server that is this slow is as good as gone.
REQUEST_TIMEOUT_S: Final = 10.0

Json = dict[str, Any]


class RefusedByServer(Exception):
    """The server answered with an error; code and message are its own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message


class RoomClient:
    """One participant's socket. Use `connect` first, `close` last.

    room_url: the link a participant opens, `<server>/room/<session>#<link token>`.
    """

    def __init__(self, room_url: str) -> None:
        address = urlsplit(room_url)
        self._server = f"{address.scheme}://{address.netloc}"
        self._link_token = address.fragment
        self._socket = socketio.AsyncClient(reconnection=False)

    def on(self, event: str, handler: Callable[[Json], object]) -> None:
        """Call `handler(payload)`, plain or async, at each `event` from the server."""
        self._socket.on(event, handler)

    async def connect(self) -> Json:
        """Open the socket and join the room; the data of the `room:join` ack.

        Raises RefusedByServer, or OSError where no server answers.
        """
        token = await self._join_token()
        try:
            await self._socket.connect(
                self._server, auth={"token": token}, transports=["websocket"]
            )
        except socketio.exceptions.ConnectionError as error:
            raise _refusal_in(error) from error
        return await self.request("room:join", {})

    async def request(self, event: str, payload: Json) -> Json:
        """Send one event and wait for its ack; the ack's data. Raises RefusedByServer."""
        ack: Json = await self._socket.call(event, payload, timeout=REQUEST_TIMEOUT_S)
        if not ack["ok"]:
            raise RefusedByServer(ack["error"]["code"], ack["error"]["message"])
        data: Json = ack["data"]
        return data

    async def close(self) -> None:
        """Close the socket; the server keeps the place for its grace. Idempotent."""
        await self._socket.shutdown()

    async def _join_token(self) -> str:
        async with (
            aiohttp.ClientSession() as http,
            http.post(
                f"{self._server}/api/join-token",
                headers={"Authorization": f"Bearer {self._link_token}"},
            ) as response,
        ):
            body: Json = await response.json()
            if response.status != 200:
                raise RefusedByServer(body["error"]["code"], body["error"]["message"])
            token: str = body["token"]
            return token


def _refusal_in(error: socketio.exceptions.ConnectionError) -> Exception:
    """What the server said when it refused the socket; python-socketio hands it up in args."""
    for argument in error.args:
        if isinstance(argument, dict):
            data = argument.get("data", argument)
            if isinstance(data, dict) and "code" in data:
                return RefusedByServer(data["code"], data.get("message", ""))
    return ConnectionError(str(error))
