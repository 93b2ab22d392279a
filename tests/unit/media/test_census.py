"""What there is in the media plane, and how each line is, as it is told to whoever asks."""

from collections.abc import AsyncIterator
from typing import cast

import pytest

from media import census
from media.census import Census
from media.participant import Participant
from media.quality import Figures
from media.relay import Relay
from tests.unit.media.test_observer import World
from tests.unit.media.test_sfu import ROOM


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    world.observer.stop()


async def test_an_empty_server_has_nothing(world: World) -> None:
    world.sessions.clear()
    assert census.count(world.sessions) == Census(0, 0, 0, 0, {}, {})
    assert census.lines(cast(Relay, world.relay), world.sessions, 10) == {}


async def test_everyone_is_counted_and_what_they_send_and_receive(world: World) -> None:
    world.enters("anna").now = "connecting"
    world.enters("ben")
    world.session["cleo"] = Participant("cleo")
    found = census.count(world.sessions)
    assert (found.rooms, found.participants) == (1, 3)
    assert found.connections == {"connecting": 1, "connected": 1, "none": 1}
    assert found.qualities == {None: 3}
    assert (found.tracks, found.layers, found.subscriptions) == (4, 4, 4)


async def test_a_line_is_told_by_its_totals(world: World) -> None:
    world.enters("anna")
    peer = world.peer("anna")
    peer.bytes_in, peer.bytes_out = 5000, 7000
    world.track("anna").packets, world.track("anna").lost = 90, 10
    world.session["anna"].figures = Figures(100, loss_down=0.1875, round_trip_ms=31.5)
    lines = census.lines(cast(Relay, world.relay), world.sessions, 10)
    (line,) = lines[ROOM]
    assert (line.participant, line.connection, line.quality) == ("anna", "connected", None)
    assert (line.bytes_in, line.bytes_out, line.round_trip_ms) == (5000, 7000, 31.5)
    assert (line.received, line.lost) == (90, 10)
    assert line.loss_down == 0.1875


async def test_of_one_without_a_connection_nothing_is_known(world: World) -> None:
    world.session["cleo"] = Participant("cleo")
    (line,) = census.lines(cast(Relay, world.relay), world.sessions, 10)[ROOM]
    assert (line.connection, line.bytes_in, line.loss_down) == ("none", 0, None)
    assert line.round_trip_ms is None


async def test_of_many_rooms_those_with_the_worst_lines_are_shown(world: World) -> None:
    for room, quality in (("a", "good"), ("b", "poor"), ("c", None), ("d", "fair")):
        member = Participant("anna", quality=quality)  # type: ignore[arg-type]
        world.sessions[room] = {"anna": member}
    del world.sessions[ROOM]
    relay = cast(Relay, world.relay)
    assert list(census.lines(relay, world.sessions, 10)) == ["b", "d", "a", "c"]
    assert list(census.lines(relay, world.sessions, 2)) == ["b", "d"]
