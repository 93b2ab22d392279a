"""What is too much for the server, from measured load to a verdict."""

import pytest

from rooms.clock import SystemClock
from signaling.lag import LagMeter
from signaling.overload import Limits, Load, Overload, Reason, exceeded
from tests.support.fake_clock import FakeClock

LIMITS = Limits(lag_s=0.2, relay_share=0.8, people=4)
NOTHING: frozenset[Reason] = frozenset()


class Machine:
    """A server's load, as a test sets it; a second goes by before each look."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.lag = LagMeter(SystemClock())
        self.busy_s = 0.0
        self.people = 0
        self.overload = Overload(
            LIMITS, self.clock, self.lag, lambda: self.busy_s, lambda: self.people
        )

    async def seconds(self, count: int, relay_share: float) -> frozenset[Reason]:
        """The reasons after so many seconds of this."""
        for _ in range(count):
            self.clock.advance(1)
            self.busy_s += relay_share
            await self.overload.look()
        return self.overload.reasons


@pytest.fixture
async def machine() -> Machine:
    return Machine()


@pytest.mark.parametrize(
    ("load", "reasons"),
    [
        (Load(0.0, 0.0), set()),
        (Load(0.199, 0.79), set()),
        (Load(0.2, 0.0), {"loop"}),
        (Load(0.0, 0.8), {"relay"}),
        (Load(1.0, 1.0), {"loop", "relay"}),
    ],
)
def test_a_limit_that_is_reached_is_too_much(load: Load, reasons: set[Reason]) -> None:
    assert exceeded(load, LIMITS, NOTHING) == reasons


@pytest.mark.parametrize(
    ("reason", "still", "no_more"),
    [
        ("loop", Load(0.151, 0.0), Load(0.149, 0.0)),
        ("relay", Load(0.0, 0.61), Load(0.0, 0.59)),
    ],
)
def test_what_was_too_much_stays_so_until_it_is_a_quarter_below_the_limit(
    reason: Reason, still: Load, no_more: Load
) -> None:
    assert exceeded(still, LIMITS, NOTHING) == NOTHING
    assert exceeded(still, LIMITS, frozenset({reason})) == {reason}
    assert exceeded(no_more, LIMITS, frozenset({reason})) == NOTHING


async def test_before_anything_was_measured_there_is_room(machine: Machine) -> None:
    assert machine.overload.reasons == NOTHING


async def test_a_relay_that_hardly_rests_is_too_much_until_it_does(machine: Machine) -> None:
    assert await machine.seconds(6, relay_share=0.5) == NOTHING
    assert await machine.seconds(6, relay_share=0.9) == {"relay"}
    assert await machine.seconds(6, relay_share=0.7) == {"relay"}
    assert await machine.seconds(6, relay_share=0.5) == NOTHING


async def test_calls_that_last_below_the_limit_keep_newcomers_out_for_half_a_minute(
    machine: Machine,
) -> None:
    assert await machine.seconds(11, relay_share=0.9) == {"relay"}
    assert await machine.seconds(25, relay_share=0.7) == {"relay"}
    assert await machine.seconds(10, relay_share=0.7) == NOTHING


async def test_a_start_is_no_load(machine: Machine) -> None:
    machine.lag.note(0.3)
    assert await machine.seconds(2, relay_share=1.0) == NOTHING


async def test_one_busy_second_of_the_relay_is_no_load(machine: Machine) -> None:
    await machine.seconds(6, relay_share=0.5)
    assert await machine.seconds(1, relay_share=1.0) == NOTHING


async def test_a_loop_that_is_late_is_too_much(machine: Machine) -> None:
    for _ in range(99):
        machine.lag.note(0.001)
    machine.lag.note(0.3)
    assert await machine.seconds(1, relay_share=0.0) == NOTHING, "one late turn is no load"
    machine.lag.note(0.3)
    assert await machine.seconds(1, relay_share=0.0) == {"loop"}


async def test_people_are_counted_when_somebody_asks(machine: Machine) -> None:
    machine.people = 4
    assert machine.overload.reasons == {"people"}
    machine.people = 3
    assert machine.overload.reasons == NOTHING
