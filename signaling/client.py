"""A room's client in Python: what the demo partner and the load tests speak to a server with.

Speaks PROTOCOL.md and nothing else; whoever uses it brings the media.
"""

from collections.abc import Callable, Collection
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
        # What Ctrl+C means is not a socket's to say: it would cancel every task there is.
        self._socket = socketio.AsyncClient(reconnection=False, handle_sigint=False)

    def on(self, event: str, handler: Callable[[Any], object]) -> None:
        """Call `handler(payload)`, plain or async, at each `event` from the server.

        "disconnect", with a reason, is told when the socket is closed.
        """
        self._socket.on(event, handler)

    async def connect(self) -> Json:
        """Open the socket and join the room; the data of the `room:join` ack.

        Raises RefusedByServer, or ConnectionError where no Plumm server answers.
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
        """Send one event and wait for its ack; the ack's data.

        Raises RefusedByServer, or ConnectionError when the socket is closed or no ack comes.
        """
        try:
            ack: Json = await self._socket.call(event, payload, timeout=REQUEST_TIMEOUT_S)
        except socketio.exceptions.SocketIOError as error:
            why = str(error) or f"no answer within {REQUEST_TIMEOUT_S:.0f} s"
            raise ConnectionError(f"{event}: {why}") from error
        if not ack["ok"]:
            raise RefusedByServer(ack["error"]["code"], ack["error"]["message"])
        data: Json = ack["data"]
        return data

    async def close(self) -> None:
        """Close the socket; the server keeps the place for its grace. Idempotent."""
        await self._socket.shutdown()

    async def _join_token(self) -> str:
        answer = await post(f"{self._server}/api/join-token", self._link_token, expected=("token",))
        token: str = answer["token"]
        return token


async def post(
    url: str, bearer: str, body: Json | None = None, *, expected: Collection[str]
) -> Json:
    """POST to a server's API; its answer, which has the keys that are expected.

    Raises RefusedByServer, or ConnectionError where nothing answers, or something else does.
    """
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    headers = {"Authorization": f"Bearer {bearer}"}
    nobody = f"no Plumm server answers at {url}"
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.post(url, json=body, headers=headers) as response,
        ):
            answer = await response.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise ConnectionError(nobody) from error
    match answer:
        case {"error": {"code": str(code), "message": str(message)}}:
            raise RefusedByServer(code, message)
        case dict() if answer.keys() >= set(expected):
            return answer
    raise ConnectionError(nobody)


def _refusal_in(error: socketio.exceptions.ConnectionError) -> Exception:
    """What the server said when it refused the socket; python-socketio hands it up in args."""
    for argument in error.args:
        if isinstance(argument, dict):
            data = argument.get("data", argument)
            if isinstance(data, dict) and "code" in data:
                return RefusedByServer(data["code"], data.get("message", ""))
    return ConnectionError(str(error))
