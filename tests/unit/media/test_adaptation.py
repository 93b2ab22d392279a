"""What the relay, the publisher and the viewer are told when a downlink is weak or a view small."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import pytest

from media.adaptation import INTERVAL_S, Adaptation
from media.dtls import Certificate
from media.news import Layers, TrackLayers
from media.offer import parse_offer
from media.participant import Participant, Session
from media.relay import Relay
from tests.support.fake_relay import FakeRelay, FakeSubscription, FakeTrack
from tests.support.offers import offer
from tests.unit.media.test_observer import Clock, Line
from tests.unit.media.test_sfu import ROOM, SEES_ONE, SENDS, SOURCES, News

RIDS = ("q", "h", "f")
RATES = (150_000, 500_000, 1_300_000)


@dataclass
class Shown:
    participant_id: str
    height: int
    source: str = "camera"
    width: int = 100


class World:
    """A session whose clients send three layers; a REMB tells what a downlink carries."""

    def __init__(self, *names: str) -> None:
        self.relay, self.news, self.clock = FakeRelay(), News(), Clock()
        self.session: Session = {}
        certificate = Certificate.generateCertificate()
        sessions = {ROOM: self.session}
        self.adaptation = Adaptation(cast(Relay, self.relay), sessions, self.news, self.clock)
        mids = {source: mid for mid, source in SOURCES.items()}
        for name in names:
            line = Line(cast(Relay, self.relay), certificate, [("127.0.0.1", 1)], lambda _: None)
            line.negotiate(parse_offer(offer(*SENDS, *SEES_ONE)))
            member = Participant(name, mids=mids, peer=line)  # type: ignore[arg-type]
            for other in self.session.values():
                other.seating.add(name)
                member.seating.add(other.id)
            self.session[name] = member
            sent = line.sent["1"]
            object.__setattr__(sent.publication, "rids", RIDS)
            self.camera(name).layers = [
                {"packets": 0, "bytes": 0, "age_ms": 10, "keyframes": 1} for _ in RIDS
            ]

    def camera(self, name: str) -> FakeTrack:
        track = self.session[name].track("camera")
        assert track is not None
        return self.relay.tracks[track]

    def slot(self, name: str) -> FakeSubscription:
        peer = self.session[name].peer
        assert peer is not None
        (slot,) = (r.subscription for s, r in peer.receptions.items() if s.source == "camera")
        return self.relay.subscriptions[slot]

    def carries(self, name: str, bits_a_second: int) -> None:
        peer = self.session[name].peer
        assert peer is not None
        held = self.relay.peers[peer.handle]
        held.downlink = held.downlink._replace(estimate=bits_a_second, estimates=1)

    def play(self, seconds: float) -> None:
        for _ in range(round(seconds / INTERVAL_S)):
            self.clock.now_s += INTERVAL_S
            for name, member in self.session.items():
                assert member.peer is not None
                told = self.relay.peers[member.peer.handle]
                told.downlink = told.downlink._replace(blocks=told.downlink.blocks + 1)
                for layer, rate in zip(self.camera(name).layers, RATES, strict=True):
                    if layer["age_ms"] < 500:
                        layer["bytes"] += round(rate * INTERVAL_S / 8)
            for held in self.relay.subscriptions.values():
                held.flowing = min(held.layer[0], 2)
            self.adaptation.adapt()


@pytest.fixture
async def world() -> Iterator[World]:  # type: ignore[misc]
    made = World("ann", "ben", "cat")
    for name in made.session:
        made.carries(name, 5_000_000)
        made.session[name].views = ()
    yield made
    made.adaptation.stop()


async def test_a_small_tile_gets_a_small_layer_and_the_others_rest(world: World) -> None:
    world.session["ann"].views = (Shown("ben", 100),)
    world.play(1)
    assert world.slot("ann").layer[0] == 0
    assert world.news.layers["ben"] == Layers((TrackLayers("camera", ("q",)),))
    world.session["ann"].views = (Shown("ben", 300),)
    world.play(0.2)
    assert world.slot("ann").layer[0] == 1
    # The lower one goes on until the switch is done.
    told = [list(world.news.layers["ben"].tracks[0].layers)]
    world.play(0.2)
    told.append(list(world.news.layers["ben"].tracks[0].layers))
    assert told == [["q", "h"], ["h"]]


async def test_what_is_hidden_is_not_sent_and_is_not_paused(world: World) -> None:
    world.play(1)
    assert world.slot("ann").layer[0] == -1
    assert world.news.layers["ben"].tracks[0].layers == ()
    assert not world.session["ann"].paused


async def test_a_weak_line_gets_a_lower_layer_and_the_other_viewer_does_not(world: World) -> None:
    world.session["ann"].views = world.session["cat"].views = (Shown("ben", 700),)
    world.play(3)
    before = world.slot("ann").layer[0], world.slot("cat").layer[0]
    world.carries("ann", 400_000)
    world.play(1)
    assert before[0] == 2
    assert world.slot("ann").layer[0] == 0
    assert world.news.layers["ben"].tracks[0].layers[0] == "q"
    assert not world.camera("ben").caps


async def test_under_150_kbit_the_viewer_is_told_that_pictures_are_paused(world: World) -> None:
    world.session["ann"].views = (Shown("ben", 700),)
    world.carries("ann", 100_000)
    world.play(1)
    assert world.slot("ann").layer[0] == -1
    told = world.news.sections["ann"].tracks
    assert [slot.paused for slot in told if slot.participant_id == "ben"] == [False, True]
    world.carries("ann", 5_000_000)
    world.play(40)
    assert not any(slot.paused for slot in world.news.sections["ann"].tracks)


async def test_a_layer_that_its_publisher_stops_does_not_freeze_anybody(world: World) -> None:
    world.session["ann"].views = (Shown("ben", 700),)
    world.play(5)
    assert world.slot("ann").layer[0] == 2
    for layer in world.camera("ben").layers[:2]:
        layer["age_ms"] = 10
    world.camera("ben").layers[2]["age_ms"] = 900
    world.play(0.4)
    assert world.slot("ann").layer[0] == 1
    assert "f" in world.news.layers["ben"].tracks[0].layers, "wanted as soon as it lives"
    world.camera("ben").layers[2]["age_ms"] = 10
    world.play(0.4)
    assert world.slot("ann").layer[0] == 2


async def test_a_camera_that_has_one_layer_only_is_shown_though_that_one_rested(
    world: World,
) -> None:
    world.session["ann"].views = (Shown("ben", 700),)
    world.play(5)
    assert world.news.layers["ben"] == Layers((TrackLayers("camera", ("f",)),))
    for layer in world.camera("ben").layers:
        layer["age_ms"] = 900
    world.play(0.2)
    assert world.news.layers["ben"] == Layers((TrackLayers("camera", RIDS),))
    world.camera("ben").layers[0]["age_ms"] = 10
    world.play(0.2)
    assert world.slot("ann").layer[0] == 0
    world.camera("ben").layers[1]["age_ms"] = 10
    world.play(0.4)
    assert world.slot("ann").layer[0] == 1
    told = world.news.layers["ben"]
    assert told == Layers((TrackLayers("camera", ("h", "f")),)), "the smallest rests again"


async def test_a_publisher_is_capped_for_its_only_viewer_and_let_go_when_that_one_leaves() -> None:
    world = World("ann", "ben")
    world.session["ann"].views = (Shown("ben", 700),)
    world.carries("ann", 5_000_000)
    world.carries("ben", 5_000_000)
    world.play(3)
    world.carries("ann", 500_000)
    for line in world.adaptation._lines.values():
        line.estimator.limited = True  # as feedback shows it
    world.play(2)
    assert world.camera("ben").caps[-1] is not None
    del world.session["ann"]
    world.play(0.2)
    assert world.camera("ben").caps[-1] is None
    world.adaptation.stop()


async def test_pictures_wait_for_what_is_lost_on_both_legs_while_it_is(world: World) -> None:
    """ben is 100 ms away there and back, ann 60: half as much again, and 40 ms to answer."""
    for name, round_trip_us in (("ann", 60_000), ("ben", 100_000)):
        peer = world.session[name].peer
        assert peer is not None
        held = world.relay.peers[peer.handle]
        held.downlink = held.downlink._replace(round_trip_us=round_trip_us)
        world.session[name].views = (Shown("ben" if name == "ann" else "ann", 300),)
    world.play(1)
    assert world.slot("ann").playout_delays == []
    world.camera("ben").recovered += 5
    world.play(1)
    assert world.slot("ann").playout_delays == [190]
    assert world.slot("ben").playout_delays == [], "ben receives everything"
    ann = world.session["ann"].peer
    assert ann is not None
    held = world.relay.peers[ann.handle]
    held.downlink = held.downlink._replace(lost_packets=5)
    world.play(1)
    assert world.slot("ann").playout_delays == [190, 320]
    world.play(11)
    assert world.slot("ann").playout_delays[-1] == 0
