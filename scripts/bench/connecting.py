"""Part "setup": what it costs the server that somebody connects, and what a call has of it.

Clients are scripts.client.Peers: token, socket, offer, ICE and DTLS are real, their own cost
is on the other core.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Final

import aiohttp

from scripts.bench.asking import Ask, answer_times_ms
from scripts.bench.bare_handshake import running_bare_handshake
from scripts.bench.cores import SERVER_CORE, CpuMeter, stepping_back
from scripts.bench.filling import AT_ONCE, fill, fill_in_fresh_rooms, hear_each_other, sit
from scripts.bench.ratios import compared
from scripts.bench.server import Server, running_server
from scripts.client.peer import Peer
from scripts.client.transport import Transport
from scripts.load.report import percentile
from scripts.pump import Pump

SEQUENTIAL_ROOMS: Final = 30
# A rush: so many rooms, AT_ONCE at once; one before, and one after the server holds ten times
# as many.
RUSH_ROOMS: Final = 20
STANDING_ROOMS: Final = 180
# A socket may ask 20 times a second.
_ASKING_ROOMS: Final = 5
_ASKED_PER_SECOND: Final = 100.0


@dataclass(frozen=True, slots=True)
class Rush:
    """Rooms that fill all at once, each participant until the first packet from the other.

    cpu_ms: of the server, a participant. busy: share of the server's core.
    call_delay: of packets of a call that goes on meanwhile. stall: until an event is answered
    meanwhile, which is how long the event loop is held up.
    """

    per_second: float
    cpu_ms: float
    busy: float
    call_delay_p99_ms: float
    stall_p99_ms: float


async def connection_cost(tell: Callable[[str], None]) -> dict[str, float]:
    """Server CPU per participant, from join token to SRTP keys, in ms; then rushes.

    One after the other, split into joining (token, socket, `room:join`) and the connection
    (offer, ICE, DTLS: what a peer connection is elsewhere).
    """
    tell("Connecting to the bare handshake")
    bare_ms = await _bare_handshake_ms()
    async with running_server(SERVER_CORE) as server, AsyncExitStack() as stack:
        joining_ms, connecting_ms = await _one_by_one(server, stack, tell)
        call = await stack.enter_async_context(_call(server))
        asks = await _asks(server, stack)
        tell(f"Connecting {2 * RUSH_ROOMS}, {AT_ONCE} rooms at once, a call going on")
        with stepping_back():
            first = await _rush(server, stack, call, asks)
        tell(f"Filling {STANDING_ROOMS} rooms")
        await fill_in_fresh_rooms(stack, server, STANDING_ROOMS)
        tell(f"Connecting {2 * RUSH_ROOMS} beside {STANDING_ROOMS} rooms")
        with stepping_back():
            second = await _rush(server, stack, call, asks)
    # Two participants a room; the second one's coming makes the first one negotiate again.
    return {
        "setup.cpu_ms_per_connection": connecting_ms,
        "setup.cpu_ms_per_connection.to_bare": connecting_ms / bare_ms,
        "setup.cpu_ms_per_joining": joining_ms,
        "bare_setup.cpu_ms_per_connection": bare_ms,
    } | compared("rush", [first, second])


async def _bare_handshake_ms() -> float:
    with running_bare_handshake() as (pid, answer):
        meter = CpuMeter(pid)
        taken: list[float] = []
        for _ in range(2 * SEQUENTIAL_ROOMS):
            transport = Transport()
            start_ns = meter.own_ns()
            await transport.connect(answer)
            taken.append((meter.own_ns() - start_ns) / 1e6)
            transport.close()
    return median(taken)


async def _one_by_one(
    server: Server, stack: AsyncExitStack, tell: Callable[[str], None]
) -> tuple[float, float]:
    """Server CPU of joining, and of connecting, in ms a participant."""
    meter = CpuMeter(server.pid)
    # The first connection loads what later ones share.
    await fill_in_fresh_rooms(stack, server, 1)
    rooms = [await server.open_room() for _ in range(SEQUENTIAL_ROOMS)]
    joining_ns, connecting_ns = [0] * len(rooms), [0] * len(rooms)
    for number, room in enumerate(rooms):
        tell(f"Connecting one after the other: room {number + 1} of {len(rooms)}")
        for url in (room.therapist_url, room.client_url):
            peer = Peer(url)
            stack.push_async_callback(peer.close)
            start_ns = meter.own_ns()
            await peer.join()
            joined_ns = meter.own_ns()
            await peer.connect()
            connecting_ns[number] += meter.own_ns() - joined_ns
            joining_ns[number] += joined_ns - start_ns
    return median(joining_ns) / 2e6, median(connecting_ns) / 2e6


@asynccontextmanager
async def _call(server: Server) -> AsyncIterator[Pump]:
    """A room whose two participants send, as fast as a camera and a microphone do."""
    async with AsyncExitStack() as stack:
        pump = Pump()
        for pair in await fill_in_fresh_rooms(stack, server, 1):
            for peer in pair:
                peer.send_by(pump)
        pump.start()
        try:
            yield pump
        finally:
            await asyncio.to_thread(pump.stop)


async def _asks(server: Server, stack: AsyncExitStack) -> list[Ask]:
    http = await stack.enter_async_context(aiohttp.ClientSession())
    pairs = await sit(stack, http, server, _ASKING_ROOMS)
    return [partial(client.request, "room:sync", {}) for pair in pairs for client in pair]


async def _rush(server: Server, stack: AsyncExitStack, call: Pump, asks: list[Ask]) -> Rush:
    rooms = [await server.open_room() for _ in range(RUSH_ROOMS)]
    meter, over = CpuMeter(server.pid), asyncio.Event()
    asking = asyncio.create_task(answer_times_ms(asks, _ASKED_PER_SECOND, over))
    before, start_ns, started = call.figures(), meter.own_ns(), time.monotonic()
    for first in range(0, RUSH_ROOMS, AT_ONCE):
        await hear_each_other(await fill(stack, rooms[first : first + AT_ONCE]))
    took_s, took_ns = time.monotonic() - started, meter.own_ns() - start_ns
    period = call.figures().since(before)
    over.set()
    stalls_ms = await asking
    return Rush(
        per_second=2 * RUSH_ROOMS / took_s,
        cpu_ms=took_ns / 1e6 / (2 * RUSH_ROOMS),
        busy=took_ns / 1e9 / took_s,
        call_delay_p99_ms=(period.delay_us(99) or 0) / 1000,
        stall_p99_ms=percentile(stalls_ms, 99),
    )
