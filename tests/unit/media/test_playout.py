"""How long pictures are held back, from what is lost and how far away the other end is."""

import pytest

from media.playout import Leg, is_news

RTT_US = 100_000


def observed(leg: Leg, totals: list[int], start: float = 0.0, every: float = 0.2) -> list[int]:
    return [leg.observe(start + every * n, total, RTT_US) for n, total in enumerate(totals)]


def test_a_leg_that_loses_nothing_holds_nothing_back() -> None:
    assert observed(Leg(), [0] * 100) == [0] * 100


def test_what_was_lost_before_the_first_look_is_no_loss() -> None:
    assert observed(Leg(), [1000, 1000]) == [0, 0]


def test_a_loss_here_and_there_holds_nothing_back() -> None:
    """Two in ten seconds, for a minute."""
    assert not any(observed(Leg(), list(range(12)), every=5.0))


def test_the_third_loss_in_ten_seconds_holds_pictures_back_for_the_second_answer() -> None:
    assert observed(Leg(), [0, 1, 2, 3]) == [0, 0, 0, 190]


def test_a_burst_counts_as_often_as_it_lost() -> None:
    assert observed(Leg(), [0, 50]) == [0, 190]


def test_pictures_come_at_once_again_ten_seconds_after_the_last_losses() -> None:
    leg = Leg()
    observed(leg, [0, 5])
    assert leg.observe(10.1, 5, RTT_US) == 190
    assert leg.observe(10.3, 5, RTT_US) == 0


@pytest.mark.parametrize(
    ("round_trip_us", "held_ms"), [(-1, 0), (0, 0), (1000, 42), (20_000, 70), (2_000_000, 300)]
)
def test_the_wait_follows_the_round_trip_up_to_a_bound(round_trip_us: int, held_ms: int) -> None:
    leg = Leg()
    leg.observe(0, 0, round_trip_us)
    assert leg.observe(0.2, 9, round_trip_us) == held_ms


def test_a_total_that_falls_begins_anew() -> None:
    assert observed(Leg(), [10, 2, 3, 4]) == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("told_ms", "wanted_ms", "news"),
    [(0, 0, False), (0, 42, True), (190, 200, False), (190, 150, True), (20, 0, True)],
)
def test_only_a_change_that_matters_is_told(told_ms: int, wanted_ms: int, news: bool) -> None:
    assert is_news(told_ms, wanted_ms) is news
