"""Answers a second, and how long they take."""

import asyncio
from functools import partial

from scripts.bench.asking import answer_times_ms, answers_per_second, over_in


async def test_all_who_ask_take_turns() -> None:
    asked = [0, 0, 0]

    async def ask(which: int) -> None:
        asked[which] += 1
        await asyncio.sleep(0)

    rate = await answers_per_second([partial(ask, which) for which in range(3)], seconds=0.05)
    assert rate > 0
    assert max(asked) - min(asked) <= 1


async def test_whoever_is_due_while_the_server_stalls_waits_for_all_of_it() -> None:
    stalled = asyncio.Event()

    async def ask() -> None:
        await stalled.wait()

    asyncio.get_running_loop().call_later(0.1, stalled.set)
    times_ms = await answer_times_ms([ask], per_second=100, over=over_in(0.15))
    # Due every 10 ms, of which the first waits 100 ms, the next 90, and so on.
    assert len(times_ms) >= 10
    assert max(times_ms) >= 90
    assert 40 <= sorted(times_ms, reverse=True)[5] <= 80


async def test_after_the_end_nobody_asks() -> None:
    asked = 0

    async def ask() -> None:
        nonlocal asked
        asked += 1

    over = asyncio.Event()
    over.set()
    assert await answer_times_ms([ask], per_second=1000, over=over) == []
    assert asked == 0
