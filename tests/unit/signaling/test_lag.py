"""How late the event loop is."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from rooms.clock import SystemClock
from signaling.lag import EVERY_S, Lag, LagMeter, lag_of
from tests.support.eventually import eventually


@pytest.fixture
async def meter() -> AsyncIterator[LagMeter]:
    running = LagMeter(SystemClock())
    running.start()
    yield running
    running.stop()


def test_of_a_hundred_the_p99_is_the_second_largest() -> None:
    assert lag_of([*range(98), 500.0, 900.0]) == Lag(49.0, 500.0, 900.0)


def test_of_one_all_figures_are_that_one() -> None:
    assert lag_of([0.25]) == Lag(0.25, 0.25, 0.25)


async def test_before_the_first_tick_nothing_is_late() -> None:
    assert LagMeter(SystemClock()).lag() == Lag(0.0, 0.0, 0.0)


async def test_a_turn_that_blocks_the_loop_is_measured(meter: LagMeter) -> None:
    blocked_s = 3 * EVERY_S
    asyncio.get_running_loop().call_soon(time.sleep, blocked_s)

    # A tick was due within EVERY_S of when it began.
    await eventually(lambda: meter.lag().max_s >= blocked_s - EVERY_S - 0.01, "a late tick")


async def test_a_late_turn_is_forgotten_after_ten_seconds() -> None:
    meter = LagMeter(SystemClock())
    meter.note(0.3)
    for _ in range(99):
        meter.note(0.0)
    assert meter.lag().max_s == 0.3

    meter.note(0.0)

    assert meter.lag() == Lag(0.0, 0.0, 0.0)
