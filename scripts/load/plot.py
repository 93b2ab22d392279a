"""Points over two axes as SVG text, joined by a line or each a dot. Pure."""

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

Points = Sequence[tuple[float, float]]

_WIDTH: Final = 420
_HEIGHT: Final = 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 22, 40
_TICKS: Final = 4
# Quarters of each are short numbers.
_ENDS: Final = (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10)
# More would not be seen, and make a page of megabytes.
_MOST_POINTS: Final = 500


def line(points: Points, x_label: str, y_label: str, said: str, y_most: float | None = None) -> str:
    """An <svg> of the points, in their order, both axes from 0.

    said: what it shows, for who does not see it. y_most: the y axis' end.
    Raises ValueError for no points.
    """
    x_end, y_end = _ends(points, y_most)
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in _places(thinned(points), x_end, y_end))
    return _svg(f'<polyline points="{places}"/>', x_end, y_end, x_label, y_label, said)


def dots(points: Points, x_label: str, y_label: str, said: str) -> str:
    """The same, of points that have nothing between them; the highest one is always there.

    Raises ValueError for no points.
    """
    x_end, y_end = _ends(points, None)
    shown = [*thinned(points), max(points, key=lambda point: point[1])]
    marks = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in _places(shown, x_end, y_end)
    )
    return _svg("".join(marks), x_end, y_end, x_label, y_label, said)


def shares(values: Sequence[float]) -> list[tuple[float, float]]:
    """For each value, in order, which share (0..1) of all is not above it."""
    return [(value, (i + 1) / len(values)) for i, value in enumerate(sorted(values))]


def nice_end(most: float) -> float:
    """The least of _ENDS times a power of ten that is not below `most`; 1 for 0."""
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in _ENDS if step * power >= most)


def thinned(points: Points) -> Points:
    """At most _MOST_POINTS of them, the first and the last among these."""
    if len(points) <= _MOST_POINTS:
        return points
    step = (len(points) - 1) / (_MOST_POINTS - 1)
    return [points[round(i * step)] for i in range(_MOST_POINTS)]


def _ends(points: Points, y_most: float | None) -> tuple[float, float]:
    return (
        nice_end(max(x for x, _ in points)),
        y_most or nice_end(max(y for _, y in points)),
    )


def _places(points: Points, x_end: float, y_end: float) -> Iterator[tuple[float, float]]:
    """In the drawing; what is above an axis' end is at its end."""
    inner_w, inner_h = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    for x, y in points:
        yield _LEFT + inner_w * x / x_end, _TOP + inner_h * (1 - min(max(y, 0) / y_end, 1))


def _svg(marks: str, x_end: float, y_end: float, x_label: str, y_label: str, said: str) -> str:
    return "".join(
        (
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(said)}">',
            *_axes(x_end, y_end, x_label, y_label),
            marks,
            "</svg>",
        )
    )


def _axes(x_end: float, y_end: float, x_label: str, y_label: str) -> Iterator[str]:
    inner_w, inner_h = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    for tick in range(_TICKS + 1):
        x, y = _LEFT + inner_w * tick / _TICKS, _TOP + inner_h * (1 - tick / _TICKS)
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
        yield f"{y_end * tick / _TICKS:g}</text>"
        yield f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">'
        yield f"{x_end * tick / _TICKS:g}</text>"
    yield f'<text x="{_LEFT + inner_w / 2:.1f}" y="{_HEIGHT - 6}" text-anchor="middle">'
    yield f"{escape(x_label)}</text>"
    yield f'<text class="unit" x="{_LEFT}" y="10">{escape(y_label)}</text>'
