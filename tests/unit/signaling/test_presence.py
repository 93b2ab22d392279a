"""Sockets come, go, come back and replace one another; the room is told each time."""

import asyncio

from rooms.lifecycle import GRACE
from signaling.protocol import MAX_SOCKETS
from tests.support.eventually import eventually
from tests.unit.signaling.harness import Booking, Client, RawSocket


def connections(client: Client) -> dict[str, str]:
    """name -> connection, as the client was last told."""
    participants = client.last("room:state")["participants"]
    return {one["name"]: one["connection"] for one in participants}


async def test_joining_answers_with_all_a_client_needs(booking: Booking) -> None:
    welcome = (await booking.join("Maya")).welcome
    assert welcome["participant_id"] == booking.person("Maya").id
    assert welcome["role"] == "client"
    assert welcome["server_time"] == "2026-11-22T10:00:00Z"
    assert welcome["session"] == {
        "id": booking.id,
        "title": "Session",
        "starts_at": "2026-11-22T10:00:00Z",
        "ends_at": "2026-11-22T11:00:00Z",
        "invited": [
            {"id": booking.person("Lena").id, "name": "Lena", "role": "therapist"},
            {"id": booking.person("Maya").id, "name": "Maya", "role": "client"},
        ],
    }
    assert welcome["sections"] == {"audios": 0, "videos": 0, "tracks": []}
    assert welcome["ice_servers"] == []
    assert [one["name"] for one in welcome["state"]["participants"]] == ["Maya"]


async def test_those_in_the_room_are_told_of_a_newcomer_and_asked_for_sections(
    booking: Booking,
) -> None:
    therapist = await booking.join("Lena")
    client = await booking.join("Maya")
    await eventually(lambda: connections(therapist) == {"Lena": "connecting", "Maya": "connecting"})
    await eventually(lambda: therapist.last("rtc:sections")["videos"] == 1)
    assert client.welcome["sections"]["videos"] == 1
    assert client.told == []


async def test_one_who_only_connected_is_told_nothing_of_the_room(booking: Booking) -> None:
    waiting = await booking.connect("Maya")
    therapist = await booking.join("Lena")
    version = (await therapist.done("state:set", {"camera": False}))["version"]
    await eventually(lambda: therapist.last("room:state")["version"] == version)
    assert waiting.told == []


async def test_the_session_is_live_once_both_have_media(booking: Booking) -> None:
    therapist = await booking.join("Lena")
    await booking.join("Maya")
    for name in ("Lena", "Maya"):
        booking.server.sfu.says(booking.id, booking.person(name).id, "connected")
    await eventually(lambda: therapist.last("room:state")["status"] == "live")
    state = therapist.last("room:state")
    assert state["live_since"] == "2026-11-22T10:00:00Z"
    assert connections(therapist) == {"Lena": "connected", "Maya": "connected"}


async def test_lost_media_shows_as_reconnecting(booking: Booking) -> None:
    therapist = await booking.join("Lena")
    await booking.join("Maya")
    booking.server.sfu.says(booking.id, booking.person("Maya").id, "lost")
    await eventually(lambda: connections(therapist)["Maya"] == "reconnecting")


async def test_a_dropped_socket_shows_as_reconnecting_and_its_media_goes_on(
    booking: Booking,
) -> None:
    therapist = await booking.join("Lena")
    client = await booking.join("Maya")
    booking.server.sfu.says(booking.id, booking.person("Maya").id, "connected")
    await client.drop()
    await eventually(lambda: connections(therapist)["Maya"] == "reconnecting")
    assert booking.server.sfu.calls == []


async def test_one_who_rejoins_within_the_grace_finds_its_state(booking: Booking) -> None:
    therapist = await booking.join("Lena")
    client = await booking.join("Maya")
    booking.server.sfu.says(booking.id, booking.person("Maya").id, "connected")
    await client.done("state:set", {"microphone": False, "fullscreen": True})
    await client.drop()
    await eventually(lambda: connections(therapist)["Maya"] == "reconnecting")
    booking.server.clock.advance(GRACE.total_seconds() - 1)
    await booking.server.plumm.rooms.expire()
    maya = (await booking.join("Maya")).welcome["state"]["participants"][1]
    assert (maya["microphone"], maya["fullscreen"]) == (False, True)
    assert maya["connection"] == "connected"
    assert ("remove_participant", booking.id, maya["id"]) not in booking.server.sfu.calls


async def test_one_who_stays_away_leaves_the_list_and_its_media_is_closed(
    booking: Booking,
) -> None:
    therapist = await booking.join("Lena")
    client = await booking.join("Maya")
    await client.drop()
    await eventually(lambda: connections(therapist)["Maya"] == "reconnecting")
    booking.server.clock.advance(GRACE.total_seconds())
    await eventually(lambda: list(connections(therapist)) == ["Lena"], "the server's own timer")
    assert booking.server.sfu.calls == [
        ("remove_participant", booking.id, booking.person("Maya").id)
    ]


async def test_leaving_closes_the_media_and_the_socket_may_join_again(booking: Booking) -> None:
    therapist = await booking.join("Lena")
    client = await booking.join("Maya")
    await client.done("room:leave", {})
    await eventually(lambda: list(connections(therapist)) == ["Lena"])
    maya = booking.person("Maya").id
    assert booking.server.sfu.calls == [("remove_participant", booking.id, maya)]
    assert "room:state" not in client.names()
    await client.done("room:join", {})
    await eventually(lambda: list(connections(therapist)) == ["Lena", "Maya"])


async def test_a_second_socket_replaces_the_first_which_is_told_and_closed(
    booking: Booking,
) -> None:
    therapist = await booking.join("Lena")
    first = await booking.join("Maya")
    await first.done("state:set", {"camera": False})
    second = await booking.join("Maya")
    await eventually(first.is_closed)
    assert first.names()[-2:] == ["room:replaced", "disconnect"]
    assert not second.welcome["state"]["participants"][1]["camera"]
    await second.done("state:set", {"camera": True})
    await eventually(lambda: therapist.last("room:state")["participants"][1]["camera"])
    assert connections(therapist)["Maya"] == "connecting"


async def test_the_going_of_a_replaced_socket_does_not_touch_its_successor(
    booking: Booking,
) -> None:
    first = await RawSocket.admitted(booking, "Maya")
    await first.acked('42#["room:join",{}]')
    await booking.join("Maya")
    version = booking.server.plumm.rooms.state(booking.session.id).version
    await first.abort()
    await eventually(lambda: booking.server.counted("sockets") == 1)
    assert booking.server.plumm.rooms.state(booking.session.id).version == version


async def test_joining_twice_on_one_socket_answers_twice_and_replaces_nobody(
    booking: Booking,
) -> None:
    client = await booking.join("Maya")
    again = await client.done("room:join", {})
    assert len(again["state"]["participants"]) == 1
    await client.done("state:set", {"camera": False})
    assert "room:replaced" not in client.names()


async def test_sync_repeats_state_and_sections(booking: Booking) -> None:
    client = await booking.join("Maya")
    await booking.join("Lena")
    synced = await client.done("room:sync", {})
    assert [one["name"] for one in synced["state"]["participants"]] == ["Maya", "Lena"]
    assert synced["sections"] == {"audios": 1, "videos": 1, "tracks": []}


async def test_every_switch_is_told_to_all_including_the_one_who_switched(
    booking: Booking,
) -> None:
    therapist, client = await booking.join("Lena"), await booking.join("Maya")
    version = (await client.done("state:set", {"microphone": False}))["version"]
    maya = booking.person("Maya").id
    assert booking.server.sfu.calls == [("set_forwarding", booking.id, maya, "microphone", False)]

    async def is_told(member: Client) -> None:
        await eventually(lambda: member.last("room:state")["version"] == version)
        assert not member.last("room:state")["participants"][1]["microphone"]

    await is_told(therapist)
    await is_told(client)


async def test_a_shared_screen_is_let_through_and_told(booking: Booking) -> None:
    therapist, client = await booking.join("Lena"), await booking.join("Maya")
    await client.done("state:set", {"screen": True})
    maya = booking.person("Maya").id
    assert booking.server.sfu.calls == [("set_forwarding", booking.id, maya, "screen", True)]
    await eventually(lambda: therapist.last("room:state")["participants"][1]["screen"] is True)


async def test_what_a_page_shows_reaches_the_media_plane(booking: Booking) -> None:
    lena = booking.person("Lena").id
    client = await booking.join("Maya")
    view = {"participant_id": lena, "source": "camera", "width": 640, "height": 480}
    assert await client.done("rtc:view", {"views": [view]}) == {}
    maya = booking.person("Maya").id
    shown = ((lena, "camera", 640, 480),)
    assert booking.server.sfu.calls == [("set_views", booking.id, maya, shown)]


async def test_what_is_watched_is_told_to_the_one_who_sends_it(booking: Booking) -> None:
    therapist, client = await booking.join("Lena"), await booking.join("Maya")
    booking.server.sfu.watches(booking.id, booking.person("Maya").id, "q", "h")
    await eventually(
        lambda: (
            client.last("rtc:layers") == {"tracks": [{"source": "camera", "layers": ["q", "h"]}]}
        )
    )
    assert "rtc:layers" not in therapist.names()


async def test_speaker_and_quality_are_part_of_the_rooms_state(booking: Booking) -> None:
    therapist = await booking.join("Lena")
    await booking.join("Maya")
    maya = booking.person("Maya").id
    booking.server.sfu.hears(booking.id, maya)
    booking.server.sfu.measures(booking.id, maya, "poor")
    await eventually(lambda: therapist.last("room:state")["speaker"] == maya)
    await eventually(
        lambda: (
            [one["quality"] for one in therapist.last("room:state")["participants"]]
            == [None, "poor"]
        )
    )
    booking.server.sfu.hears(booking.id, None)
    await eventually(lambda: therapist.last("room:state")["speaker"] is None)


async def test_versions_are_told_in_order(booking: Booking) -> None:
    therapist, client = await booking.join("Lena"), await booking.join("Maya")
    for switched in (False, True) * 8:
        version = (await client.done("state:set", {"camera": switched}))["version"]
    await eventually(lambda: therapist.last("room:state")["version"] == version)
    versions = [payload["version"] for name, payload in therapist.told if name == "room:state"]
    assert versions == sorted(versions)


async def test_acks_come_in_the_order_of_the_events(booking: Booking) -> None:
    socket = await RawSocket.admitted(booking, "Maya")
    await socket.send('421["room:join",{}]')
    for number in range(2, 12):
        camera = "true" if number % 2 else "false"
        await socket.send(f'42{number}["state:set",{{"camera":{camera}}}]')
    acks: list[int] = []
    while len(acks) < 11:
        frame = await socket.receive()
        if frame.startswith("43"):
            acks.append(int(frame[2 : frame.index("[")]))
    assert acks == list(range(1, 12))


async def test_an_ack_precedes_the_events_its_command_caused(booking: Booking) -> None:
    socket = await RawSocket.admitted(booking, "Lena")
    await socket.acked('42#["room:join",{}]')
    await socket.send('427["state:set",{"camera":false}]')
    assert (await socket.receive()).startswith("437[")
    assert (await socket.receive()).startswith('42["room:state"')
    await socket.send('428["session:end",{}]')
    assert (await socket.receive()).startswith("438[")
    assert (await socket.receive()).startswith('42["session:ended"')


async def test_a_client_that_vanishes_while_it_is_answered_leaves_no_ghost(
    booking: Booking,
) -> None:
    sockets = [await RawSocket.admitted(booking, "Maya") for _ in range(MAX_SOCKETS)]
    await asyncio.gather(*(socket.send('421["room:join",{}]') for socket in sockets))
    await asyncio.gather(*(socket.abort() for socket in sockets))
    await eventually(lambda: booking.server.counted("sockets") == 0)
    present = (await booking.server.plumm.rooms.session(booking.session.id)).present
    assert all(one.socket_lost_at is not None for one in present.values())
    assert booking.server.plumm.members.connected(booking.session.id) == 0
