"""Rooms of real clients without a browser: libwebrtc encodes, decodes and adapts."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.support.eventually import eventually
from tests.support.libwebrtc import Layer, Person
from tests.support.server import Server

# What a well-behaved client's packets are never dropped for.
NEVER = ("authentication", "replay", "malformed", "ssrc_limit", "protect")


def dropped(server: Server) -> dict[str, float]:
    return {reason: server.metric(f"plumm_relay_dropped_{reason}_total") for reason in NEVER}


async def seen_by(viewer: Person) -> dict[str, int]:
    """Whom the viewer is shown, and the SSRC of the picture."""
    ssrcs = {each.mid: each.ssrc for each in await viewer.received("video")}
    return {
        track["participant_id"]: ssrcs[track["mid"]]
        for track in viewer.tracks
        if track["source"] == "camera"
    }


async def test_two_people_see_and_hear_each_other_and_nothing_is_lost(server: Server) -> None:
    session = server.demo()
    async with Person(session.therapist_url) as therapist, Person(session.client_url) as client:
        for person in (therapist, client):
            await person.sees(1)
            await person.hears(1)
        for person in (therapist, client):
            received = [*await person.received("audio"), *await person.received("video")]
            assert [each.lost for each in received] == [0, 0]


async def test_a_simulcast_camera_is_seen(server: Server) -> None:
    session = server.demo()
    layers = (Layer("q", 4), Layer("h", 2), Layer("f", 1))
    async with (
        Person(session.therapist_url) as viewer,
        Person(session.client_url, layers=layers, size=(640, 480)) as publisher,
    ):
        assert "a=simulcast:send q;h;f" in publisher.offer
        await viewer.sees(1)


def shows(viewer: Person, shown: Person) -> bool:
    return any(track["participant_id"] == shown.participant_id for track in viewer.tracks)


@pytest.mark.timeout(90)
async def test_six_people_see_each_other_and_one_who_leaves_and_returns_costs_the_others_no_offer(
    server: Server,
) -> None:
    before = dropped(server)
    urls = server.group("Lena", ["Maya", "Tom", "Ida", "Ben", "Eva"])
    async with AsyncExitStack() as room:
        people = [
            await room.enter_async_context(Person(url, frames_per_second=10)) for url in urls[:-1]
        ]
        async with Person(urls[-1], frames_per_second=10) as sixth:
            for person in (*people, sixth):
                await person.sees(5, within=20)
                await person.hears(5)
            shown = [await seen_by(person) for person in people]
            offers = [person.offers for person in people]
            assert all(sixth.participant_id in each for each in shown)
            await sixth.room.request("room:leave", {})
            for person in people:
                await person.sees(4)
            await eventually(
                lambda: not any(shows(person, sixth) for person in people), "empty seats"
            )
        async with Person(urls[-1], frames_per_second=10) as sixth:
            for person in (*people, sixth):
                await person.sees(5, within=20)
            # The same seat, the same SSRCs, nothing to negotiate.
            assert [await seen_by(person) for person in people] == shown
            assert [person.offers for person in people] == offers
        for person in people:
            await person.room.request("room:leave", {})
        await eventually(lambda: at_rest(server), "a relay without people to be at rest")
    assert dropped(server) == before


async def at_rest(server: Server) -> bool:
    """Nothing goes out for half a second, while cameras and microphones are on."""
    before = server.metric("plumm_relay_packets_out_total")
    await asyncio.sleep(0.5)
    more = server.metric("plumm_relay_packets_out_total") - before
    assert more == 0, f"{more} packets"
    return True
