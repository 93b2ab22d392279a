"""A soak of a server with planted leaks finds each of them."""

import sys

import pytest

from scripts.soak.__main__ import soak
from scripts.soak.run import Pace

SECONDS = 30
BRISK = Pace(rooms_a_round=4, at_once=2, sends_s=0.1, rests_s=1.0)
LEAKY = (sys.executable, "-m", "tests.support.leaky_server", "serve")


@pytest.mark.timeout(180)
async def test_leaks_of_memory_descriptors_and_tasks_are_found() -> None:
    verdict, run = await soak(SECONDS, pace=BRISK, command=LEAKY)
    assert run.rooms > 30
    found = {fault.split(":")[0].split(" by ")[0] for fault in verdict.faults}
    assert found == {"memory grows", "descriptors", "tasks"}
