"""What is told of who speaks and of how good each line is, from the relay's figures."""

from collections.abc import AsyncIterator
from typing import cast

import pytest

from media.dtls import Certificate
from media.news import Quality
from media.observer import Observer
from media.offer import parse_offer
from media.participant import Participant, Session
from media.peer import Peer, PeerState
from media.relay import Relay
from media.speaking import INTERVAL_S
from tests.support.fake_relay import FakePeer, FakeRelay, FakeTrack
from tests.support.offers import offer
from tests.unit.media.test_sfu import ROOM, SEES_ONE, SENDS, SOURCES, News

QUIET, SPEECH = 70, 25


class Clock:
    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


class Line(Peer):
    """A connection that is in whatever state a test says."""

    now: PeerState = "connected"

    @property
    def state(self) -> PeerState:
        return self.now


class World:
    """A session with an observer, moved by hand."""

    def __init__(self) -> None:
        self.relay = FakeRelay()
        self.session: Session = {}
        self.news = News()
        self.clock = Clock()
        self.certificate = Certificate.generateCertificate()
        self.sessions = {ROOM: self.session}
        self.observer = Observer(cast(Relay, self.relay), self.sessions, self.news, self.clock)

    def enters(self, name: str) -> Line:
        line = Line(cast(Relay, self.relay), self.certificate, [("127.0.0.1", 1)], lambda _: None)
        line.negotiate(parse_offer(offer(*SENDS, *SEES_ONE)))
        mids = {source: mid for mid, source in SOURCES.items()}
        member = self.session.setdefault(name, Participant(name, mids=mids))  # type: ignore[arg-type]
        member.peer = line
        return line

    def peer(self, name: str) -> FakePeer:
        peer = self.session[name].peer
        assert peer is not None
        return self.relay.peers[peer.handle]

    def track(self, name: str, source: str = "microphone") -> FakeTrack:
        track = self.session[name].track(source)  # type: ignore[arg-type]
        assert track is not None
        return self.relay.tracks[track]

    def hears(self, seconds: float, **levels: int) -> None:
        for _ in range(round(seconds / INTERVAL_S)):
            for name in self.session:
                self.track(name).level = levels.get(name, QUIET)
            self.clock.now_s += INTERVAL_S
            self.observer.listen()

    def measures(self, seconds: int, *, lost: int = 0, round_trip_ms: int = 30) -> None:
        """Seconds of 50 packets of sound from everyone, `lost` of them lost on their way."""
        for _ in range(seconds):
            for name in self.session:
                peer, track = self.peer(name), self.track(name)
                peer.packets_in += 50 - lost
                peer.round_trip_us = round_trip_ms * 1000
                track.packets += 50 - lost
                track.lost += lost
                track.jitter = 144
            self.observer.measure()

    def quality(self, name: str) -> Quality | None:
        return self.news.quality.get(name)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    world.observer.stop()


async def test_one_who_speaks_is_told_once(world: World) -> None:
    world.enters("anna")
    world.enters("ben")
    world.hears(3.0, anna=SPEECH)
    assert world.news.speakers == ["anna"]
    world.hears(1.0, ben=SPEECH)
    assert world.news.speakers == ["anna", "ben"]
    world.hears(10.0)
    assert world.news.speakers == ["anna", "ben", None]


async def test_one_who_is_alone_speaks_to_nobody(world: World) -> None:
    world.enters("anna")
    world.hears(2.0, anna=SPEECH)
    assert world.news.speakers == []


async def test_the_one_who_is_left_speaks_no_more(world: World) -> None:
    world.enters("anna")
    world.enters("ben")
    world.hears(1.0, anna=SPEECH)
    del world.session["ben"]
    world.hears(1.0, anna=SPEECH)
    assert world.news.speakers == ["anna", None]


async def test_a_good_line_is_told_once(world: World) -> None:
    world.enters("anna")
    world.measures(30)
    assert world.quality("anna") == "good"
    world.news.quality.clear()
    world.measures(30)
    assert world.news.quality == {}


async def test_loss_on_the_way_here_is_told(world: World) -> None:
    world.enters("anna")
    world.measures(10)
    world.measures(10, lost=10)
    assert world.quality("anna") == "poor"


async def test_loss_on_the_way_there_is_told_of_the_one_who_loses(world: World) -> None:
    anna = world.enters("anna")
    world.enters("ben")
    for _ in range(10):
        for held in world.relay.subscriptions.values():
            held.packets += 50
            held.fraction_lost = 64 if held.peer == anna.handle else 0
        world.measures(1)
    assert (world.quality("anna"), world.quality("ben")) == ("poor", "good")


async def test_a_long_round_trip_is_told(world: World) -> None:
    world.enters("anna")
    world.measures(10, round_trip_ms=450)
    assert world.quality("anna") == "fair"


async def test_one_without_a_microphone_is_measured_by_the_camera(world: World) -> None:
    world.enters("anna")
    for _ in range(10):
        camera = world.track("anna", "camera")
        camera.packets, camera.lost = camera.packets + 100, camera.lost + 30
        world.observer.measure()
    assert world.quality("anna") == "poor"


async def test_a_line_that_is_lost_is_not_known_and_begins_anew(world: World) -> None:
    line = world.enters("anna")
    world.measures(10, lost=20)
    line.now = "lost"
    world.measures(1)
    assert world.news.quality == {"anna": None}
    line.now = "connected"
    world.measures(10)
    assert world.quality("anna") == "good"


async def test_a_new_connection_is_measured_from_its_start(world: World) -> None:
    world.enters("anna")
    world.measures(10, lost=20)
    world.enters("anna")
    world.measures(1)
    assert world.quality("anna") is None
    world.measures(3)
    assert world.quality("anna") == "good"
