"""Whether memory grows and whether everything was given back. Pure.

Memory is looked at while the server rests: then it holds nobody, so what it holds more of
than at the last rest is lost, or kept by an allocator. The slope over the rests is told with
its uncertainty, because five minutes do not tell 1 MB an hour from 2.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Final

MOST_MB_PER_HOUR: Final = 1.0
# What an allocator takes of the system at once (CPython: arenas of 1 MiB). A step is no slope.
GRAIN_MB: Final = 1.05
# Two-sided confidence of the interval: one run in forty cries wolf.
_Z_95: Final = 1.96
FEWEST_RESTS: Final = 8


@dataclass(frozen=True, slots=True)
class Rest:
    """at_s: since the begin. rss_bytes, counts: what the server said of itself."""

    at_s: float
    rss_bytes: float
    counts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Slope:
    """low..high: where the true slope lies in 95 of 100 runs."""

    value: float
    low: float
    high: float


def slope(points: Sequence[tuple[float, float]]) -> Slope:
    """The median of the slopes between any two of at least three points (x, y), x growing.

    Source: P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau" (1968).
    O(n²); a few points out of line do not move it.
    """
    slopes = sorted((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2))
    n = len(points)
    spread = _Z_95 * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = max(0, round((len(slopes) - spread) / 2))
    high = min(len(slopes) - 1, round((len(slopes) + spread) / 2))
    return Slope(median(slopes), slopes[low], slopes[high])


@dataclass(frozen=True, slots=True)
class Verdict:
    """mb_per_hour: of resident memory. tells_mb_per_hour: what a leak must lose for a run of this
    length to be sure of it. faults: each a line for a person; none when all is well.
    """

    mb_per_hour: Slope
    tells_mb_per_hour: float
    faults: Sequence[str]


def judge(rests: Sequence[Rest]) -> Verdict:
    """rests: those after the warm-up, FEWEST_RESTS at least; the first is the baseline.

    Memory is at fault only where the whole interval is above MOST_MB_PER_HOUR, and would be had
    it not grown by GRAIN_MB.
    """
    grown = slope([(rest.at_s / 3600, rest.rss_bytes / 1e6) for rest in rests])
    grain = GRAIN_MB / ((rests[-1].at_s - rests[0].at_s) / 3600)
    faults: list[str] = []
    if grown.low - grain > MOST_MB_PER_HOUR:
        faults.append(
            f"memory grows by {grown.value:.1f} MB/h, by {grown.low - grain:.1f} at the least: "
            f"{MOST_MB_PER_HOUR:.0f} is the most"
        )
    before, after = rests[0].counts, rests[-1].counts
    faults += [
        f"{name}: {after[name]:.0f} at the end, {before[name]:.0f} before"
        for name in before
        if after[name] > before[name]
    ]
    tells = MOST_MB_PER_HOUR + grain + (grown.value - grown.low)
    return Verdict(grown, tells, faults)
