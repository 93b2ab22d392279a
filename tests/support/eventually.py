"""Waiting without sleeping blind: a wait says what never happened."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_STEP_S = 0.02


async def eventually(
    check: Callable[[], T | Awaitable[T]], what: str = "", *, within: float = 10.0
) -> T:
    """Call `check` until it returns something true or stops raising AssertionError; its result.

    Fails with the last reason after `within` seconds.
    """
    deadline = asyncio.get_running_loop().time() + within
    while True:
        reason: object
        try:
            outcome = check()
            result: T = await outcome if inspect.isawaitable(outcome) else outcome  # type: ignore[assignment]
            if result or result is None:
                return result
            reason = result
        except AssertionError as error:
            reason = error
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not within {within} s: {what or check.__name__}: {reason}")
        await asyncio.sleep(_STEP_S)
