"""The end of a session, as everyone around it sees it; and the end of the server."""

from dataclasses import replace

from tests.support.eventually import eventually
from tests.unit.signaling.harness import Booking, Client, Server


async def test_everyone_is_told_the_same_and_their_sockets_are_closed(booking: Booking) -> None:
    therapist, client = await booking.join("Lena"), await booking.join("Maya")
    waiting = await booking.connect("Maya")
    for name in ("Lena", "Maya"):
        booking.server.sfu.says(booking.id, booking.person(name).id, "connected")
    await booking.server.plumm.rooms.settle()
    booking.server.clock.advance(48 * 60 + 5)
    ended = await therapist.done("session:end", {})
    assert ended == {
        "cause": "therapist",
        "ended_by": booking.person("Lena").id,
        "name": "Lena",
        "ended_at": "2026-11-22T10:48:05Z",
        "duration_s": 2885,
        "overlap_s": 0,  # the clock jumped: nobody was seen meanwhile
        "confirmed_at": None,
    }
    for socket in (therapist, client, waiting):
        await eventually(socket.is_closed)
        assert socket.names()[-2:] == ["session:ended", "disconnect"]
        assert socket.last("session:ended") == ended


async def test_media_is_closed_by_the_time_of_the_ack(booking: Booking) -> None:
    therapist = await booking.join("Lena")
    await therapist.done("session:end", {})
    assert booking.server.sfu.calls == [("close_session", booking.id)]


async def test_a_repeated_end_gets_the_same_answer(booking: Booking) -> None:
    therapist = await booking.join("Lena")
    first = await therapist.done("session:end", {})
    booking.server.clock.advance(1)
    assert await therapist.done("session:end", {}) == first
    assert booking.server.sfu.calls == [("close_session", booking.id)]


async def test_no_token_gets_back_in_and_its_bearer_hears_how_it_ended(
    booking: Booking,
) -> None:
    server = booking.server
    early = booking.join_token("Maya")
    waiting = await booking.connect("Maya")
    ended = await (await booking.join("Lena")).done("session:end", {})
    refusal = {"code": "session.ended", "message": "This session has ended.", "ended": ended}
    assert (await waiting.ask("room:join", {}))["error"] == refusal
    response = await server.http.post(
        f"{server.url}/api/join-token",
        headers={"Authorization": f"Bearer {booking.link_token('Maya')}"},
    )
    assert response.status == 410
    assert (await response.json())["error"] == refusal
    client = Client(server.url)
    server.sockets.append(client)
    try:
        await client.connect(early)
    except Exception:  # noqa: BLE001 - whatever the library raises; the refusal is what counts
        assert client.refusal["data"] == refusal
    else:
        raise AssertionError("an old join token opened a socket")


async def test_how_it_ended_is_for_those_who_belong_only(booking: Booking) -> None:
    stranger = replace(
        booking.grant("Maya"), participant=(await booking.server.session()).person("Maya").id
    )
    await (await booking.join("Lena")).done("session:end", {})
    response = await booking.server.http.post(
        f"{booking.server.url}/api/join-token",
        headers={
            "Authorization": "Bearer "
            + booking.server.plumm.tokens.link(stranger, booking.session.links_until)
        },
    )
    error = (await response.json())["error"]
    assert (error["code"], "ended" in error) == ("token.invalid", False)


async def test_one_session_ends_and_another_goes_on(server: Server) -> None:
    ending, going_on = await server.session(), await server.session()
    bystander = await going_on.join("Maya")
    await (await ending.join("Lena")).done("session:end", {})
    await bystander.done("state:set", {"camera": False})
    assert "session:ended" not in bystander.names()


async def test_a_stopping_server_says_so_and_closes_its_sockets(booking: Booking) -> None:
    client, waiting = await booking.join("Lena"), await booking.connect("Maya")
    await booking.server.stop()
    for socket in (client, waiting):
        await eventually(socket.is_closed)
        assert socket.names()[-2:] == ["server:closing", "disconnect"]
    assert booking.server.sfu.closed
    assert booking.server.counted("sockets") == 0
