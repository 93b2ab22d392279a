"""What one viewer's downlink carries. Pure: the relay's figures and the time in, bit/s out.

Congestion is a queue that does not fall, or packets lost at a rate that our own rate causes.
It sets the estimate below what arrived. What arrived, of media or of a probe, raises it; a wish
never does. Random loss on a flat queue is no congestion: the relay repairs it.

A client that gives no transport-wide feedback is followed by its REMB, else by the losses that
its receiver reports tell.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from media.probes import Cluster, Probes
from media.relay import Downlink

START: Final = 800_000.0
"""Before anything is known: a good picture, half of what a bad ADSL line carries."""
FLOOR: Final = 40_000.0
"""Less than sound takes says nothing that could be acted on."""
CEILING: Final = 20_000_000.0

_DECREASE: Final = 0.85
# A queue that sound does not feel yet. A keyframe alone makes 100 ms on a slow link, for one
# sample; a queue of congestion stays for two.
_QUEUE_MS: Final = 90.0
_SAMPLES_OVER: Final = 2
# With losses, or so long, one sample is enough.
_QUEUE_OF_LOSS_MS: Final = 50.0
_LOSS_OF_A_QUEUE: Final = 0.1
_LONG_QUEUE_MS: Final = 400.0
_FALLING_MS: Final = 10.0
_SETTLED_MS: Final = 60.0
# Losses without a queue: a policer, or a bad radio link. Both are known apart by lowering the
# rate once: a share that stays is the link's own.
_LOSS: Final = 0.25
_LOSS_MAX: Final = 0.6
_FEWEST_PACKETS: Final = 100
_LOSS_OF_ITS_OWN: Final = 0.7
_LOSS_TRIED_S: Final = 2.5
# The base of the delay: the least of the last 5 to 10 s, as clocks drift and routes change.
_BASE_S: Final = 5.0
# A queue this flat, after the rate fell, is no queue: the way became longer.
_FLAT_MS: Final = 25.0
_FLAT_S: Final = 1.0
_FLAT_LOSS: Final = 0.03
_LONGER_WAY_S: Final = 1.5

_WINDOW_S: Final = 2.0
_RATE_S: Final = 0.3
_EVIDENCE_S: Final = 0.8
_REACTION_S: Final = 0.2
_ROUND_TRIP_MAX_S: Final = 1.0
# Feedback comes every 50 to 250 ms while anything arrives.
_SILENCE_S: Final = 1.0

# Without feedback: once in a second, as receiver reports come.
_REPORT_LOSS_LOW: Final = 0.02
_REPORT_LOSS_HIGH: Final = 0.1
_REPORT_INCREASE: Final = 1.05
_REPORT_USED: Final = 0.75


@dataclass(frozen=True, slots=True)
class _Step:
    """What feedback told between two observations."""

    at: float
    arrived_bytes: int
    arrival_s: float
    arrived: int
    lost: int
    queue_ms: float


class Estimator:
    """One connection's downlink. Ask `observe` about five times a second, then `probe`."""

    def __init__(self) -> None:
        self.estimate = START
        self.limited = False
        """Whether the downlink was seen to carry less than is wanted."""
        self._seen: Downlink | None = None
        self._heard_at = 0.0
        self._steps: deque[_Step] = deque()
        self._base = _Base()
        self._probes = Probes()
        self._samples_over = 0
        self._settled = True
        self._fell_at = -1e9
        self._before_fall = START
        self._falling_since: float | None = None  # the first of the falls that go on
        self._loss_max = _LOSS
        self._loss_tried: tuple[float, float, float] | None = None  # when, its share, estimate
        self._reported = _Reported()

    def observe(self, now: float, seen: Downlink) -> float:
        """The estimate in bit/s, with IP and UDP headers, after the relay's present figures.

        now: seconds on a clock that never jumps.
        """
        before, self._seen = self._seen, seen
        if before is None:
            self._heard_at = now
        elif not seen.feedbacks:
            self.estimate = self._reported.follow(now, before, seen, self.estimate)
        elif seen.feedbacks != before.feedbacks:
            silent, self._heard_at = now - self._heard_at > _SILENCE_S, now
            if silent and before.feedbacks:
                # What was lost meanwhile says nothing of the rate; the way may be another.
                self._steps.clear()
                self._base = _Base()
                self._samples_over = 0
            elif seen.arrived_packets > before.arrived_packets:
                self._learn(now, before, seen)
        return self.estimate

    def probe(self, now: float, wanted: float) -> Cluster | None:
        """What the relay is to probe with now; None: nothing.

        wanted: bit/s that would be used if they were there.
        """
        seen = self._seen
        if seen is None or not seen.feedbacks or now - self._heard_at > _SILENCE_S:
            return None
        if self._probes.knows_enough(self.estimate, wanted):
            self.limited = False
        return self._probes.next(now, seen, self.estimate, wanted)

    def _learn(self, now: float, before: Downlink, seen: Downlink) -> None:
        arrived = seen.arrived_packets - before.arrived_packets
        delay_ms = (seen.delay_us - before.delay_us) / arrived / 1000
        step = _Step(
            at=now,
            arrived_bytes=seen.arrived_bytes - before.arrived_bytes,
            arrival_s=(seen.arrival_us - before.arrival_us) / 1e6,
            arrived=arrived,
            lost=max(0, seen.lost_packets - before.lost_packets),
            queue_ms=delay_ms - self._base.note(now, delay_ms),
        )
        last_ms = self._steps[-1].queue_ms if self._steps else 0.0
        self._steps.append(step)
        while self._steps[0].at < now - _WINDOW_S:
            self._steps.popleft()
        growing = step.queue_ms > last_ms - _FALLING_MS
        self._samples_over = self._samples_over + 1 if growing and step.queue_ms > _QUEUE_MS else 0
        self._settled = step.queue_ms < _SETTLED_MS
        if not self._settled:
            self._probes.hold_back(now)
        if self._is_longer_way(now):
            self._base = _Base()
            self._base.note(now, delay_ms)
            self._falling_since = None
            self.estimate = self._before_fall
        elif self._is_congested(step, growing=growing):
            self._fall(now, seen)
        elif self._settled:
            self._falling_since = None
        self._judge_losses(now, seen)
        self._rise(now, seen)

    def _is_congested(self, step: _Step, *, growing: bool) -> bool:
        if self._samples_over >= _SAMPLES_OVER or (growing and step.queue_ms > _LONG_QUEUE_MS):
            return True
        share = step.lost / (step.lost + step.arrived)
        return step.queue_ms > _QUEUE_OF_LOSS_MS and step.lost > 1 and share > _LOSS_OF_A_QUEUE

    def _fall(self, now: float, seen: Downlink) -> None:
        """Below what arrives, once in a round trip and the time to see its effect."""
        round_trip_s = min(seen.round_trip_us / 1e6, _ROUND_TRIP_MAX_S)
        arriving = _DECREASE * self._arrivals(_RATE_S)[0]
        if now - self._fell_at < round_trip_s + _REACTION_S:
            if self._falling_since is not None:
                # What comes through a full queue is what the link carries.
                self._set(min(max(self.estimate, arriving), self._before_fall))
            return
        if self._falling_since is None:
            self._falling_since, self._before_fall = now, self.estimate
        self._fell_at = now
        self.limited = True
        self._set(min(self.estimate, arriving))
        self._probes.hold_back(now)

    def _is_longer_way(self, now: float) -> bool:
        """Whether what looks like a queue neither grows, nor falls, nor loses anything."""
        if self._falling_since is None or now - self._falling_since < _LONGER_WAY_S:
            return False
        lately = [step.queue_ms for step in self._steps if step.at >= now - _FLAT_S]
        return (
            min(lately) > _QUEUE_MS
            and max(lately) - min(lately) < _FLAT_MS
            and self._loss() < _FLAT_LOSS
        )

    def _judge_losses(self, now: float, seen: Downlink) -> None:
        loss = self._loss()
        if self._loss_tried is not None:
            tried_at, share, estimate = self._loss_tried
            if now - tried_at < _LOSS_TRIED_S:
                return
            self._loss_tried = None
            if loss > _LOSS_OF_ITS_OWN * share:
                self._loss_max = min(max(1.3 * loss, _LOSS), _LOSS_MAX)
                self.estimate = max(self.estimate, estimate)
        elif loss > self._loss_max:
            self._loss_tried = (now, loss, self.estimate)
            self._fall(now, seen)
        elif loss < _LOSS / 2:
            self._loss_max = _LOSS

    def _rise(self, now: float, seen: Downlink) -> None:
        if self._probes.under_way:
            shown = self._probes.result(now, seen, self.estimate, self._loss())
            if shown is not None:
                self._set(shown)
        if self._settled:
            rate, took_s = self._arrivals(_EVIDENCE_S)
            if took_s >= _EVIDENCE_S:
                self._set(max(self.estimate, rate))

    def _set(self, estimate: float) -> None:
        self.estimate = min(max(estimate, FLOOR), CEILING)

    def _loss(self) -> float:
        """Its share since the rate fell, in the window; 0 while that is of too few packets."""
        since = self._fell_at + _REACTION_S
        lost = told = 0
        for step in self._steps:
            if step.at > since:
                lost += step.lost
                told += step.lost + step.arrived
        return lost / told if told >= _FEWEST_PACKETS else 0.0

    def _arrivals(self, span_s: float) -> tuple[float, float]:
        """bit/s over the last steps that hold `span_s` of arrivals, or over all there are; and
        the seconds that these took."""
        bytes_, took_s = 0, 0.0
        for step in reversed(self._steps):
            bytes_ += step.arrived_bytes
            took_s += step.arrival_s
            if took_s >= span_s:
                break
        return (bytes_ * 8 / took_s if took_s else self.estimate), took_s


class _Base:
    """The least delay of the last 5 to 10 s, in two windows that take turns."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._least = self._least_before = float("inf")

    def note(self, now: float, delay_ms: float) -> float:
        if self._since is None or now - self._since > _BASE_S:
            self._since, self._least_before, self._least = now, self._least, delay_ms
        self._least = min(self._least, delay_ms)
        return min(self._least, self._least_before)


class _Reported:
    """The way down as REMB and receiver reports tell it."""

    def __init__(self) -> None:
        self._since: tuple[float, Downlink] | None = None

    def follow(self, now: float, before: Downlink, seen: Downlink, estimate: float) -> float:
        if self._since is None:
            self._since = (now, before)
        began, then = self._since
        if seen.blocks == then.blocks or now - began < 1.0:
            return self._capped(seen, estimate)
        self._since = (now, seen)
        loss = (seen.fraction_lost - then.fraction_lost) / (seen.blocks - then.blocks) / 256
        used = (seen.sent_bytes - then.sent_bytes) * 8 / (now - began)
        if loss > _REPORT_LOSS_HIGH:
            estimate *= 1 - loss / 2
        elif loss < _REPORT_LOSS_LOW and seen.estimates:
            estimate = CEILING  # a browser that sends REMB says itself how far this may go
        elif loss < _REPORT_LOSS_LOW and used > _REPORT_USED * estimate:
            estimate *= _REPORT_INCREASE
        return self._capped(seen, estimate)

    def _capped(self, seen: Downlink, estimate: float) -> float:
        cap = float(seen.estimate) if seen.estimates else CEILING
        return min(max(min(estimate, cap), FLOOR), CEILING)
