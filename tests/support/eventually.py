"""Waiting without sleeping blind: a wait says what never happened."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")

_STEP_S = 0.02


@overload
async def eventually(
    check: Callable[[], Awaitable[T]], what: str = ..., *, within: float = ...
) -> T: ...
@overload
async def eventually(check: Callable[[], T], what: str = ..., *, within: float = ...) -> T: ...
async def eventually(
    check: Callable[[], object], what: str = "", *, within: float = 10.0
) -> object:
    """Call `check` until it returns something true or stops raising AssertionError; its result.

    Fails with the last reason after `within` seconds.
    """
    deadline = asyncio.get_running_loop().time() + within
    while True:
        reason: object
        try:
            outcome = check()
            result = await outcome if inspect.isawaitable(outcome) else outcome
            if result:
                return result
            reason = result
        except AssertionError as error:
            reason = error
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not within {within} s: {what or check.__name__}: {reason}")
        await asyncio.sleep(_STEP_S)
