"""A participant made of libwebrtc, and what a test asks of it."""

import asyncio
from collections.abc import Callable
from typing import Final, Self

from scripts.client.libwebrtc import Layer, Received, WrtcClient
from scripts.client.offer import Kind
from tests.support.eventually import eventually

__all__ = ["Layer", "Person", "Received"]

# How long a picture is looked at to see whether it moves: three frames at the slowest rate.
_LOOK_S: Final = 0.3


class Person(WrtcClient):
    """Use as an async context manager, which joins and leaves."""

    async def __aenter__(self) -> Self:
        try:
            await self.join()
            await self.connect()
            self.send()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def sees(self, count: int, *, within: float = 10.0) -> None:
        """So many pictures move: frames of each are decoded meanwhile."""
        await self._grow("video", count, lambda each: each.frames, within)

    async def hears(self, count: int, *, within: float = 10.0) -> None:
        """So many people are heard: the energy of each one's sound grows meanwhile."""
        await self._grow("audio", count, lambda each: each.energy, within)

    async def _grow(
        self, kind: Kind, count: int, value: Callable[[Received], float], within: float
    ) -> None:
        async def all_grow() -> bool:
            before = {each.mid: value(each) for each in await self.received(kind)}
            await asyncio.sleep(_LOOK_S)
            now = {each.mid: value(each) for each in await self.received(kind)}
            growing = [mid for mid, total in now.items() if total > before.get(mid, 0)]
            assert len(growing) == count, f"{kind} went from {before} to {now}"
            return True

        await eventually(all_grow, f"{count} times {kind}", within=within)
