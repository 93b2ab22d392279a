"""Who is seen where: the media plane over a relay that only remembers."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

import pytest

from media.errors import BadOffer, ConnectionClosed, StaleOffer
from media.news import Layers, Quality, Sections, TrackSlot
from media.peer import PeerState
from media.relay import Relay
from media.sfu import Sfu
from tests.data.offers.stored import stored
from tests.support.fake_relay import FakeRelay, FakeSubscription
from tests.support.offers import offer

ROOM = "session"
SENDS = (("audio", "sendonly"), ("video", "sendonly"))
SEES_ONE = (("audio", "recvonly"), ("video", "recvonly"))
SHARES = (*SENDS, ("video", "sendonly"))
SEES_SCREEN = ("video", "recvonly")
SOURCES = {"0": "microphone", "1": "camera"}


class StoppedClock:
    def now(self) -> datetime:
        return datetime(2026, 11, 22, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


@dataclass
class News:
    """Keeps what a hub would be told."""

    sections: dict[str, Sections] = field(default_factory=dict)
    media: list[tuple[str, PeerState]] = field(default_factory=list)
    layers: dict[str, Layers] = field(default_factory=dict)
    speakers: list[str | None] = field(default_factory=list)
    quality: dict[str, Quality | None] = field(default_factory=dict)

    def sections_changed(self, session: str, participant: str, sections: Sections) -> None:
        assert session == ROOM
        self.sections[participant] = sections

    def media_changed(self, session: str, participant: str, state: PeerState) -> None:
        assert session == ROOM
        self.media.append((participant, state))

    def layers_changed(self, session: str, participant: str, layers: Layers) -> None:
        assert session == ROOM
        self.layers[participant] = layers

    def speaker_changed(self, session: str, participant: str | None) -> None:
        assert session == ROOM
        self.speakers.append(participant)

    def quality_changed(self, session: str, participant: str, quality: Quality | None) -> None:
        assert session == ROOM
        self.quality[participant] = quality


class Room:
    """An Sfu with one session, spoken to as a hub would."""

    def __init__(self) -> None:
        self.relay = FakeRelay()
        self.news = News()
        self.sfu = Sfu(cast(Relay, self.relay), ["127.0.0.1"], self.news, StoppedClock())
        self._seq = 0

    def offers(
        self,
        participant: str,
        *sections: tuple[str, str],
        connection: str = "first",
        ufrag: str = "clientUfrag",
        seq: int | None = None,
        sources: Mapping[str, str] = SOURCES,
    ) -> Sections:
        self._seq += 1
        return self.sfu.negotiate(
            ROOM,
            participant,
            connection,
            self._seq if seq is None else seq,
            offer(*sections, ufrag=ufrag),
            sources,
        ).sections

    def enters(self, participant: str, sees: int = 0) -> Sections:
        self.sfu.join(ROOM, participant)
        return self.offers(participant, *SENDS, *(SEES_ONE * sees))

    def shares(self, participant: str, sees: int = 0) -> Sections:
        """One who is in the room sends a screen too, and says so."""
        self.sfu.set_forwarding(ROOM, participant, "screen", True)
        return self.offers(
            participant,
            *SHARES,
            *(SEES_ONE * sees),
            sources=SOURCES | {"2": "screen"},
        )

    def streams_of(self, sdp: str) -> dict[str, str]:
        """mid -> the stream that the answer puts the section in."""
        sections = sdp.split("m=")[1:]
        return {
            re.findall(r"a=mid:(\S+)", section)[0]: re.findall(r"a=msid:(\S+)", section)[0]
            for section in sections
            if "a=msid:" in section
        }

    def shown_to(self, sections: Sections) -> dict[str, tuple[str, str]]:
        return {track.mid: (track.participant_id, track.source) for track in sections.tracks}

    def feed(self, subscriber_mid: str, kind: str) -> list[FakeSubscription]:
        return [
            held
            for held in self.relay.subscriptions.values()
            if held.mid == subscriber_mid and held.kind == kind
        ]

    def sources_of_feeds(self) -> list[tuple[str, str]]:
        """(subscriber's mid, publisher's mid) of everything that flows."""
        return sorted(
            (held.mid, self.relay.tracks[held.source].mid)
            for held in self.relay.subscriptions.values()
            if held.source is not None
        )


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    room = Room()
    yield room
    for participant in ("anna", "ben", "cleo"):
        room.sfu.remove_participant(ROOM, participant)


async def test_the_first_to_join_is_asked_for_sections_for_the_one_to_come(room: Room) -> None:
    assert room.sfu.join(ROOM, "anna") == Sections(1, 1, ())


async def test_two_people_never_renegotiate(room: Room) -> None:
    anna = room.enters("anna", sees=1)
    assert anna == Sections(1, 1, ())
    room.enters("ben", sees=1)
    assert room.shown_to(room.news.sections["anna"]) == {
        "2": ("ben", "microphone"),
        "3": ("ben", "camera"),
    }
    assert room.sources_of_feeds() == [("2", "0"), ("2", "0"), ("3", "1"), ("3", "1")]


async def test_a_third_person_is_asked_for_and_asks_the_others(room: Room) -> None:
    room.enters("anna", sees=1)
    room.enters("ben", sees=1)
    assert room.sfu.join(ROOM, "cleo") == Sections(2, 2, ())
    assert (room.news.sections["anna"].audios, room.news.sections["anna"].videos) == (2, 2)


async def test_two_people_feed_each_other(room: Room) -> None:
    room.enters("anna")
    ben = room.enters("ben", sees=1)
    assert room.shown_to(ben) == {"2": ("anna", "microphone"), "3": ("anna", "camera")}
    anna = room.offers("anna", *SENDS, *SEES_ONE)
    assert room.shown_to(anna) == {"2": ("ben", "microphone"), "3": ("ben", "camera")}
    assert room.sources_of_feeds() == [("2", "0"), ("2", "0"), ("3", "1"), ("3", "1")]


async def test_a_section_feeds_as_soon_as_the_other_one_sends(room: Room) -> None:
    room.sfu.join(ROOM, "anna")
    room.enters("ben", sees=1)
    assert room.sources_of_feeds() == []
    room.offers("anna", *SENDS)
    assert room.sources_of_feeds() == [("2", "0"), ("3", "1")]


async def test_a_leaver_frees_a_seat_and_the_next_one_takes_it_without_an_offer(room: Room) -> None:
    room.enters("anna")
    room.enters("ben")
    room.offers("anna", *SENDS, *SEES_ONE)
    ssrcs = {held.ssrc for held in room.relay.subscriptions.values()}
    room.sfu.remove_participant(ROOM, "ben")
    assert room.news.sections["anna"] == Sections(1, 1, ())
    assert room.sources_of_feeds() == []

    room.enters("cleo")
    assert room.news.sections["anna"] == Sections(
        1, 1, (TrackSlot("2", "cleo", "microphone"), TrackSlot("3", "cleo", "camera"))
    )
    assert room.sources_of_feeds() == [("2", "0"), ("3", "1")]
    assert {held.ssrc for held in room.relay.subscriptions.values()} == ssrcs


async def test_a_new_connection_feeds_the_same_sections_of_the_others(room: Room) -> None:
    room.enters("anna")
    room.offers("anna", *SENDS)
    room.enters("ben", sees=1)
    before = {held.ssrc for held in room.relay.subscriptions.values()}
    room.news.sections.clear()
    room.offers("anna", *SENDS, connection="second")
    assert {held.ssrc for held in room.relay.subscriptions.values()} == before
    assert room.sources_of_feeds() == [("2", "0"), ("3", "1")]
    assert "ben" not in room.news.sections, "ben had nothing to renegotiate"
    assert len(room.relay.peers) == 2


async def test_an_offer_of_a_replaced_connection_is_refused(room: Room) -> None:
    room.enters("anna")
    room.offers("anna", *SENDS, connection="second")
    with pytest.raises(ConnectionClosed):
        room.offers("anna", *SENDS, connection="first")


async def test_an_offer_that_is_not_newer_is_refused(room: Room) -> None:
    room.enters("anna")
    with pytest.raises(StaleOffer):
        room.offers("anna", *SENDS, seq=0)


async def test_a_bad_offer_of_a_new_connection_leaves_the_present_one_alone(room: Room) -> None:
    room.enters("anna")
    peers = dict(room.relay.peers)
    with pytest.raises(BadOffer):
        room.sfu.negotiate(ROOM, "anna", "second", 9, "v=0\r\nnonsense", SOURCES)
    assert room.relay.peers == peers
    assert room.offers("anna", *SENDS).audios == 1


@pytest.mark.parametrize(
    "sources",
    [{}, {"0": "microphone"}, {"0": "camera", "1": "microphone"}, {"0": "screen", "1": "camera"}],
)
async def test_sections_that_sources_does_not_fit_are_a_bad_offer(
    room: Room, sources: dict[str, str]
) -> None:
    room.sfu.join(ROOM, "anna")
    with pytest.raises(BadOffer):
        room.sfu.negotiate(ROOM, "anna", "first", 1, offer(*SENDS), sources)
    assert not room.relay.peers


async def test_two_microphones_are_a_bad_offer(room: Room) -> None:
    room.sfu.join(ROOM, "anna")
    twice = offer(("audio", "sendonly"), ("audio", "sendonly"))
    with pytest.raises(BadOffer, match="a second microphone"):
        room.sfu.negotiate(ROOM, "anna", "first", 1, twice, {"0": "microphone", "1": "microphone"})


async def test_a_changed_fingerprint_is_a_bad_offer(room: Room) -> None:
    room.enters("anna")
    other = offer(*SENDS, fingerprint="sha-256 " + ":".join(["CD"] * 32))
    with pytest.raises(BadOffer, match="fingerprint"):
        room.sfu.negotiate(ROOM, "anna", "first", 99, other, SOURCES)


async def test_mute_holds_for_a_connection_that_comes_later(room: Room) -> None:
    room.enters("anna")
    room.sfu.set_forwarding(ROOM, "anna", "microphone", False)
    room.offers("anna", *SENDS, connection="second")
    forwarding = {track.mid: track.forwarding for track in room.relay.tracks.values()}
    assert forwarding == {"0": False, "1": True}
    room.sfu.set_forwarding(ROOM, "anna", "microphone", True)
    assert all(track.forwarding for track in room.relay.tracks.values())


async def test_an_ice_restart_expects_the_new_ufrag_beside_the_old(room: Room) -> None:
    room.enters("anna")
    (peer,) = room.relay.peers.values()
    old = set(peer.ufrags)
    room.offers("anna", *SENDS, ufrag="restarted")
    assert len(peer.ufrags) == 2
    assert old < peer.ufrags


async def test_a_renegotiation_expects_no_new_ufrag(room: Room) -> None:
    room.enters("anna")
    room.offers("anna", *SENDS, *SEES_ONE)
    (peer,) = room.relay.peers.values()
    assert len(peer.ufrags) == 1


async def test_a_section_that_stops_sending_withdraws_its_track(room: Room) -> None:
    room.enters("anna")
    room.enters("ben", sees=1)
    room.offers("anna", ("audio", "sendonly"), ("video", "inactive"))
    assert room.sources_of_feeds() == [("2", "0")]


async def test_closing_a_session_leaves_nothing_in_the_relay(room: Room) -> None:
    room.enters("anna")
    room.enters("ben", sees=1)
    room.sfu.close_session(ROOM)
    room.sfu.close_session(ROOM)
    assert (room.relay.peers, room.relay.tracks, room.relay.subscriptions) == ({}, {}, {})


async def test_three_people_each_see_the_two_others_in_their_own_seats(room: Room) -> None:
    room.enters("anna")
    room.enters("ben", sees=1)
    cleo = room.enters("cleo", sees=2)
    assert room.shown_to(cleo) == {
        "2": ("anna", "microphone"),
        "3": ("anna", "camera"),
        "4": ("ben", "microphone"),
        "5": ("ben", "camera"),
    }
    anna = room.offers("anna", *SENDS, *(SEES_ONE * 2))
    ben = room.offers("ben", *SENDS, *(SEES_ONE * 2))
    assert {shown for shown, _ in room.shown_to(anna).values()} == {"ben", "cleo"}
    assert {shown for shown, _ in room.shown_to(ben).values()} == {"anna", "cleo"}
    assert len(room.sources_of_feeds()) == 12


async def test_somebody_who_is_not_in_the_session_cannot_negotiate(room: Room) -> None:
    with pytest.raises(ConnectionClosed):
        room.offers("stranger", *SENDS)


async def test_video_is_repaired_on_an_ssrc_of_its_own_and_sound_is_not(room: Room) -> None:
    room.enters("anna", sees=1)
    room.enters("ben", sees=1)
    for held in room.relay.subscriptions.values():
        assert (held.rtx_ssrc != 0) == (held.kind == "video")
    ssrcs = [n for held in room.relay.subscriptions.values() for n in (held.ssrc, held.rtx_ssrc)]
    used = [ssrc for ssrc in ssrcs if ssrc]
    assert len(set(used)) == len(used)


async def test_only_video_is_asked_for_again_and_only_if_its_publisher_agreed(room: Room) -> None:
    room.enters("anna")
    assert not any(track.nack for track in room.relay.tracks.values())
    room.sfu.join(ROOM, "ben")
    sdp = stored("chromium/audio-video/1-publish")
    room.sfu.negotiate(ROOM, "ben", "first", 100, sdp, SOURCES)
    bens = list(room.relay.tracks.values())[2:]
    assert {track.kind: track.nack for track in bens} == {"audio": False, "video": True}


async def test_a_shared_screen_asks_the_others_for_one_more_video_section(room: Room) -> None:
    room.enters("anna", sees=1)
    room.enters("ben", sees=1)
    room.news.sections.clear()
    room.sfu.set_forwarding(ROOM, "ben", "screen", True)
    assert (room.news.sections["anna"].audios, room.news.sections["anna"].videos) == (1, 2)
    assert "ben" not in room.news.sections, "nobody is shown a screen of their own"


async def test_a_screen_is_shown_in_a_section_of_its_own_and_the_others_stay(room: Room) -> None:
    room.enters("anna", sees=1)
    room.enters("ben", sees=1)
    before = {held.mid: held.ssrc for held in room.relay.subscriptions.values()}
    room.offers("ben", *SENDS, *SEES_ONE, ("video", "sendonly"), sources=SOURCES | {"4": "screen"})
    assert ("4", "4") not in room.sources_of_feeds()
    room.sfu.set_forwarding(ROOM, "ben", "screen", True)
    anna = room.offers("anna", *SENDS, *SEES_ONE, SEES_SCREEN)
    assert room.shown_to(anna) == {
        "2": ("ben", "microphone"),
        "3": ("ben", "camera"),
        "4": ("ben", "screen"),
    }
    assert ("4", "4") in room.sources_of_feeds()
    after = {held.mid: held.ssrc for held in room.relay.subscriptions.values()}
    assert before.items() <= after.items()


async def test_a_screen_flows_only_while_the_room_is_told_of_it(room: Room) -> None:
    room.enters("anna")
    room.offers("anna", *SHARES, sources=SOURCES | {"2": "screen"})
    (screen,) = [track for track in room.relay.tracks.values() if track.mid == "2"]
    assert not screen.forwarding
    room.sfu.set_forwarding(ROOM, "anna", "screen", True)
    assert screen.forwarding
    room.sfu.set_forwarding(ROOM, "anna", "screen", False)
    assert not screen.forwarding


async def test_a_screen_that_is_no_longer_shared_leaves_its_section_to_the_next(room: Room) -> None:
    room.enters("anna", sees=1)
    room.enters("ben", sees=1)
    room.shares("ben", sees=1)
    room.offers("anna", *SENDS, *SEES_ONE, SEES_SCREEN)
    room.sfu.set_forwarding(ROOM, "ben", "screen", False)
    assert room.shown_to(room.news.sections["anna"]) == {
        "2": ("ben", "microphone"),
        "3": ("ben", "camera"),
    }
    assert room.news.sections["anna"].videos == 2
    room.sfu.set_forwarding(ROOM, "ben", "screen", True)
    assert room.shown_to(room.news.sections["anna"])["4"] == ("ben", "screen")
    assert room.news.sections["anna"].videos == 2


async def test_two_screens_and_a_newcomer_each_have_a_section_of_their_own(room: Room) -> None:
    room.enters("anna", sees=1)
    room.enters("ben", sees=1)
    room.shares("ben", sees=1)
    room.shares("anna", sees=1)
    cleo = room.sfu.join(ROOM, "cleo")
    assert (cleo.audios, cleo.videos) == (2, 4)
    cleo = room.offers("cleo", *SENDS, *(SEES_ONE * 2), SEES_SCREEN, SEES_SCREEN)
    assert sorted(room.shown_to(cleo).values()) == [
        ("anna", "camera"),
        ("anna", "microphone"),
        ("anna", "screen"),
        ("ben", "camera"),
        ("ben", "microphone"),
        ("ben", "screen"),
    ]


async def test_a_section_that_was_had_ready_does_not_hide_that_one_lacks(room: Room) -> None:
    room.enters("anna", sees=2)
    room.enters("ben", sees=1)
    room.sfu.set_forwarding(ROOM, "ben", "screen", True)
    assert room.news.sections["anna"].videos == 3


async def test_the_screen_of_one_who_leaves_is_shown_no_more(room: Room) -> None:
    room.enters("anna", sees=1)
    room.enters("ben", sees=1)
    room.shares("ben", sees=1)
    room.offers("anna", *SENDS, *SEES_ONE, SEES_SCREEN)
    room.sfu.remove_participant(ROOM, "ben")
    assert room.news.sections["anna"] == Sections(1, 2, ())
    room.enters("cleo")
    assert ("cleo", "screen") not in room.shown_to(room.news.sections["anna"]).values()


async def test_a_screen_is_in_no_voices_stream(room: Room) -> None:
    room.sfu.join(ROOM, "anna")
    room.enters("ben")
    room.shares("ben")
    sdp = offer(*SENDS, *SEES_ONE, SEES_SCREEN)
    negotiated = room.sfu.negotiate(ROOM, "anna", "first", 100, sdp, SOURCES)
    streams = room.streams_of(negotiated.sdp)
    assert streams["2"] == streams["3"] != streams["4"]


async def test_a_page_that_comes_back_is_told_again_what_is_watched(room: Room) -> None:
    room.enters("anna")
    room.sfu.join(ROOM, "anna")
    assert room.news.layers == {}


async def test_the_relay_answers_until_the_sfu_is_closed() -> None:
    sfu = await Sfu.start(
        relay_host="127.0.0.1",
        port=0,
        advertised=["127.0.0.1"],
        listener=News(),
        clock=StoppedClock(),
        gather_us=1000,
        tcp=False,
    )
    assert await sfu.answers(within_s=5)
    await sfu.close()
    assert not await sfu.answers(within_s=5)
