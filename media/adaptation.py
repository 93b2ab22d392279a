"""Gives each viewer what its downlink carries: looks five times a second, and acts.

Owned by the Sfu, on the event loop. `media.bandwidth` says what a downlink carries,
`media.allocation` which layers that is, `media.playout` how long pictures wait for what is lost;
here they are fed from the relay's figures, and what they decide is told to the relay, to
publishers (layers nobody watches rest) and to viewers (pictures that are paused).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, Protocol

from media.allocation import PICTURES_FROM, Division, Layer, Picture
from media.bandwidth import Estimator
from media.news import Layers, Listener, TrackLayers
from media.participant import Participant, Session
from media.playout import Leg, is_news
from media.relay import Downlink, Relay, RelayError
from media.rounds import Rounds
from media.seats import Source

INTERVAL_S: Final = 0.2

_PICTURES: Final[tuple[Source, ...]] = ("camera", "screen")
# Of RTP, its extensions and SRTP's tag, and of UDP and IP, around a payload.
_HEADERS: Final = 72
# Of a picture in full, and what libwebrtc spends on it; a layer is half as wide and high as the
# next. Pages call their layers by these names, and a small camera lacks the upper ones.
_FULL_HEIGHT: Final = 720
_RATE: Final = 1_300_000.0
_FACTOR_A_LAYER: Final = 3.0
_HALVINGS: Final[Mapping[str, int]] = {"q": 2, "h": 1, "f": 0}
_SMOOTHING: Final = 0.2
# Frames come 33 ms apart, in the dark 100 ms. A layer that was asked for gets its time.
_DEAD_MS: Final = 500
_WAKES_WITHIN_S: Final = 3.0
# With each frame sent twice (RED).
_SOUND: Final = 85_000.0
# A cap is told anew when it is another by so much; the publisher's own headers are not in it.
_CAP: Final = 0.9
_CAP_CHANGE: Final = 0.05
# What flows beyond the estimate by so much stops until a keyframe; not again before that
# had its time.
_TOO_MUCH: Final = 1.5
_STOPPED_S: Final = 4.0


class Clock(Protocol):
    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""


@dataclass(slots=True)
class _Track:
    """One video track's layers, as measured."""

    rids: tuple[str, ...]
    layers: tuple[Layer, ...] = ()
    nominal_rates: Sequence[float] = ()  # of a layer before it was seen
    alive: Sequence[bool] = ()
    watched: set[int] | None = None  # None: the publisher was told nothing yet and sends all
    asked_at: dict[int, float] = field(default_factory=dict)
    leg: Leg = field(default_factory=Leg)
    wait_ms: int = 0  # for what is lost before it is here
    _rates: list[float] = field(default_factory=list)
    _heights: Sequence[int] = ()
    _bytes: list[int] = field(default_factory=list)
    _at: float = 0.0

    def measure(self, stats: Sequence[Mapping[str, int]], now: float) -> None:
        """stats: see `Relay.layer_stats`."""
        totals = [each["bytes"] + _HEADERS * each["packets"] for each in stats]
        if len(totals) != len(self._bytes):
            self._begin(totals, now)
        self.alive = [0 <= each["age_ms"] < _DEAD_MS for each in stats]
        took = now - self._at
        for number, total in enumerate(totals):
            more = total - self._bytes[number]
            if more > 0 and took > 0 and self.alive[number]:
                self._rates[number] += _SMOOTHING * (more * 8 / took - self._rates[number])
        self._bytes, self._at = totals, now
        # Of a scalable stream each layer needs those below it.
        rates = self._rates if self.rids else accumulate(self._rates)
        self.layers = tuple(map(Layer, rates, self._heights))

    def _begin(self, totals: list[int], now: float) -> None:
        halvings = [self._halvings(number, len(totals)) for number in range(len(totals))]
        self.nominal_rates = [_RATE / _FACTOR_A_LAYER**each for each in halvings]
        self._heights = [_FULL_HEIGHT >> each for each in halvings]
        self._rates = list(self.nominal_rates)
        self._bytes, self._at = totals, now

    def _halvings(self, number: int, count: int) -> int:
        """How many times smaller than a picture in full the layer is."""
        below_top = count - 1 - number
        return _HALVINGS.get(self.rids[number], below_top) if self.rids else below_top

    def is_dead(self, wanted: int, now: float) -> bool:
        """Whether a layer had its time and does not come: a small camera lacks the upper ones."""
        if wanted < 0 or not self.rids or self.alive[wanted]:
            return False
        return now - self.asked_at.get(wanted, now) >= _WAKES_WITHIN_S

    def living(self, wanted: int, now: float) -> int:
        """The layer to take for a wanted one: a lower one that lives where that has died."""
        if not self.is_dead(wanted, now):
            return wanted
        return max((number for number in range(wanted) if self.alive[number]), default=wanted)

    def watch(self, wanted: set[int], now: float) -> bool:
        """Whether the publisher is to be told."""
        for number in wanted - (self.watched or set()):
            self.asked_at[number] = now
        changed, self.watched = wanted != self.watched, wanted
        return changed

    @property
    def watched_rids(self) -> tuple[str, ...]:
        return tuple(self.rids[number] for number in sorted(self.watched or ()))


@dataclass(slots=True)
class _Line:
    """One viewer's connection."""

    estimator: Estimator = field(default_factory=Estimator)
    division: Division = field(default_factory=Division)
    leg: Leg = field(default_factory=Leg)
    granted: dict[int, int] = field(default_factory=dict)  # subscription -> layer at the relay
    delayed: dict[int, int] = field(default_factory=dict)  # subscription -> ms at the relay
    stopped_at: float = float("-inf")


class Adaptation:
    """Adapts all sessions from its making until `stop`."""

    def __init__(
        self, relay: Relay, sessions: Mapping[str, Session], listener: Listener, clock: Clock
    ) -> None:
        self._relay = relay
        self._sessions = sessions
        self._listener = listener
        self._clock = clock
        # By handle. A round finds who is there; the others are forgotten with its end.
        self._lines: dict[int, _Line] = {}
        self._tracks: dict[int, _Track] = {}
        self._lines_found: dict[int, _Line] = {}
        self._tracks_found: dict[int, _Track] = {}
        self._caps: dict[int, float] = {}
        self._rounds = Rounds(INTERVAL_S, sessions, self._adapt_session, self._forget_the_gone)

    def stop(self) -> None:
        self._rounds.stop()

    def adapt(self) -> None:
        """Look once at every session, and act."""
        self._rounds.go_round()

    def _forget_the_gone(self) -> None:
        for track in self._caps.keys() - self._tracks_found.keys():
            del self._caps[track]
            with suppress(RelayError):  # it went, or its only viewer did
                self._relay.cap(track, None)
        self._lines, self._lines_found = self._lines_found, {}
        self._tracks, self._tracks_found = self._tracks_found, {}

    def _adapt_session(self, session: str, members: Session) -> None:
        if len(members) < 2:
            return
        now = self._clock.monotonic()
        watched: dict[int, set[int]] = {}
        downlinks: dict[int, Downlink] = {}
        for member in members.values():
            if member.peer is None:
                continue
            downlink = downlinks[member.peer.handle] = self._relay.downlink(member.peer.handle)
            for track, rids in _pictures_of(member):
                self._tracks_found[track] = self._measured(track, rids, downlink, now)
                watched[track] = set()
        for viewer in members.values():
            if viewer.peer is not None and viewer.peer.state == "connected":
                handle = viewer.peer.handle
                line = self._lines_found[handle] = self._lines.get(handle) or _Line()
                self._serve(session, viewer, members, line, downlinks[handle], watched, now)
        for member in members.values():
            self._tell_publisher(session, member, watched, now)

    def _measured(
        self, track: int, rids: tuple[str, ...], downlink: Downlink, now: float
    ) -> _Track:
        known = self._tracks.get(track)
        made = known if known is not None and known.rids == rids else _Track(rids)
        made.measure(self._relay.layer_stats(track), now)
        recovered = self._relay.track_stats(track)["recovered"]
        made.wait_ms = made.leg.observe(now, recovered, downlink.round_trip_us)
        return made

    # Viewers

    def _serve(
        self,
        session: str,
        viewer: Participant,
        members: Session,
        line: _Line,
        downlink: Downlink,
        watched: Mapping[int, set[int]],
        now: float,
    ) -> None:
        assert viewer.peer is not None
        estimate = line.estimator.observe(now, downlink)
        wait_ms = line.leg.observe(now, downlink.lost_packets, downlink.round_trip_us)
        sound = wanted = _SOUND * max(1, min(3, len(members) - 1))
        shown = list(self._shown(viewer, members))
        levels = line.division.divide(now, estimate, sound, [picture for _, picture in shown])
        paused = set()
        for track, picture in shown:
            slot, target, measured = picture.subscription, picture.target, self._tracks_found[track]
            self._apply(line, slot, measured, levels[slot], watched[track], now)
            self._delay(line, slot, wait_ms + measured.wait_ms)
            if target >= 0:
                wanted += max(picture.layers[target].rate, measured.nominal_rates[target])
                if levels[slot] < 0:
                    paused.add(slot)
        line.granted = {slot: layer for slot, layer in line.granted.items() if slot in levels}
        line.delayed = {slot: ms for slot, ms in line.delayed.items() if slot in levels}
        cluster = line.estimator.probe(now, wanted)
        if cluster is not None:
            self._relay.probe(viewer.peer.handle, cluster.bits_per_second, cluster.duration_ms)
        self._cap(viewer, members, line, wanted)
        if paused != viewer.paused:
            viewer.paused = frozenset(paused)
            viewer.told = viewer.sections()
            self._listener.sections_changed(session, viewer.id, viewer.told)

    def _shown(self, viewer: Participant, members: Session) -> Iterator[tuple[int, Picture]]:
        """Each picture that the viewer could be sent, with its track."""
        assert viewer.peer is not None
        for seat, reception in viewer.peer.receptions.items():
            if seat.source not in _PICTURES:
                continue
            person = members.get(viewer.seating.shown(seat) or "")
            track = None if person is None else person.track(seat.source)
            if person is not None and track is not None and track in self._tracks_found:
                yield (
                    track,
                    Picture(
                        reception.subscription,
                        screen=seat.source == "screen",
                        height=_height(viewer, person.id, seat.source),
                        layers=self._tracks_found[track].layers,
                        alone=len(members) == 2,
                    ),
                )

    def _apply(
        self,
        line: _Line,
        slot: int,
        measured: _Track,
        level: int,
        watched: set[int],
        now: float,
    ) -> None:
        """Have a slot get its layer; note what has to be sent for it."""
        layer = measured.living(level, now)
        flowing = self._relay.subscription_stats(slot)["layer"]
        if layer != line.granted.get(slot):
            if self._is_too_much(line, measured, flowing, now):
                self._relay.set_layer(slot, -1)
            self._relay.set_layer(slot, layer)
            line.granted[slot] = layer
        elif layer >= 0 and self._is_too_much(line, measured, flowing, now):
            # The publisher is capped: the picture goes on with a keyframe of the lower rate.
            self._relay.set_layer(slot, -1)
            self._relay.set_layer(slot, layer)
        if level >= 0:
            watched.update({level, layer})
            if measured.is_dead(level, now):
                # What could take its place rests perhaps, or what is better than what does.
                watched.update(range(layer if layer < level else 0, level))
            # Until the switch to a higher one is done, the lower one has to go on.
            if 0 <= flowing < layer:
                watched.add(flowing)

    def _is_too_much(self, line: _Line, measured: _Track, flowing: int, now: float) -> bool:
        """Whether what flows has to stop before a lower rate is there, or sound would suffer."""
        if not 0 <= flowing < len(measured.layers) or now - line.stopped_at < _STOPPED_S:
            return False
        rate = measured.layers[flowing].rate
        if line.estimator.limited and rate > _TOO_MUCH * line.estimator.estimate:
            line.stopped_at = now
            return True
        return False

    def _delay(self, line: _Line, slot: int, wait_ms: int) -> None:
        if is_news(line.delayed.get(slot, 0), wait_ms):
            self._relay.set_playout_delay(slot, wait_ms)
            line.delayed[slot] = wait_ms

    # Publishers

    def _tell_publisher(
        self, session: str, member: Participant, watched: Mapping[int, set[int]], now: float
    ) -> None:
        changed = False
        layered: dict[Source, _Track] = {}
        for source in _PICTURES:
            track = member.track(source)
            if track is not None and track in watched and self._tracks_found[track].rids:
                layered[source] = self._tracks_found[track]
                changed |= layered[source].watch(watched[track], now)
        if changed:
            member.layers = Layers(
                tuple(TrackLayers(source, each.watched_rids) for source, each in layered.items())
            )
            self._listener.layers_changed(session, member.id, member.layers)

    def _cap(self, viewer: Participant, members: Session, line: _Line, wanted: float) -> None:
        """Of two, each can have the other send what fits; of more, layers have to do."""
        others = [member for member in members.values() if member is not viewer]
        track = others[0].track("camera")
        if track is None:
            return
        cap = 0.0
        if len(others) == 1 and line.estimator.limited and line.estimator.estimate < wanted:
            cap = max(_CAP * line.estimator.estimate, float(PICTURES_FROM))
        told = self._caps.get(track, 0.0)
        if abs(cap - told) > _CAP_CHANGE * told:
            self._relay.cap(track, round(cap) or None)
            self._caps[track] = cap


def _pictures_of(member: Participant) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The video tracks of a participant's that may flow, and their rids."""
    for source in _PICTURES:
        track = member.track(source)
        if track is not None and source not in member.silenced and member.peer is not None:
            yield track, member.peer.sent[member.mids[source]].publication.rids


def _height(viewer: Participant, person: str, source: Source) -> int | None:
    if viewer.views is None:
        return None
    for view in viewer.views:
        if view.participant_id == person and view.source == source:
            return view.height
    return 0
