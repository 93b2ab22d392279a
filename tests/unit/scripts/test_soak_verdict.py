"""What a soak says of figures: a leak is told from noise, and what is not given back is named."""

import random

import pytest

from scripts.soak.verdict import Rest, Slope, judge, slope

COUNTS = {"descriptors": 20.0, "tasks": 9.0}


def rests(
    mb_per_hour: float, *, noise_mb: float, minutes: float, every_s: float = 15.0
) -> list[Rest]:
    """A server that grows so fast, read every so often by a shaky hand."""
    shaky = random.Random(7)
    return [
        Rest(at_s, 1e6 * (130 + mb_per_hour * at_s / 3600 + shaky.gauss(0, noise_mb)), COUNTS)
        for at_s in (number * every_s for number in range(int(minutes * 60 / every_s)))
    ]


def test_a_straight_line_has_its_slope_and_no_doubt() -> None:
    assert slope([(x, 3.0 * x + 1) for x in range(10)]) == Slope(3.0, 3.0, 3.0)


def test_a_point_far_out_of_line_does_not_move_the_slope() -> None:
    points = [(float(x), 0.0) for x in range(12)]
    points[5] = (5.0, 1000.0)
    assert slope(points).value == 0.0


def test_the_true_slope_lies_within_the_interval_nearly_always() -> None:
    shaky = random.Random(11)
    within = 0
    for _ in range(200):
        found = slope([(x, 2.0 * x + shaky.gauss(0, 5)) for x in range(15)])
        within += found.low <= 2.0 <= found.high
    assert within >= 180


@pytest.mark.parametrize("mb_per_hour", [40.0, 100.0])
def test_a_leak_is_found_in_five_minutes(mb_per_hour: float) -> None:
    verdict = judge(rests(mb_per_hour, noise_mb=0.1, minutes=4))
    assert verdict.mb_per_hour.low > 1.0
    assert len(verdict.faults) == 1
    assert "memory grows" in verdict.faults[0]


def test_a_small_leak_is_found_in_hours() -> None:
    assert judge(rests(1.5, noise_mb=0.3, minutes=480, every_s=60)).faults


def test_a_step_of_the_allocator_is_no_leak() -> None:
    steady = [Rest(15.0 * n, 130e6 + (2**20 if n >= 8 else 0), COUNTS) for n in range(16)]
    assert judge(steady).faults == []


@pytest.mark.parametrize(("minutes", "most"), [(4, 30.0), (60, 3.0), (480, 1.5)])
def test_a_run_says_what_it_would_have_told(minutes: float, most: float) -> None:
    verdict = judge(rests(0.0, noise_mb=0.1, minutes=minutes, every_s=30))
    assert verdict.tells_mb_per_hour < most
    leaking = rests(1.2 * verdict.tells_mb_per_hour, noise_mb=0.1, minutes=minutes, every_s=30)
    assert judge(leaking).faults


def test_noise_is_no_leak() -> None:
    assert judge(rests(0.0, noise_mb=0.3, minutes=4)).faults == []


def test_what_cannot_be_told_from_the_limit_is_no_fault_and_is_said_to_be_open() -> None:
    verdict = judge(rests(1.5, noise_mb=0.3, minutes=4))
    assert verdict.faults == []
    assert verdict.mb_per_hour.high > 1.0


def test_a_count_that_does_not_come_back_is_named() -> None:
    taken = rests(0.0, noise_mb=0.0, minutes=4)
    taken[-1] = Rest(taken[-1].at_s, taken[-1].rss_bytes, COUNTS | {"descriptors": 21.0})
    assert judge(taken).faults == ["descriptors: 21 at the end, 20 before"]


def test_a_count_that_falls_is_no_fault() -> None:
    taken = rests(0.0, noise_mb=0.0, minutes=4)
    taken[-1] = Rest(taken[-1].at_s, taken[-1].rss_bytes, COUNTS | {"descriptors": 19.0})
    assert judge(taken).faults == []
