"""How good one participant's connection is, in one word. Pure: figures of each second in.

The figures of the last seconds are graded, the worst of them counts, and the word follows the
grade with hysteresis: a bar that flickers says less than one that is a few seconds late. It
falls sooner than it rises, since whoever loses a call wants to know why.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean, median
from typing import Final

from media.news import Quality

INTERVAL_S: Final = 1.0
"""How often `Score.add` is to be called."""

_WORDS: Final[tuple[Quality, ...]] = ("good", "fair", "poor")
# Browsers report once a second for pictures, once in five for sound alone.
_WINDOW: Final = 5
# Packets below which a share of loss is chance: one of them lost would be 5 %.
_FEWEST_PACKETS: Final = 20
_FALLS_AFTER: Final = 2
_RISES_AFTER: Final = 5

# Above the first it is fair, above the second poor.
# Speech concealment begins to be heard near 2 % and hurts past 8 %.
_LOSS: Final = (0.02, 0.08)
# A browser's jitter buffer holds back three to four times the mean deviation (RFC 3550, A.8), so
# these are 100 and 300 ms more of delay: a third of what a conversation bears, and all of it.
_JITTER_MS: Final = (30.0, 75.0)
# A conversation suffers from some 300 ms of delay and stumbles past 600 (ITU-T G.114: up to
# 400 one way may do).
_ROUND_TRIP_MS: Final = (300.0, 600.0)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of one connection within about a second; None: it was not.

    arrived: packets of any kind. received, lost: media packets from the participant.
    loss_down: share of what was sent to it, 0..1, as it reports.
    """

    arrived: int
    received: int = 0
    lost: int = 0
    loss_down: float | None = None
    jitter_ms: float | None = None
    round_trip_ms: float | None = None


class Score:
    """The word for one connection; a new connection begins with a new one."""

    def __init__(self) -> None:
        self._figures: deque[Figures] = deque(maxlen=_WINDOW)
        self._grades: deque[int] = deque(maxlen=_RISES_AFTER)
        self._grade: int | None = None

    def add(self, figures: Figures) -> Quality | None:
        """Take the figures of one more second; None while they say nothing."""
        self._figures.append(figures)
        grade = _grade(self._figures)
        if grade is None:
            self._grades.clear()
        else:
            self._grades.append(grade)
            self._follow()
        return None if self._grade is None else _WORDS[self._grade]

    def _follow(self) -> None:
        now = list(self._grades)
        latest = now[-_FALLS_AFTER:]
        if len(latest) < _FALLS_AFTER:
            return
        if self._grade is None or min(latest) > self._grade:
            self._grade = min(latest)
        elif len(now) == _RISES_AFTER and max(now) < self._grade:
            self._grade = max(now)


def _grade(window: deque[Figures]) -> int | None:
    """0 good, 1 fair, 2 poor: the worst of what is known."""
    if len(window) == _WINDOW and not any(each.arrived for each in window):
        return 2
    received = sum(each.received for each in window)
    lost = sum(each.lost for each in window)
    loss_up = lost / (received + lost) if received + lost >= _FEWEST_PACKETS else None
    grades = [
        sum(value > limit for limit in limits)
        for value, limits in (
            (loss_up, _LOSS),
            (_over(fmean, (each.loss_down for each in window)), _LOSS),
            (_over(median, (each.jitter_ms for each in window)), _JITTER_MS),
            (_over(median, (each.round_trip_ms for each in window)), _ROUND_TRIP_MS),
        )
        if value is not None
    ]
    return max(grades, default=None)


def _over(average: Callable[[list[float]], float], values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return average(known) if known else None
