"""Part "signaling": sockets that sit in rooms and say little, and sockets that ask.

Beside Plumm, the yardstick: bare aiohttp WebSockets. Each is measured with a tenth of the
sockets and with all of them.
"""

import asyncio
import resource
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import Final

import aiohttp

from scripts.bench.asking import Ask, answer_times_ms, answers_per_second, over_in
from scripts.bench.bare_signaling import BareClient, running_bare_signaling
from scripts.bench.cores import SERVER_CORE, CpuMeter, resident_mib
from scripts.bench.filling import LightPair, sit
from scripts.bench.ratios import compared
from scripts.bench.server import running_server
from scripts.client.light import LightClient
from scripts.load.report import percentile

SOCKETS: Final = 5000
FEW: Final = SOCKETS // 10
# Descriptors beside the sockets: libraries, the database, the media port, pipes.
_SPARE_DESCRIPTORS: Final = 500
# Of those who ask at a steady rate: all of them together.
ASKED_PER_SECOND: Final = 200.0
_ASKING_S: Final = 4.0
# Longer than the period of the pings that keep an idle socket.
_IDLE_S: Final = 6.0


@dataclass(frozen=True, slots=True)
class Level:
    """One server with so many sockets.

    rss_kib_per_socket: of all sockets, above the empty server. idle_share: of a core, while
    nobody says anything. ack_ms: at ASKED_PER_SECOND.
    """

    rss_kib_per_socket: float
    idle_share: float
    events_per_second: float
    ack_p50_ms: float
    ack_p99_ms: float


async def signaling(tell: Callable[[str], None]) -> dict[str, float]:
    """An event is a switched microphone: acked, and told to both who are in the room.

    Bare: a text that comes back.
    """
    sockets = _most_sockets()
    few = sockets // 10
    bare = await _bare(tell, (few, sockets))
    plumm = await _plumm(tell, (few, sockets))
    return {"signaling.sockets": sockets} | compared("signaling", plumm, bare)


def _most_sockets() -> int:
    """As many as SOCKETS, or as one process may have: ours holds the other ends of them all."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        return SOCKETS
    return min(SOCKETS, (most - _SPARE_DESCRIPTORS) // 20 * 20)


async def _bare(tell: Callable[[str], None], levels: Sequence[int]) -> list[Level]:
    taken: list[Level] = []
    async with AsyncExitStack() as stack:
        pid, url = stack.enter_context(running_bare_signaling())
        http = await stack.enter_async_context(_http())
        await BareClient(http, url, "first").connect()
        empty_mib = resident_mib(pid)
        clients: list[BareClient] = []
        for level in levels:
            tell(f"Signaling: {level} bare sockets")
            for number in range(len(clients), level):
                client = BareClient(http, url, str(number // 2))
                stack.push_async_callback(client.close)
                await client.connect()
                clients.append(client)
            asks = [partial(client.request, '["state:set",{}]') for client in clients]
            taken.append(await _level(pid, empty_mib, asks))
    return taken


async def _plumm(tell: Callable[[str], None], levels: Sequence[int]) -> list[Level]:
    taken: list[Level] = []
    async with running_server(SERVER_CORE) as server, AsyncExitStack() as stack:
        http = await stack.enter_async_context(_http())
        await sit(stack, http, server, 1)
        empty_mib = resident_mib(server.pid)
        pairs: list[LightPair] = []
        for level in levels:
            tell(f"Signaling: {level} sockets, two in each room")
            pairs += await sit(stack, http, server, level // 2 - len(pairs))
            asks = [_switches(client) for pair in pairs for client in pair]
            taken.append(await _level(server.pid, empty_mib, asks))
    return taken


def _http() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


def _switches(client: LightClient) -> Ask:
    """Off, on, off, …"""
    states = cycle((False, True))

    async def switch() -> None:
        await client.request("state:set", {"microphone": next(states)})

    return switch


async def _level(pid: int, empty_mib: float, asks: Sequence[Ask]) -> Level:
    rss_kib = (resident_mib(pid) - empty_mib) * 1024 / len(asks)
    idle = await CpuMeter(pid).share_during(asyncio.sleep(_IDLE_S))
    times_ms = await answer_times_ms(asks, ASKED_PER_SECOND, over_in(_ASKING_S))
    return Level(
        rss_kib_per_socket=rss_kib,
        idle_share=idle,
        events_per_second=await answers_per_second(asks, _ASKING_S),
        ack_p50_ms=percentile(times_ms, 50),
        ack_p99_ms=percentile(times_ms, 99),
    )
