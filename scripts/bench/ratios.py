"""Figures of two sizes and of two servers, as flat figures with their ratios. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# Suffixes of a figure's name: its ratio to the yardstick's, and to itself at a tenth of the load.
TO_BARE: Final = "to_bare"
GROWTH: Final = "growth"


def compared(
    part: str,
    ours: "Sequence[DataclassInstance]",
    theirs: "Sequence[DataclassInstance]" = (),
) -> dict[str, float]:
    """`part.figure` at full load, with `.growth` from the small load to the full one, and
    `.to_bare` beside `bare_part.figure`.

    ours, theirs: the same dataclass of floats at the small load and at the full one; theirs:
    the yardstick's, where there is one. A ratio to 0 is left out.
    """
    figures = _grown(part, ours)
    if theirs:
        bare = _grown(f"bare_{part}", theirs)
        figures |= bare
        for field in asdict(ours[-1]):
            figures |= _ratio(
                f"{part}.{field}.{TO_BARE}",
                figures[f"{part}.{field}"],
                bare[f"bare_{part}.{field}"],
            )
    return figures


def _grown(part: str, levels: "Sequence[DataclassInstance]") -> dict[str, float]:
    small, full = asdict(levels[0]), asdict(levels[-1])
    figures: dict[str, float] = {}
    for field, value in full.items():
        figures[f"{part}.{field}"] = value
        figures |= _ratio(f"{part}.{field}.{GROWTH}", value, small[field])
    return figures


def _ratio(name: str, value: float, of: float) -> Mapping[str, float]:
    return {name: value / of} if of else {}
