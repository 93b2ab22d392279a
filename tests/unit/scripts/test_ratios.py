"""Figures beside a yardstick's, and beside themselves at a tenth of the load."""

from dataclasses import dataclass

from scripts.bench.ratios import compared


@dataclass(frozen=True, slots=True)
class Level:
    delay_ms: float
    loss: float


def test_a_figure_is_that_of_the_full_load_and_grew_from_the_small_one() -> None:
    assert compared("part", [Level(2.0, 0.5), Level(3.0, 0.25)]) == {
        "part.delay_ms": 3.0,
        "part.delay_ms.growth": 1.5,
        "part.loss": 0.25,
        "part.loss.growth": 0.5,
    }


def test_the_yardstick_is_kept_and_divided_by() -> None:
    figures = compared("part", [Level(2, 1), Level(3, 1)], [Level(1, 1), Level(1.5, 2)])
    assert figures["bare_part.delay_ms"] == 1.5
    assert figures["bare_part.delay_ms.growth"] == 1.5
    assert figures["part.delay_ms.to_bare"] == 2.0
    assert figures["part.loss.to_bare"] == 0.5


def test_nothing_is_divided_by_nothing() -> None:
    figures = compared("part", [Level(2, 0), Level(3, 0)], [Level(1, 0), Level(1, 0)])
    assert "part.loss.growth" not in figures
    assert "part.loss.to_bare" not in figures
