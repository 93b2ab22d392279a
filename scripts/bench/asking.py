"""How fast a server answers many who ask: at most, and at a steady rate."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle
from typing import Final

# Asks one question and waits for its answer.
Ask = Callable[[], Awaitable[object]]

# Answers under way at any moment: enough that the server always has the next one.
_IN_FLIGHT: Final = 32


async def answers_per_second(asks: Sequence[Ask], seconds: float) -> float:
    """Each answer is followed by the next question, each time of another one of those who ask."""
    turn, answered = cycle(asks), 0
    until = time.monotonic() + seconds

    async def go_on() -> None:
        nonlocal answered
        while time.monotonic() < until:
            await next(turn)()
            answered += 1

    started = time.monotonic()
    await asyncio.gather(*(go_on() for _ in range(_IN_FLIGHT)))
    return answered / (time.monotonic() - started)


async def answer_times_ms(
    asks: Sequence[Ask], per_second: float, over: asyncio.Event
) -> list[float]:
    """How long each answer took, in ms, from when its question was due, until `over` is set.

    A question is asked when it is due, whether or not those before are answered: a server that
    stalls is late with all of them.
    """
    times_ms: list[float] = []

    async def ask(one: Ask, due: float) -> None:
        await one()
        times_ms.append((time.monotonic() - due) * 1000)

    began = time.monotonic()
    async with asyncio.TaskGroup() as under_way:
        for number, one in enumerate(cycle(asks)):
            due = began + number / per_second
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if over.is_set():
                break
            under_way.create_task(ask(one, due))
    return times_ms


def over_in(seconds: float) -> asyncio.Event:
    """An event that is set after so long."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    return over
