"""Part "end": from the click on End session until the last page knows, while others go on."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from typing import Final

import aiohttp

from scripts.bench.bare_signaling import BareClient, running_bare_signaling
from scripts.bench.cores import SERVER_CORE
from scripts.bench.filling import Pair, fill_in_fresh_rooms
from scripts.bench.ratios import compared
from scripts.bench.server import running_server
from scripts.client.peer import Peer
from scripts.load.report import percentile
from scripts.pump import Pump

ROOMS: Final = 500
ENDS: Final = 100
# Of all who are in rooms together: each leg has something to drop when a room ends.
PACKETS_PER_SECOND: Final = 4000.0
_KNOWN_WITHIN_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Fanout:
    p50_ms: float
    p99_ms: float


async def end_fanout(tell: Callable[[str], None]) -> dict[str, float]:
    """ENDS ends, one after the other, while a tenth of ROOMS are live; and while ROOMS are.

    Everybody is connected and sends. Bare: one durable row, then a word to both.
    """
    tell("Ending bare rooms")
    bare = await _bare()
    levels: list[Fanout] = []
    async with running_server(SERVER_CORE) as server, AsyncExitStack() as stack:
        pump, pairs = Pump(), list[Pair]()
        for live in (ROOMS // 10, ROOMS):
            tell(f"Filling {live + ENDS} rooms")
            added = await fill_in_fresh_rooms(stack, server, live + ENDS - len(pairs))
            # Last in, first out: the pump reads the sockets until it stops.
            stack.callback(pump.stop)
            for pair in added:
                for peer in pair:
                    peer.send_by(pump)
            pairs += added
            pump.start(PACKETS_PER_SECOND)
            tell(f"Ending {ENDS} beside {live} rooms")
            levels.append(_fanout([await _end(pair) for pair in pairs[:ENDS]]))
            del pairs[:ENDS]
            await asyncio.to_thread(pump.stop)
    return {"end.rooms": ROOMS} | compared("end", levels, bare)


async def _end(pair: Pair) -> float:
    """In ms, from the therapist's request until the later of both has heard."""
    heard = [_hears_the_end(peer) for peer in pair]
    clicked = time.monotonic()
    await pair[0].room.request("session:end", {})
    async with asyncio.timeout(_KNOWN_WITHIN_S):
        return (max(await asyncio.gather(*heard)) - clicked) * 1000


def _hears_the_end(peer: Peer) -> asyncio.Future[float]:
    """When it does, on the monotonic clock."""
    heard: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    peer.room.on("session:ended", lambda _: heard.set_result(time.monotonic()))
    return heard


async def _bare() -> list[Fanout]:
    levels: list[Fanout] = []
    async with AsyncExitStack() as stack:
        _, url = stack.enter_context(running_bare_signaling())
        http = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        )
        number, pairs = count(), list[tuple[BareClient, BareClient]]()
        for live in (ROOMS // 10, ROOMS):
            while len(pairs) < live + ENDS:
                room = str(next(number))
                pair = BareClient(http, url, room), BareClient(http, url, room)
                for client in pair:
                    stack.push_async_callback(client.close)
                    await client.connect()
                pairs.append(pair)
            levels.append(_fanout([await _end_bare(*pair) for pair in pairs[:ENDS]]))
            del pairs[:ENDS]
    return levels


async def _end_bare(one: BareClient, other: BareClient) -> float:
    clicked = time.monotonic()
    await asyncio.gather(one.request("end"), other.ended())
    return (time.monotonic() - clicked) * 1000


def _fanout(waits_ms: list[float]) -> Fanout:
    return Fanout(percentile(waits_ms, 50), percentile(waits_ms, 99))
