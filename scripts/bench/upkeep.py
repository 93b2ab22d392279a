"""Part "rooms": what connected rooms take in which nobody sends anything."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from scripts.bench.cores import SERVER_CORE, CpuMeter, resident_mib
from scripts.bench.filling import Pair, fill_in_fresh_rooms, hear_each_other
from scripts.bench.ratios import compared
from scripts.bench.server import running_server

ROOMS: Final = 200
# 25 looks at what each downlink carries, five at how good it is.
_IDLE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Above an empty server. Beside timers and consent, the CPU is that of the looks at each
    connection's figures."""

    rss_kib_per_room: float
    cpu_ms_per_room_second: float


async def room_upkeep(tell: Callable[[str], None]) -> dict[str, float]:
    """RSS and CPU a two-person room, of a tenth of ROOMS and of all of them."""
    levels: list[Upkeep] = []
    async with running_server(SERVER_CORE) as server, AsyncExitStack() as stack:
        meter = CpuMeter(server.pid)
        empty_mib = resident_mib(server.pid)
        await fill_in_fresh_rooms(stack, server, 1)
        one_mib, one_share = resident_mib(server.pid), await meter.share_during(_idle())
        pairs: list[Pair] = []
        for rooms in (ROOMS // 10, ROOMS):
            tell(f"Filling {rooms} rooms")
            added = await fill_in_fresh_rooms(stack, server, rooms - len(pairs))
            pairs += added
            await hear_each_other(added)
            share = await meter.share_during(_idle())
            levels.append(
                Upkeep(
                    rss_kib_per_room=(resident_mib(server.pid) - one_mib) * 1024 / rooms,
                    cpu_ms_per_room_second=(share - one_share) * 1000 / rooms,
                )
            )
        full_mib = resident_mib(server.pid)
    return {
        "rooms.rss_mib_empty": empty_mib,
        "rooms.rss_mib_full": full_mib,
    } | compared("rooms", levels)


async def _idle() -> None:
    await asyncio.sleep(_IDLE_S)
