"""Whether the server has more to do than it can, so that newcomers wait before calls suffer.

Owned by the event loop; `look` is called once a second. Who is let in all the same is for
`signaling.admission` to say.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

import structlog

from rooms.ports import Clock
from signaling.lag import LagMeter

log = structlog.get_logger(__name__)

# loop: events wait too long. relay: its thread hardly rests. people: there are as many as may be.
Reason: TypeAlias = Literal["loop", "relay", "people"]
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)

# Of a limit that was passed: who waits comes back at once, and would bring the load up again.
_CALM: Final = 0.75
# But calls that last may keep it between the two, where it is not too much.
_HOLDS_S: Final = 30.0
# One busy second is no load; so many in a row are.
_RELAY_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Load:
    """What is measured.

    lag_s: of the event loop, the 99th percentile of ten seconds.
    relay_share: of the relay thread's time that it was at work, 0..1.
    """

    lag_s: float
    relay_share: float


@dataclass(frozen=True, slots=True)
class Limits:
    """From when on it is too much. people: in rooms, of all sessions."""

    lag_s: float
    relay_share: float
    people: int


def exceeded(load: Load, limits: Limits, before: frozenset[Reason]) -> frozenset[Reason]:
    """What is too much now, and what still is of what was too much before. Pure."""
    found: set[Reason] = set()
    if load.lag_s >= limits.lag_s * (_CALM if "loop" in before else 1):
        found.add("loop")
    if load.relay_share >= limits.relay_share * (_CALM if "relay" in before else 1):
        found.add("relay")
    return frozenset(found)


class Overload:
    """What is too much at present.

    relay_busy_s: how long the relay's thread was at work, ever. people: how many are in rooms.
    """

    def __init__(
        self,
        limits: Limits,
        clock: Clock,
        lag: LagMeter,
        relay_busy_s: Callable[[], float],
        people: Callable[[], int],
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._lag = lag
        self._relay_busy_s = relay_busy_s
        self._people = people
        self._looks: deque[tuple[float, float]] = deque(maxlen=_RELAY_SECONDS + 1)
        self._exceeded: frozenset[Reason] = frozenset()
        self._exceeded_at: dict[Reason, float] = {}  # when each was above its limit last

    @property
    def reasons(self) -> frozenset[Reason]:
        """Empty while there is room. What is measured is as of the last look. O(sessions)."""
        # Counted, not measured: one less is one who may come.
        if self._people() >= self._limits.people:
            return self._exceeded | {"people"}
        return self._exceeded

    async def look(self) -> None:
        """Measure. To be called once a second."""
        now_s = self._clock.monotonic()
        self._looks.append((now_s, self._relay_busy_s()))
        load, before = Load(self._lag_s(), self._relay_share()), self._exceeded
        for reason in exceeded(load, self._limits, frozenset()):
            self._exceeded_at[reason] = now_s
        held = {reason for reason in before if now_s - self._exceeded_at[reason] < _HOLDS_S}
        self._exceeded = exceeded(load, self._limits, frozenset(held))
        if self._exceeded != before:
            log.warning(
                "overload.changed",
                reasons=sorted(self._exceeded),
                lag_ms=round(1000 * load.lag_s),
                relay_percent=round(100 * load.relay_share),
            )

    # A start is no load: what has not been watched for long enough is nothing yet.

    def _lag_s(self) -> float:
        return self._lag.lag().p99_s if self._lag.whole else 0.0

    def _relay_share(self) -> float:
        if len(self._looks) <= _RELAY_SECONDS:
            return 0.0
        (since_s, before_s), (now_s, busy_s) = self._looks[0], self._looks[-1]
        return (busy_s - before_s) / (now_s - since_s) if now_s > since_s else 0.0
