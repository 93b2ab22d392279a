"""An SFU without media: remembers what it was told, and says what a test makes it say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Self

from media.census import Census, Connection, Line
from media.errors import BadOffer, ConnectionClosed, StaleOffer
from rooms.ports import Clock
from rooms.vocabulary import Media, Quality
from signaling.handlers import View
from signaling.settings import Settings
from signaling.wiring import MediaNews


@dataclass(frozen=True, slots=True)
class Sections:
    """The shape of `media.news.Sections`; the fake never names tracks."""

    audios: int
    videos: int
    tracks: tuple[()] = ()


@dataclass(frozen=True, slots=True)
class Negotiated:
    """The shape of `media.sfu.Negotiated`."""

    sdp: str
    sections: Sections


@dataclass(frozen=True, slots=True)
class TrackLayers:
    """The shape of `media.news.TrackLayers`."""

    source: str
    layers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layers:
    """The shape of `media.news.Layers`."""

    tracks: tuple[TrackLayers, ...]


@dataclass(slots=True)
class _Participant:
    connection: str | None = None
    seq: int = -1
    closed: set[str] = field(default_factory=set)


class FakeFault(Exception):
    """What a fault of ours looks like."""


class FakeSfu:
    """Answers every SDP that starts with "v=0". `calls` are the verbs that took effect.

    breaks: while it is set, every offer meets a fault. hangs: its thread answers nothing.
    relay_busy_s: how long its thread was at work.
    """

    port = 9

    def __init__(self, news: MediaNews, clock: Clock) -> None:
        self._news = news
        self._clock = clock
        self._connected: set[tuple[str, str]] = set()
        self._silent_since: dict[tuple[str, str], float] = {}
        self._members: dict[tuple[str, str], _Participant] = {}
        self.calls: list[tuple[object, ...]] = []
        self.closed = False
        self.breaks = False
        self.hangs = False
        self.relay_busy_s = 0.0

    @classmethod
    async def start(cls, _settings: Settings, clock: Clock, news: MediaNews) -> Self:
        return cls(news, clock)

    def says(self, session: str, participant: str, media: Media) -> None:
        """Report a change of a participant's connection, as ICE and DTLS would bring about."""
        if media == "connected":
            self._connected.add((session, participant))
        else:
            self._connected.discard((session, participant))
        self._news.media_changed(session, participant, media)

    def falls_silent(self, session: str, participant: str) -> None:
        """From now on nothing comes from a participant."""
        self._silent_since[session, participant] = self._clock.monotonic()

    def heard(self, session: str) -> dict[str, float]:
        now = self._clock.monotonic()
        return {
            participant: now - self._silent_since.get((of, participant), now)
            for of, participant in self._connected
            if of == session
        }

    def watches(self, session: str, participant: str, *layers: str) -> None:
        """Report which layers of a participant's camera somebody watches."""
        watched = Layers((TrackLayers("camera", layers),))
        self._news.layers_changed(session, participant, watched)

    def hears(self, session: str, participant: str | None) -> None:
        """Report who speaks."""
        self._news.speaker_changed(session, participant)

    def measures(self, session: str, participant: str, quality: Quality | None) -> None:
        """Report how good a participant's connection is."""
        self._news.quality_changed(session, participant, quality)

    def join(self, session: str, participant: str) -> Sections:
        if (session, participant) not in self._members:
            others = [p for s, p in self._members if s == session]
            self._members[session, participant] = _Participant()
            for other in others:
                self._news.sections_changed(session, other, self.sections(session, other))
        return self.sections(session, participant)

    def sections(self, session: str, participant: str) -> Sections:
        self._member(session, participant)
        others = sum(s == session for s, _ in self._members) - 1
        return Sections(others, others)

    def negotiate(
        self,
        session: str,
        participant: str,
        connection: str,
        seq: int,
        sdp: str,
        sources: Mapping[str, str],
    ) -> Negotiated:
        if self.breaks:
            raise FakeFault
        member = self._member(session, participant)
        if connection in member.closed:
            raise ConnectionClosed(connection)
        if connection == member.connection and seq <= member.seq:
            raise StaleOffer(seq, member.seq)
        if not sdp.startswith("v=0"):
            raise BadOffer("no v= line")
        if member.connection not in (None, connection):
            member.closed.add(str(member.connection))
        member.connection, member.seq = connection, seq
        self.calls.append(("negotiate", session, participant, connection, seq, dict(sources)))
        return Negotiated("v=0\r\n", self.sections(session, participant))

    def set_views(self, session: str, participant: str, views: Sequence[View]) -> None:
        self._member(session, participant)
        shown = tuple((v.participant_id, v.source, v.width, v.height) for v in views)
        self.calls.append(("set_views", session, participant, shown))

    def set_forwarding(self, session: str, participant: str, source: str, enabled: bool) -> None:
        if (session, participant) in self._members:
            self.calls.append(("set_forwarding", session, participant, source, enabled))

    def remove_participant(self, session: str, participant: str) -> None:
        self._members.pop((session, participant), None)
        self._connected.discard((session, participant))
        self.calls.append(("remove_participant", session, participant))

    def close_session(self, session: str) -> None:
        for key in [key for key in self._members if key[0] == session]:
            del self._members[key]
            self._connected.discard(key)
        self.calls.append(("close_session", session))

    def relay_objects(self) -> dict[str, int]:
        return {"peers": 0, "tracks": 0, "subscriptions": 0}

    def stats(self) -> dict[str, int]:
        counted = ("packets_in", "bytes_in", "packets_out", "bytes_out")
        return dict.fromkeys((*counted, "dropped_receive_buffer", "dropped_send"), 0)

    def census(self) -> Census:
        connected = len(self._connected)
        states: dict[Connection, int] = {
            "connected": connected,
            "none": len(self._members) - connected,
        }
        return Census(len({s for s, _ in self._members}), 0, 0, 0, states, {})

    def lines(self, rooms_at_most: int) -> dict[str, list[Line]]:
        rooms: dict[str, list[Line]] = {}
        for session, participant in self._members:
            line = Line(participant, "none", None, 0, 0, 0, 0, None, None)
            rooms.setdefault(session, []).append(line)
        return dict(islice(rooms.items(), rooms_at_most))

    async def answers(self, _within_s: float) -> bool:
        return not (self.closed or self.hangs)

    async def close(self) -> None:
        self.closed = True

    def _member(self, session: str, participant: str) -> _Participant:
        try:
            return self._members[session, participant]
        except KeyError:
            raise ConnectionClosed(participant) from None
