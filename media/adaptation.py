"""Gives each viewer what its downlink carries: looks five times a second, and acts.

Owned by the Sfu, on the event loop. `media.bandwidth` says what a downlink carries,
`media.allocation` which layers that is, `media.playout` how long pictures wait for what is lost;
here they are fed from the relay's figures, and what they decide is told to the relay, to
publishers (layers nobody watches rest) and to viewers (pictures that are paused).
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from math import ceil
from secrets import token_hex
from typing import Final, Protocol

import structlog

from media.allocation import PICTURES_FROM, Division, Layer, Picture
from media.bandwidth import Estimator
from media.news import Layers, Listener, TrackLayers
from media.participant import Participant, Session
from media.playout import Leg, is_news
from media.relay import Relay, RelayError
from media.seats import Source

log = structlog.get_logger(__name__)

INTERVAL_S: Final = 0.2
# A look at all sessions goes in parts, so that many of them do not hold up the loop.
_PARTS: Final = 8

_PICTURES: Final[tuple[Source, ...]] = ("screen", "camera")
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
    rates: list[float] = field(default_factory=list)
    alive: list[bool] = field(default_factory=list)
    watched: set[int] | None = None  # None: the publisher was told nothing yet and sends all
    asked_at: dict[int, float] = field(default_factory=dict)
    leg: Leg = field(default_factory=Leg)
    wait_ms: int = 0  # for what is lost before it is here
    _bytes: list[int] = field(default_factory=list)
    _at: float = 0.0

    def measure(self, relay: Relay, track: int, now: float) -> None:
        stats = relay.layer_stats(track)
        totals = [each["bytes"] + _HEADERS * each["packets"] for each in stats]
        if len(totals) != len(self._bytes):
            self.rates = [self.nominal_rate(number, len(totals)) for number in range(len(totals))]
            self._bytes, self._at = totals, now
        self.alive = [0 <= each["age_ms"] < _DEAD_MS for each in stats]
        took = now - self._at
        for number, total in enumerate(totals):
            rate = (total - self._bytes[number]) * 8 / took if took > 0 else 0.0
            if self.alive[number] and rate > 0:
                self.rates[number] += _SMOOTHING * (rate - self.rates[number])
        self._bytes, self._at = totals, now

    def layers(self) -> tuple[Layer, ...]:
        count = len(self.rates)
        heights = [_FULL_HEIGHT >> self._halvings(number, count) for number in range(count)]
        rates = self.rates
        if not self.rids:  # scalable: each layer needs those below it
            rates = [sum(self.rates[: number + 1]) for number in range(count)]
        return tuple(map(Layer, rates, heights))

    def nominal_rate(self, number: int, count: int) -> float:
        """A layer's rate before it was seen."""
        return _RATE / _FACTOR_A_LAYER ** self._halvings(number, count)

    def _halvings(self, number: int, count: int) -> int:
        """How many times smaller than a picture in full the layer is."""
        below_top = count - 1 - number
        return _HALVINGS.get(self.rids[number], below_top) if self.rids else below_top

    def living(self, wanted: int, now: float) -> int:
        """The layer to take for a wanted one: a lower one where that has died."""
        if wanted < 0 or not self.rids or self.alive[wanted] or not any(self.alive[:wanted]):
            return wanted
        if now - self.asked_at.get(wanted, now) < _WAKES_WITHIN_S:
            return wanted
        return max(number for number in range(wanted) if self.alive[number])

    def watch(self, wanted: set[int], now: float) -> bool:
        """Whether the publisher is to be told."""
        for number in wanted - (self.watched or set()):
            self.asked_at[number] = now
        changed, self.watched = wanted != self.watched, wanted
        return changed


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
        self._lines: dict[int, _Line] = {}
        self._tracks: dict[int, _Track] = {}
        self._caps: dict[int, float] = {}
        self._look: Iterator[None] = iter(())
        self._part = 0
        self._share = 0
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(INTERVAL_S / _PARTS, self._go_on)

    def stop(self) -> None:
        self._timer.cancel()

    def _go_on(self) -> None:
        self._timer = self._loop.call_later(INTERVAL_S / _PARTS, self._go_on)
        if self._part == 0:
            for _ in self._look:  # its end, if a full share came just to it
                pass
            self._look = self._sessions_in_turn()
            self._share = ceil(len(self._sessions) / _PARTS)
        for _ in islice(self._look, self._share):
            pass
        self._part = (self._part + 1) % _PARTS

    def adapt(self) -> None:
        """Look once at every session, and act."""
        for _ in self._sessions_in_turn():
            pass

    def _sessions_in_turn(self) -> Iterator[None]:
        """One step a session."""
        lines, tracks, self._lines, self._tracks = self._lines, self._tracks, {}, {}
        for session, members in list(self._sessions.items()):
            # It may have ended, or begun anew, since the look began.
            if len(members) > 1 and self._sessions.get(session) is members:
                try:
                    self._adapt_session(session, members, self._clock.monotonic(), lines, tracks)
                except Exception as failure:  # the others go on
                    log.error("adaptation.failed", error_id=token_hex(4), exc_info=failure)
            yield
        for track in self._caps.keys() - self._tracks.keys():
            del self._caps[track]
            with suppress(RelayError):  # it went, or its only viewer did
                self._relay.cap(track, None)

    def _adapt_session(
        self,
        session: str,
        members: Session,
        now: float,
        lines: Mapping[int, _Line],
        tracks: Mapping[int, _Track],
    ) -> None:
        watched: dict[int, set[int]] = {}
        for member in members.values():
            for track, rids in _pictures_of(member):
                known = tracks.get(track)
                made = known if known is not None and known.rids == rids else _Track(rids)
                made.measure(self._relay, track, now)
                made.wait_ms = self._wait(member, track, made.leg, now)
                self._tracks[track] = made
                watched[track] = set()
        for viewer in members.values():
            if viewer.peer is not None and viewer.peer.state == "connected":
                line = lines.get(viewer.peer.handle) or _Line()
                self._lines[viewer.peer.handle] = line
                self._serve(session, viewer, members, line, watched, now)
        for member in members.values():
            self._tell_publisher(session, member, watched, now)

    # Viewers

    def _serve(
        self,
        session: str,
        viewer: Participant,
        members: Session,
        line: _Line,
        watched: Mapping[int, set[int]],
        now: float,
    ) -> None:
        assert viewer.peer is not None
        handle = viewer.peer.handle
        shown = dict(self._shown(viewer, members))
        downlink = self._relay.downlink(handle)
        estimate = line.estimator.observe(now, downlink)
        wait_ms = line.leg.observe(now, downlink.lost_packets, downlink.round_trip_us)
        sound = _SOUND * max(1, min(3, len(members) - 1))
        pictures = [
            Picture(
                slot,
                screen,
                height,
                self._tracks[track].layers(),
                alone=len(members) == 2,
            )
            for slot, (track, screen, height) in shown.items()
        ]
        levels = line.division.divide(now, estimate, sound, pictures)
        for slot, (track, _, _) in shown.items():
            self._apply(line, slot, track, levels[slot], watched[track], now)
            self._delay(line, slot, wait_ms + self._tracks[track].wait_ms)
        wanted = sound + sum(
            max(
                each.layers[each.target].rate,
                self._tracks[track].nominal_rate(each.target, len(each.layers)),
            )
            for each, (track, _, _) in zip(pictures, shown.values(), strict=True)
            if each.target >= 0
        )
        line.granted = {slot: layer for slot, layer in line.granted.items() if slot in shown}
        line.delayed = {slot: ms for slot, ms in line.delayed.items() if slot in shown}
        cluster = line.estimator.probe(now, wanted)
        if cluster is not None:
            self._relay.probe(handle, cluster.bits_per_second, cluster.duration_ms)
        self._cap(viewer, members, line, wanted)
        paused = frozenset(
            each.subscription
            for each in pictures
            if each.target >= 0 and levels[each.subscription] < 0
        )
        if paused != viewer.paused:
            viewer.paused = paused
            viewer.told = viewer.sections()
            self._listener.sections_changed(session, viewer.id, viewer.told)

    def _shown(
        self, viewer: Participant, members: Session
    ) -> Iterator[tuple[int, tuple[int, bool, int | None]]]:
        """subscription -> its track, whether that is a screen, and how high it is shown."""
        assert viewer.peer is not None
        for seat, reception in viewer.peer.receptions.items():
            person = members.get(viewer.seating.shown(seat) or "")
            if person is None or seat.source not in _PICTURES:
                continue
            track = person.track(seat.source)
            if track in self._tracks and track is not None:
                height = _height(viewer, person.id, seat.source)
                yield reception.subscription, (track, seat.source == "screen", height)

    def _apply(
        self, line: _Line, slot: int, track: int, level: int, watched: set[int], now: float
    ) -> None:
        """Have a slot get its layer; note what has to be sent for it."""
        measured = self._tracks[track]
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
            # Until the switch to a higher one is done, the lower one has to go on.
            if 0 <= flowing < layer:
                watched.add(flowing)

    def _is_too_much(self, line: _Line, measured: _Track, flowing: int, now: float) -> bool:
        """Whether what flows has to stop before a lower rate is there, or sound would suffer."""
        if not 0 <= flowing < len(measured.rates) or now - line.stopped_at < _STOPPED_S:
            return False
        rate = measured.layers()[flowing].rate
        if line.estimator.limited and rate > _TOO_MUCH * line.estimator.estimate:
            line.stopped_at = now
            return True
        return False

    def _delay(self, line: _Line, slot: int, wait_ms: int) -> None:
        if is_news(line.delayed.get(slot, 0), wait_ms):
            self._relay.set_playout_delay(slot, wait_ms)
            line.delayed[slot] = wait_ms

    # Publishers

    def _wait(self, member: Participant, track: int, leg: Leg, now: float) -> int:
        assert member.peer is not None
        round_trip_us = self._relay.downlink(member.peer.handle).round_trip_us
        return leg.observe(now, self._relay.track_stats(track)["recovered"], round_trip_us)

    def _tell_publisher(
        self, session: str, member: Participant, watched: Mapping[int, set[int]], now: float
    ) -> None:
        changed = False
        told = []
        for source in ("camera", "screen"):
            track = member.track(source)
            if track is None or track not in watched or not self._tracks[track].rids:
                continue
            measured = self._tracks[track]
            changed |= measured.watch(watched[track], now)
            rids = tuple(measured.rids[number] for number in sorted(watched[track]))
            told.append(TrackLayers(source, rids))
        if changed:
            member.layers = Layers(tuple(told))
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
