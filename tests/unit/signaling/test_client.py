"""The room's client and the demo partner, against servers that refuse or are none of ours."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import socketio
from aiohttp import web
from aiohttp.test_utils import TestServer

from signaling import client as client_module
from signaling.client import RefusedByServer, RoomClient
from signaling.errors import Refused, error_body
from tests.support.server import PLUMM
from tests.unit.signaling.harness import SECRET, Booking

ENDED = {"error": error_body(Refused("session.ended"))}
FULL = {"error": error_body(Refused("storage.unavailable"))}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server says to every POST of one path."""

    status: int
    body: object

    async def handle(self, _: web.Request) -> web.Response:
        if isinstance(self.body, str):
            return web.Response(status=self.status, text=self.body, content_type="text/html")
        return web.json_response(self.body, status=self.status)


HTML = Answer(200, "<h1>Somebody else</h1>")


@asynccontextmanager
async def a_server(join_token: Answer, sessions: Answer | None = None) -> AsyncIterator[TestServer]:
    """Answers as given; without `sessions`, it makes sessions whose rooms are its own."""
    app = web.Application()
    server = TestServer(app)

    async def create(_: web.Request) -> web.Response:
        link = str(server.make_url("/room/s1#link"))
        made = {"session_id": "s1", "therapist_url": link, "client_url": link}
        return web.json_response(made, status=201)

    app.router.add_post("/api/join-token", join_token.handle)
    app.router.add_post("/api/sessions", create if sessions is None else sessions.handle)
    async with server:
        yield server


@pytest.mark.parametrize(
    "answer",
    [
        HTML,
        Answer(502, "<h1>Bad gateway</h1>"),
        Answer(200, {}),
        Answer(200, []),
        Answer(200, None),
        Answer(400, {"error": "no"}),
        Answer(400, {"error": {"code": 7}}),
        # It answers as Plumm does, and then has no sockets.
        Answer(200, {"token": "a token"}),
    ],
)
async def test_a_server_that_is_not_plumm_is_a_connection_error(answer: Answer) -> None:
    async with a_server(answer) as server:
        client = RoomClient(str(server.make_url("/room/s1#link")))
        with pytest.raises(ConnectionError):
            await client.connect()
        await client.close()


async def test_a_server_that_is_not_there_is_a_connection_error() -> None:
    client = RoomClient("http://127.0.0.1:1/room/s1#link")
    with pytest.raises(ConnectionError, match="no Plumm server"):
        await client.connect()
    await client.close()


async def test_a_refusal_keeps_its_code() -> None:
    async with a_server(Answer(410, ENDED)) as server:
        client = RoomClient(str(server.make_url("/room/s1#link")))
        with pytest.raises(RefusedByServer) as refused:
            await client.connect()
        await client.close()
    assert refused.value.code == "session.ended"


async def test_a_request_without_an_ack_is_a_connection_error(
    booking: Booking, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = RoomClient(f"{booking.server.url}/room/{booking.id}#{booking.link_token('Maya')}")
    await client.connect()

    async def no_ack(*_: object, **__: object) -> None:
        raise socketio.exceptions.TimeoutError

    with monkeypatch.context() as patched:
        patched.setattr(client._socket, "call", no_ack)
        with pytest.raises(ConnectionError, match=f"within {client_module.REQUEST_TIMEOUT_S:.0f}"):
            await client.request("room:sync", {})
    await client.close()
    with pytest.raises(ConnectionError):
        await client.request("room:sync", {})


async def demo_partner(server: TestServer, tmp_path: Path) -> tuple[int | None, str]:
    """`plumm demo --partner`: exit status, and the last line on stderr, which has no traceback."""
    environment = os.environ | {"PLUMM_SECRET": SECRET, "PLUMM_DATA_DIR": str(tmp_path)}
    command = await asyncio.create_subprocess_exec(
        *(PLUMM, "demo", "--partner", "--server", str(server.make_url(""))),
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, stderr = await asyncio.wait_for(command.communicate(), 20)
    assert "Traceback" not in stderr.decode()
    lines = stderr.decode().splitlines()
    return command.returncode, lines[-1]


@pytest.mark.parametrize(
    ("join_token", "sessions", "status", "said"),
    [
        (HTML, HTML, 1, "no Plumm server answers at"),
        (HTML, Answer(201, {"session_id": "s1"}), 1, "no Plumm server answers at"),
        (HTML, Answer(503, FULL), 1, "the server refused: This could not be stored"),
        (HTML, None, 1, "the partner could not stay: no Plumm server answers at"),
        (Answer(503, FULL), None, 1, "the partner could not stay: This could not be stored"),
        (Answer(410, ENDED), None, 0, "The partner is in the room"),
    ],
)
async def test_the_partner_ends_in_one_line_whatever_answers(
    tmp_path: Path, join_token: Answer, sessions: Answer | None, status: int, said: str
) -> None:
    async with a_server(join_token, sessions) as server:
        returncode, line = await demo_partner(server, tmp_path)
    assert (returncode, said in line) == (status, True), line
