"""One line over two axes as SVG text. Pure."""

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

Points = Sequence[tuple[float, float]]

_WIDTH: Final = 420
_HEIGHT: Final = 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 14, 40
_TICKS: Final = 4
# More would not be seen, and make a page of megabytes.
_MOST_POINTS: Final = 500


def line(points: Points, x_label: str, y_label: str, *, y_most: float | None = None) -> str:
    """An <svg> of the points, in their order, both axes from 0; y_most: the y axis' end.

    Raises ValueError for no points.
    """
    x_end = nice_end(max(x for x, _ in points))
    y_end = y_most or nice_end(max(y for _, y in points))
    return "".join(_svg(thinned(points), x_end, y_end, x_label, y_label))


def shares(values: Sequence[float]) -> list[tuple[float, float]]:
    """For each value, in order, which share (0..1) of all is not above it."""
    return [(value, (i + 1) / len(values)) for i, value in enumerate(sorted(values))]


def nice_end(most: float) -> float:
    """The least of 1, 2, 2.5, 5 times a power of ten that is not below `most`; 1 for 0."""
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= most)


def thinned(points: Points) -> Points:
    """At most _MOST_POINTS of them, the first and the last among these."""
    if len(points) <= _MOST_POINTS:
        return points
    step = (len(points) - 1) / (_MOST_POINTS - 1)
    return [points[round(i * step)] for i in range(_MOST_POINTS)]


def _svg(points: Points, x_end: float, y_end: float, x_label: str, y_label: str) -> Iterator[str]:
    inner_w, inner_h = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    said = escape(f"{y_label} by {x_label}", quote=True)
    yield f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{said}">'
    for tick in range(_TICKS + 1):
        x, y = _LEFT + inner_w * tick / _TICKS, _TOP + inner_h * (1 - tick / _TICKS)
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
        yield f"{y_end * tick / _TICKS:g}</text>"
        yield f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">'
        yield f"{x_end * tick / _TICKS:g}</text>"
    yield f'<text x="{_LEFT + inner_w / 2:.1f}" y="{_HEIGHT - 6}" text-anchor="middle">'
    yield f"{escape(x_label)}</text>"
    places = " ".join(
        f"{_LEFT + inner_w * x / x_end:.1f},{_TOP + inner_h * (1 - min(y / y_end, 1)):.1f}"
        for x, y in points
    )
    yield f'<polyline points="{places}"/></svg>'
