"""How late the event loop is: what a timer waits longer than it asked, every event waits, too."""

import asyncio
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

import structlog

from rooms.ports import Clock

log = structlog.get_logger(__name__)

EVERY_S: Final = 0.1
# Ten seconds.
_TICKS: Final = 100
# Of the loop's own work no turn takes as long.
_LATE_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Lag:
    """Of the last ten seconds, in seconds. All 0 before the first tick."""

    p50_s: float
    p99_s: float
    max_s: float


class LagMeter:
    """Measures from `start` to `stop`. Owned by the event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._lags_s = array("d", bytes(8 * _TICKS))
        self._ticks = 0
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to measure."""
        self._due_s = self._clock.monotonic() + EVERY_S
        self._timer = self._loop.call_later(EVERY_S, self._tick)

    def stop(self) -> None:
        """Measure no more; what was measured stays."""
        if self._timer is not None:
            self._timer.cancel()

    def lag(self) -> Lag:
        """The figures now. O(100 log 100)."""
        return lag_of(self._lags_s[: self._ticks])

    @property
    def whole(self) -> bool:
        """Whether ten seconds are measured: before, a p99 is the one latest tick."""
        return self._ticks >= _TICKS

    def note(self, lag_s: float) -> None:
        """One tick came so late; it takes the place of the one of ten seconds ago."""
        self._lags_s[self._ticks % _TICKS] = lag_s
        self._ticks += 1
        if lag_s > _LATE_S:
            log.debug("loop.late", lag_ms=round(1000 * lag_s))

    def _tick(self) -> None:
        self.note(max(0.0, self._clock.monotonic() - self._due_s))
        self.start()


def lag_of(lags_s: Sequence[float]) -> Lag:
    """Nearest ranks: the p99 of a hundred is the second largest. Pure."""
    if not lags_s:
        return Lag(0.0, 0.0, 0.0)
    ordered = sorted(lags_s)
    rank = len(ordered) / 100
    return Lag(ordered[ceil(50 * rank) - 1], ordered[ceil(99 * rank) - 1], ordered[-1])
