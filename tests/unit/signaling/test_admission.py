"""Who is let in by a server that has too much to do, and who is not."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import socketio

from tests.support.eventually import eventually
from tests.unit.signaling.harness import Booking, Client, Json, Server, running_server

Knock = Callable[[Booking], Awaitable[Json]]


async def for_a_token(booking: Booking) -> Json:
    response = await booking.server.http.post(
        f"{booking.server.url}/api/join-token",
        headers={"Authorization": f"Bearer {booking.link_token('Maya')}"},
    )
    assert response.status == 503
    error: Json = (await response.json())["error"]
    assert response.headers["Retry-After"] == str(error["retry_after"])
    return error


async def with_a_socket(booking: Booking, name: str = "Maya") -> Json:
    client = Client(booking.server.url)
    booking.server.sockets.append(client)
    with pytest.raises(socketio.exceptions.ConnectionError):
        await client.connect(booking.join_token(name))
    error: Json = client.refusal["data"]
    return error


async def for_a_demo(booking: Booking) -> Json:
    response = await booking.server.http.post(f"{booking.server.url}/api/demo")
    assert response.status == 503
    error: Json = (await response.json())["error"]
    return error


@pytest.mark.parametrize("knock", [for_a_token, with_a_socket, for_a_demo])
async def test_a_newcomer_to_a_busy_server_is_told_when_to_come_back(
    booking: Booking, knock: Knock
) -> None:
    await booking.server.load(relay_share=1.0)
    error = await knock(booking)
    assert error["code"] == "busy"
    assert 5 <= error["retry_after"] <= 10


async def test_a_socket_that_was_let_in_before_does_not_join_a_busy_server(
    booking: Booking,
) -> None:
    client = await booking.connect("Maya")
    await booking.server.load(relay_share=1.0)
    ack = await client.ask("room:join", {})
    assert ack["error"]["code"] == "busy"
    assert 5 <= ack["error"]["retry_after"] <= 10

    await booking.server.load(relay_share=0.1)
    await client.done("room:join", {})


async def test_a_busy_server_answers_those_in_a_room(booking: Booking) -> None:
    lena, maya = await booking.join("Lena"), await booking.join("Maya")
    await booking.server.load(relay_share=1.0)
    offer = {"connection": "c1", "seq": 1, "sdp": "v=0\r\n", "sources": {}}
    await maya.done("rtc:offer", offer)
    await maya.done("state:set", {"microphone": False})
    await lena.done("session:end", {})


async def test_a_busy_server_takes_a_page_back_that_was_loaded_again(booking: Booking) -> None:
    before = await booking.join("Maya")
    await booking.server.load(relay_share=1.0)
    await booking.join("Maya")
    await eventually(lambda: "room:replaced" in before.names())


async def test_a_busy_server_takes_back_whose_socket_was_lost(booking: Booking) -> None:
    lost = await booking.join("Maya")
    await booking.server.load(relay_share=1.0)
    await lost.drop()
    await booking.join("Maya")


async def test_a_busy_server_takes_back_who_was_there_before_a_restart(tmp_path: Path) -> None:
    async with running_server(tmp_path) as before:
        booking = await before.session()
        await booking.join("Maya")
    async with running_server(tmp_path) as server:
        await server.load(relay_share=1.0)
        again = Booking(server, booking.session)
        await again.join("Maya")
        assert (await with_a_socket(again, "Lena"))["code"] == "busy"


async def test_a_busy_server_takes_in_whom_the_therapist_let_in(server: Server) -> None:
    booking = await server.session(waiting_room=True)
    lena = await booking.join("Lena")
    maya = await booking.join("Maya")
    assert maya.welcome["waiting"]
    await server.load(relay_share=1.0)
    await lena.done("room:admit", {"participant_id": booking.person("Maya").id})
    assert "state" in await maya.done("room:join", {})


async def test_a_busy_server_takes_back_who_waits_at_the_door(server: Server) -> None:
    booking = await server.session(waiting_room=True)
    await booking.join("Lena")
    before = await booking.join("Maya")
    await server.load(relay_share=1.0)
    again = await booking.join("Maya")
    await before.drop()
    assert again.welcome["waiting"]


async def test_no_more_than_the_most_people_come_in(tmp_path: Path) -> None:
    async with running_server(tmp_path, max_people=2) as small:
        first, second = await small.session(), await small.session()
        await first.join("Lena")
        maya = await first.join("Maya")
        assert (await with_a_socket(second, "Lena"))["code"] == "busy"
        await maya.done("room:leave", {})
        await second.join("Lena")


async def test_an_ended_session_says_so_and_not_that_the_server_is_busy(booking: Booking) -> None:
    await booking.server.plumm.rooms.end_by_admin(booking.session.id)
    await booking.server.load(relay_share=1.0)
    assert (await with_a_socket(booking))["code"] == "session.ended"


async def test_a_busy_server_is_ready_for_those_it_has(booking: Booking) -> None:
    await booking.server.load(relay_share=1.0)
    ready = await booking.server.http.get(f"{booking.server.url}/readyz")
    assert (ready.status, await ready.json()) == (200, {"status": "ready", "busy": True})
