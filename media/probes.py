"""When to look whether a downlink carries more than is known, and at what rate. Pure.

Media alone shows nothing beyond its own rate, and a viewer's next layer may be three times
what it gets. So a short cluster of packets goes out at a higher rate; that it arrives at that
rate is evidence. What it puts into a queue is bounded, so that sound does not stumble over it.
"""

from dataclasses import dataclass
from typing import Final

from media.relay import Downlink

# A cluster at twice what is known: 300 kbit/s to 1.5 Mbit/s in three steps.
_FACTOR: Final = 2.0
# More than what would be used of it, so that jitter in the result does not matter.
_ABOVE_WANTED: Final = 1.3
_ENOUGH: Final = 1.25
# A cluster that arrived at this share of its rate arrived at its rate: padding comes in whole
# packets and 5 ms steps.
_DELIVERED: Final = 0.85
# Of what a slower link's own rate is known by: the cluster's packets come a little bunched.
_PART: Final = 0.9

# The queue that a cluster may leave where the estimate is all there is, and the fewest bytes
# that still are a handful of packets.
_QUEUE_S: Final = 0.08
_FEWEST_BYTES: Final = 1500.0
_SHORTEST_S: Final = 0.04
_LONGEST_S: Final = 0.15

_AFTER_A_FALL_S: Final = 1.0
_INTERVAL_S: Final = 2.0
_LONGEST_INTERVAL_S: Final = 5.0
_BACK_OFF: Final = 1.5
# A result takes the cluster, a round trip and a feedback interval (up to 250 ms in libwebrtc).
_PATIENCE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """What `Relay.probe` is to be asked for."""

    bits_per_second: int
    duration_ms: int


class Probes:
    """The probes of one downlink: at most one is under way."""

    def __init__(self) -> None:
        self._due_at = 0.0
        self._interval_s = _INTERVAL_S
        self._asked = 0.0
        self._asked_at = 0.0
        self._known = 0  # Downlink.probes when the one under way was asked for

    def hold_back(self, now: float) -> None:
        """The estimate fell, or packets queue: that must be over for a while first."""
        self._due_at = max(self._due_at, now + _AFTER_A_FALL_S)

    def knows_enough(self, estimate: float, wanted: float) -> bool:
        return estimate >= _ENOUGH * wanted

    def next(self, now: float, seen: Downlink, estimate: float, wanted: float) -> Cluster | None:
        """The cluster to send now, None for none.

        estimate, wanted: bit/s; wanted is what would be used if it were there.
        """
        if self._asked or now < self._due_at or self.knows_enough(estimate, wanted):
            return None
        rate = min(_FACTOR * estimate, _ABOVE_WANTED * wanted)
        excess = max(estimate / 8 * _QUEUE_S, _FEWEST_BYTES)
        duration_s = min(max(excess * 8 / (rate - estimate), _SHORTEST_S), _LONGEST_S)
        self._asked, self._asked_at, self._known = rate, now, seen.probes
        return Cluster(round(rate), round(duration_s * 1000))

    @property
    def under_way(self) -> bool:
        return self._asked > 0

    def result(self, now: float, seen: Downlink, estimate: float, loss: float) -> float | None:
        """What the probe under way shows the downlink to carry; None: nothing yet.

        loss: the share that the link loses at any rate.
        """
        if seen.probes == self._known:
            if now - self._asked_at > _PATIENCE_S:
                self._fail(now)
            return None
        arrived, asked = seen.probe_bits_per_second / (1 - loss), self._asked
        if arrived >= _DELIVERED * asked:
            self._asked, self._interval_s, self._due_at = 0.0, _INTERVAL_S, now
            return max(min(arrived, asked), estimate)
        self._fail(now)
        return max(_PART * arrived, estimate)

    def _fail(self, now: float) -> None:
        self._asked = 0.0
        self._due_at = max(self._due_at, now + self._interval_s)
        self._interval_s = min(self._interval_s * _BACK_OFF, _LONGEST_INTERVAL_S)
