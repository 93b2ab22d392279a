"""The arithmetic on what the pump counted."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.pump import Figures
from scripts.pump.figures import BUCKETS, bucket_floor_us


def figures(delays: tuple[int, ...] = (), **counts: int) -> Figures:
    return Figures(**counts, delays=delays)


def test_buckets_are_exact_below_64_us() -> None:
    assert [bucket_floor_us(index) for index in range(64)] == list(range(64))


def test_buckets_never_go_back_and_are_at_most_a_thirty_second_wide() -> None:
    floors = [bucket_floor_us(index) for index in range(BUCKETS)]
    for low, high in pairwise(floors):
        assert low < high <= low + max(1, low / 32)


@given(st.lists(st.integers(0, 40), min_size=1), st.sampled_from([1, 50, 90, 99, 100]))
def test_a_percentile_is_the_nearest_rank(counts: list[int], percentile: int) -> None:
    values = [bucket_floor_us(index) for index, count in enumerate(counts) for _ in range(count)]
    measured = figures(delays=tuple(counts)).delay_us(percentile)
    if not values:
        assert measured is None
    else:
        assert measured == values[max(1, -(-len(values) * percentile // 100)) - 1]


def test_a_period_is_the_difference_of_two_totals() -> None:
    before = figures(delays=(1, 0, 2), sent=10, received=9)
    after = figures(delays=(1, 4, 2), sent=30, received=25)
    period = after.since(before)
    assert (period.sent, period.received) == (20, 16)
    assert period.delays == (0, 4, 0)
    assert before.plus(period) == after
    assert period.delay_us(50) == 1


@pytest.mark.parametrize(
    ("expected", "received", "loss"),
    [(0, 0, 0.0), (100, 75, 0.25), (200, 150, 0.25), (100, 101, 0.0)],
)
def test_loss_is_of_what_every_receiver_should_get(
    expected: int, received: int, loss: float
) -> None:
    assert figures(expected=expected, received=received).loss() == loss


def test_what_is_held_back_leaves_no_gap_and_is_not_missing() -> None:
    held_back = figures(expected=400, received=99, missing=1)
    assert held_back.missing_share() == 0.01
    assert held_back.delivered() == 99 / 400
    assert figures().delivered() is None
    assert figures(received=10, missing=-1).missing_share() == 0
