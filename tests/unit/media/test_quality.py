"""A connection's word, from the figures of each second."""

import itertools
from collections.abc import Iterable
from dataclasses import replace

import pytest

from media.news import Quality
from media.quality import Figures, Score

# Sound and a picture both ways, as on a good line.
FINE = Figures(arrived=150, received=130, lost=0, loss_down=0.0, jitter_ms=3.0, round_trip_ms=30.0)


def words(score: Score, figures: Iterable[Figures]) -> list[Quality | None]:
    return [score.add(each) for each in figures]


def settled(figures: Figures) -> Quality | None:
    """The word once the same figures have come for long."""
    return words(Score(), [figures] * 20)[-1]


def test_a_good_line_is_good_after_two_seconds() -> None:
    assert words(Score(), [FINE] * 3) == [None, "good", "good"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"lost": 2}, "good"),
        ({"lost": 5}, "fair"),
        ({"lost": 13}, "poor"),
        ({"loss_down": 0.02}, "good"),
        ({"loss_down": 0.05}, "fair"),
        ({"loss_down": 0.10}, "poor"),
        ({"jitter_ms": 25.0}, "good"),
        ({"jitter_ms": 40.0}, "fair"),
        ({"jitter_ms": 90.0}, "poor"),
        ({"round_trip_ms": 250.0}, "good"),
        ({"round_trip_ms": 400.0}, "fair"),
        ({"round_trip_ms": 900.0}, "poor"),
        ({"lost": 5, "round_trip_ms": 900.0}, "poor"),
    ],
)
def test_the_worst_figure_decides(change: dict[str, float], word: Quality) -> None:
    assert settled(replace(FINE, **change)) == word  # type: ignore[arg-type]


def test_nothing_measured_is_not_known() -> None:
    assert settled(Figures(arrived=3)) is None


def test_a_few_packets_make_no_share_of_loss() -> None:
    assert settled(Figures(arrived=3, received=2, lost=1)) is None


def test_a_connection_from_which_nothing_comes_is_poor() -> None:
    score = Score()
    words(score, [FINE] * 5)
    silent = Figures(arrived=0, round_trip_ms=30.0)
    assert words(score, [silent] * 6)[-1] == "poor"


def test_one_bad_second_on_a_good_line_is_not_told() -> None:
    score = Score()
    words(score, [FINE] * 10)
    lossy = replace(FINE, loss_down=0.09)
    assert set(words(score, [lossy, *[FINE] * 10])) == {"good"}


def test_a_line_that_turns_bad_is_told_within_three_seconds() -> None:
    score = Score()
    words(score, [FINE] * 10)
    bad = replace(FINE, received=100, lost=30, loss_down=0.25)
    assert words(score, [bad] * 4)[-2:] == ["poor", "poor"]


def test_it_rises_only_after_five_better_seconds() -> None:
    score = Score()
    words(score, [replace(FINE, round_trip_ms=900.0)] * 10)
    back = words(score, [FINE] * 12)
    assert back.index("good") >= 5
    assert "fair" not in back


def test_figures_that_swing_about_a_limit_do_not_make_it_flicker() -> None:
    score = Score()
    swing = [replace(FINE, round_trip_ms=290.0 + 20.0 * (n % 2)) for n in range(60)]
    told = [word for word in words(score, swing) if word is not None]
    changes = sum(one != other for one, other in itertools.pairwise(told))
    assert changes <= 1


def test_a_gap_in_the_figures_keeps_the_word() -> None:
    score = Score()
    words(score, [FINE] * 10)
    assert set(words(score, [Figures(arrived=5)] * 10)) == {"good"}
