"""How long a viewer's pictures are held back, so that what is lost is there again in time. Pure.

A lost packet comes again a round trip after it is missed, and one in ten another round trip
later; a picture that is shown before stands until then. Browsers know the round trip of their own
leg alone, not the publisher's. Held back for both, pictures are steady. Sound follows them (lip
sync), so this is done only while packets are lost.
"""

from collections import deque
from typing import Final

# So many losses within this time: not one here and there.
_LOSSES: Final = 3
_WITHIN_S: Final = 10.0
# What it takes to miss a packet, to ask, and to send it again, beside the way.
_ANSWER_MS: Final = 40
# One that comes with the second answer stands for half a round trip, which the eye forgives.
_ROUND_TRIPS: Final = 1.5
# Beyond this, talking to each other suffers more than the picture gains.
_LEG_MOST_MS: Final = 300
# Each change shows as slower or faster motion.
_CHANGE_MS: Final = 30


class Leg:
    """One way that packets are lost on and sent again: a publisher's, or a viewer's."""

    def __init__(self) -> None:
        self._total: int | None = None
        self._lost_at: deque[float] = deque(maxlen=_LOSSES)

    def observe(self, now: float, total: int, round_trip_us: int) -> int:
        """How long a picture is to wait for what is lost on this leg, ms.

        now: seconds on a clock that never jumps. total: packets lost on it, ever; what is less
        than before begins anew. round_trip_us: -1 and 0 are not known.
        """
        before, self._total = self._total, total
        if before is not None:
            self._lost_at.extend([now] * min(total - before, _LOSSES))
        lossy = len(self._lost_at) == _LOSSES and now - self._lost_at[0] < _WITHIN_S
        if not lossy or round_trip_us <= 0:
            return 0
        return min(round(_ROUND_TRIPS * round_trip_us / 1000) + _ANSWER_MS, _LEG_MOST_MS)


def is_news(told_ms: int, wanted_ms: int) -> bool:
    """Whether the viewer is to be told another delay."""
    return abs(wanted_ms - told_ms) >= _CHANGE_MS or (wanted_ms == 0 and told_ms > 0)
