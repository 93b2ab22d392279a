"""What reaches a socket: malformed, binary and oversized frames, floods, and silence.

These also watch the private parts of python-socketio and python-engineio that
signaling/transport.py relies on.
"""

import asyncio
import base64
import json
import os
import resource
import socket
from pathlib import Path
from typing import Any, cast

import pytest
import socketio
from aiohttp import ClientWebSocketResponse, web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st
from socketio.packet import CONNECT, EVENT

from signaling import link as link_module
from signaling import transport as transport_module
from signaling.link import Link
from signaling.metrics import Metrics
from signaling.transport import SocketServer, _StrictPacket
from tests.support.eventually import eventually
from tests.unit.signaling.harness import Booking, Client, RawSocket, Server, running_server

NESTED = "[" * 30_000


@pytest.mark.parametrize(
    ("frame", "status"),
    [
        ("", 1002),
        ("x", 1002),
        ("9", 1002),
        ("4", 1002),
        ("4x", 1002),
        ("4²", 1002),
        ("43[1]", 1002),
        ("44{}", 1002),
        ("3" + NESTED, 1002),
        ("4" + NESTED, 1002),
        ("2probe", 1002),
        ("5", 1002),
        ('451-["room:join",{"_placeholder":true,"num":0}]', 1003),
        ("461-1[{}]", 1003),
        ("b" + base64.b64encode(b"2[]").decode(), 1003),
    ],
)
async def test_a_frame_that_is_not_ours_closes_its_socket_and_no_other(
    booking: Booking, frame: str, status: int
) -> None:
    bystander = await booking.join("Lena")
    socket = await RawSocket.admitted(booking, "Maya")
    await socket.acked('42#["room:join",{}]')
    await socket.send(frame)
    assert await socket.close_code() == status
    await eventually(lambda: booking.server.counted("sockets") == 1)
    await bystander.done("room:sync", {})
    maya = bystander.last("room:state")["participants"][1]
    assert maya["connection"] == "reconnecting"


@pytest.mark.parametrize(
    "body",
    [
        '["room:join",{}',
        '{"room:join":{}}',
        "[]",
        "[7]",
        "[null]",
        "[[]]",
        '["room:join"]',
        '["room:join",{},{}]',
        '["room:join",[]]',
        '["room:join",NaN]',
        "",
        NESTED,
    ],
)
async def test_an_event_that_is_not_one_is_acked_as_malformed(booking: Booking, body: str) -> None:
    socket = await RawSocket.admitted(booking, "Maya")
    ack = await socket.acked("42#" + body)
    assert ack["error"]["code"] == "message.malformed"
    assert (await socket.acked('42#["room:join",{}]'))["ok"]


@pytest.mark.parametrize("name", ["connect", "disconnect", "*", "any", "connect_error", "message"])
async def test_an_event_named_like_a_reserved_one_is_just_unknown(
    booking: Booking, name: str
) -> None:
    socket = await RawSocket.admitted(booking, "Maya")
    ack = await socket.acked(f'42#["{name}",{{"token":"x"}}]')
    assert ack["error"]["code"] == "message.unknown_event"
    assert (await socket.acked('42#["room:join",{}]'))["ok"]


async def test_an_event_without_an_ack_id_is_carried_out_and_not_acked(booking: Booking) -> None:
    socket = await RawSocket.admitted(booking, "Maya")
    await socket.send('42["room:join",{}]')
    await socket.send('42["state:set",{"camera":false}]')
    assert (await socket.receive()).startswith('42["room:state"')


async def test_events_before_admission_are_not_answered_and_other_namespaces_not_served(
    booking: Booking,
) -> None:
    socket = await RawSocket.open(booking.server)
    await socket.send('421["room:join",{}]')
    await socket.send("40/admin,")
    assert (await socket.receive()).startswith("44/admin,")
    assert (await booking.server.plumm.rooms.session(booking.session.id)).present == {}


@pytest.mark.parametrize("auth", ["", "{", '{"token":"\\ud800"}', '"token"', "[1]", NESTED])
async def test_a_malformed_connect_is_refused_with_a_code_and_closed(
    booking: Booking, auth: str
) -> None:
    socket = await RawSocket.open(booking.server)
    await socket.send("40" + auth)
    answer = await socket.receive()
    assert answer.startswith("44")
    assert json.loads(answer[2:])["data"]["code"] in ("token.missing", "token.invalid")
    assert await socket.close_code() == 1000


async def test_a_socket_that_is_never_let_in_is_cut_off(
    booking: Booking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "ADMITTED_WITHIN_S", 0.1)
    socket = await RawSocket.open(booking.server)
    assert await socket.close_code() == 1006
    assert booking.server.counted("dropped_sockets_total", reason="idle") == 1


async def test_a_socket_that_is_let_in_and_does_not_join_is_cut_off(
    booking: Booking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "JOINED_WITHIN_S", 0.1)
    member = await booking.join("Lena")
    socket = await RawSocket.admitted(booking, "Maya")
    assert await socket.close_code() == 1006
    assert booking.server.counted("dropped_sockets_total", reason="idle") == 1
    await member.done("room:sync", {})


async def test_a_socket_that_falls_silent_is_taken_for_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "PING_INTERVAL_S", 0.1)
    monkeypatch.setattr(transport_module, "PING_TIMEOUT_S", 0.1)
    async with running_server(tmp_path) as server:
        booking = await server.session()
        silent = await RawSocket.admitted(booking, "Maya")  # it never answers a ping
        await silent.acked('42#["room:join",{}]')
        rooms = server.plumm.rooms

        def is_taken_for_lost() -> bool:
            (maya,) = rooms.state(booking.session.id).participants
            return maya.connection == "reconnecting"

        await eventually(is_taken_for_lost)
        await eventually(lambda: server.counted("sockets") == 0)


async def test_a_socket_that_takes_its_leave_is_closed_and_cannot_come_back(
    booking: Booking,
) -> None:
    socket = await RawSocket.admitted(booking, "Maya")
    await socket.acked('42#["room:join",{}]')
    await socket.send("41")
    await socket.send("40" + json.dumps({"token": booking.join_token("Maya")}))
    await socket.close_code()
    await eventually(lambda: booking.server.counted("sockets") == 0)
    present = (await booking.server.plumm.rooms.session(booking.session.id)).present
    assert all(one.socket_lost_at is not None for one in present.values())
    assert booking.server.plumm.members.connected(booking.session.id) == 0


async def test_a_socket_of_another_origin_is_refused_and_one_of_ours_is_not(
    booking: Booking,
) -> None:
    url = f"{booking.server.url}/socket.io/?EIO=4&transport=websocket"
    http = booking.server.http
    for origin in ("https://elsewhere.example", "null", booking.server.url + ".example"):
        refused = await http.get(url, headers={"Origin": origin})
        assert refused.status == 403
    for origin in booking.server.settings.allowed_origins:
        ws: ClientWebSocketResponse = await http.ws_connect(url, headers={"Origin": origin})
        await ws.close()


async def test_long_polling_is_not_served(server: Server) -> None:
    for method in ("GET", "POST"):
        response = await server.http.request(
            method, f"{server.url}/socket.io/?EIO=4&transport=polling"
        )
        assert response.status in (400, 405)


async def test_a_slow_consumer_costs_bounded_memory_and_is_cut_off(booking: Booking) -> None:
    """It joins and never reads, while up to 150 MB are sent to it; the others go on."""
    bystander = await booking.join("Lena")
    lazy = await a_client_that_does_not_read(booking)
    members = booking.server.plumm.members
    await eventually(lambda: len(bystander.last("room:state")["participants"]) == 2)
    maya = booking.person("Maya").id
    sections = a_large_message()
    rss_before = rss_mb()
    sent = 0
    while members.connected(booking.session.id) == 2 and sent < 150_000_000:
        members.sections_changed(booking.id, maya, sections)
        sent += len(json.dumps(sections))
        await asyncio.sleep(0)
    grown = rss_mb() - rss_before
    lazy.close()
    # The kernel's buffers take up to 6 MB, the queue and its writer 1 MB.
    assert sent < 16_000_000
    assert grown < 20, f"{grown} MB for one socket that does not read"
    assert booking.server.counted("dropped_sockets_total", reason="slow_consumer") == 1
    await eventually(lambda: booking.server.counted("sockets") == 1)
    await bystander.done("room:sync", {})
    assert bystander.last("room:state")["participants"][1]["connection"] == "reconnecting"


def a_large_message() -> dict[str, Any]:
    track = {"participant_id": "p" * 1000, "source": "camera", "paused": False}
    tracks = [{"mid": str(n), **track} for n in range(40)]
    return {"audios": 40, "videos": 40, "tracks": tracks}


def rss_mb() -> float:
    """The resident memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


async def a_client_that_does_not_read(booking: Booking) -> socket.socket:
    """A joined socket whose owner never takes a byte off it."""
    loop = asyncio.get_running_loop()
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await loop.sock_connect(raw, ("127.0.0.1", booking.server.settings.port))
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    )
    await loop.sock_sendall(raw, request.encode())
    token = json.dumps({"token": booking.join_token("Maya")})
    for frame in ("40" + token, '42["room:join",{}]'):
        await loop.sock_sendall(raw, masked(frame.encode()))
    return raw


def masked(payload: bytes) -> bytes:
    """A text frame of a client, with a mask of zeros (RFC 6455, 5.2)."""
    length = len(payload)
    head = bytes([0x81]) + (
        bytes([0x80 | length]) if length < 126 else bytes([0xFE]) + length.to_bytes(2, "big")
    )
    return head + bytes(4) + payload


class Dawdler:
    """An application that takes as many turns of the loop for an event as its payload says."""

    async def admit(self, link: Link, auth: object) -> None:
        """Anyone."""

    async def answer(self, _link: Link, _name: str | None, args: tuple[object, ...]) -> object:
        for _ in range(cast(int, args[0])):
            await asyncio.sleep(0)
        return {"ok": True}

    def gone(self, link: Link) -> None:
        """So what."""


async def test_a_slow_event_is_not_overtaken_by_a_quick_one_of_its_socket() -> None:
    app = web.Application()
    SocketServer(Dawdler(), (), Metrics()).attach(app)
    async with TestClient(TestServer(app)) as http:
        ws = await http.ws_connect("/socket.io/?EIO=4&transport=websocket")
        for frame in ("40{}", '421["slow",100]', '422["quick",10]', '423["quicker",0]'):
            await ws.send_str(frame)
        frames = [await ws.receive_str(timeout=5) for _ in range(5)]
        await ws.close()
    assert [frame[:3] for frame in frames[2:]] == ["431", "432", "433"]


@given(st.text(max_size=60))
def test_any_text_decodes_to_something_the_server_can_handle(text: str) -> None:
    for kind in (CONNECT, EVENT):
        packet = _StrictPacket(encoded_packet=f"{kind}{text}")
        if packet.packet_type == EVENT:
            assert packet.data[0] == "any"
            assert packet.data[1] is None or isinstance(packet.data[1], str)


async def test_two_servers_in_one_process_count_for_themselves(booking: Booking) -> None:
    await booking.join("Maya")
    assert booking.server.counted("events_total", event="room:join", outcome="ok") == 1
    assert booking.server.counted("sockets") == 1


async def test_a_client_whose_attempt_was_refused_may_try_again(booking: Booking) -> None:
    client = Client(booking.server.url)
    booking.server.sockets.append(client)
    with pytest.raises(socketio.exceptions.ConnectionError):
        await client.connect("not a token")
    await client.connect(booking.join_token("Maya"))
    await client.done("room:join", {})
