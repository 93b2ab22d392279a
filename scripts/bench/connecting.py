"""What it costs the server that somebody connects, and what it costs to keep them.

Clients are scripts.client.Peers: token, socket, offer, ICE and DTLS are real, their own cost
is on the other core.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from statistics import median
from typing import Final

from scripts.bench.cores import SERVER_CORE, CpuMeter, resident_mib
from scripts.bench.server import Room, running_server
from scripts.client.peer import Peer
from scripts.pump import Pump

SEQUENTIAL_ROOMS: Final = 30
PARALLEL_ROOMS: Final = 15
IDLE_ROOMS: Final = 50
# Connecting at once: as many as a busy server sees when a popular hour begins.
_AT_ONCE: Final = 10
# 25 looks at what each downlink carries, five at how good it is.
_IDLE_S: Final = 5.0
# Packets of 20 ms each: long enough that everyone has sent and received some.
_PROOF_S: Final = 1.0


async def connection_cost(tell: Callable[[str], None]) -> dict[str, float]:
    """Server CPU per participant, from join token to SRTP keys, in ms.

    One after the other, split into joining (token, socket, `room:join`) and the connection
    (offer, ICE, DTLS: what a peer connection is elsewhere); then several at once.
    """
    async with running_server(SERVER_CORE) as server, AsyncExitStack() as stack:
        meter = CpuMeter(server.pid)
        # The first connection loads what later ones share.
        await _fill(stack, [await server.open_room()], 1)
        rooms = [await server.open_room() for _ in range(SEQUENTIAL_ROOMS)]
        peers: list[Peer] = []
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
                peers.append(peer)
        rooms = [await server.open_room() for _ in range(PARALLEL_ROOMS)]
        tell(f"Connecting {2 * len(rooms)}, {_AT_ONCE} rooms at once")
        start_ns = meter.own_ns()
        together = await _fill(stack, rooms, _AT_ONCE)
        parallel_ns = meter.own_ns() - start_ns
        await _prove(peers + together)
    # Two participants a room; the second one's coming makes the first one negotiate again.
    both_ns = [sum(room) for room in zip(joining_ns, connecting_ns, strict=True)]
    return {
        "setup.connections": len(peers) + len(together),
        "setup.cpu_ms_per_connection": median(connecting_ns) / 2e6,
        "setup.cpu_ms_per_joining": median(joining_ns) / 2e6,
        "setup.cpu_ms_per_participant": median(both_ns) / 2e6,
        "setup.cpu_ms_per_participant_in_parallel": parallel_ns / 1e6 / len(together),
    }


async def room_upkeep(tell: Callable[[str], None]) -> dict[str, float]:
    """What 50 two-person rooms in which nobody sends anything take: RSS in MiB, and CPU.

    Beside timers and consent, the CPU is that of the looks at each connection's figures.
    """
    async with running_server(SERVER_CORE) as server, AsyncExitStack() as stack:
        meter = CpuMeter(server.pid)
        empty_mib = resident_mib(server.pid)
        await _fill(stack, [await server.open_room()], 1)
        one_mib = resident_mib(server.pid)
        one_busy = await _busy(meter)
        tell(f"Filling {IDLE_ROOMS} rooms")
        rooms = [await server.open_room() for _ in range(IDLE_ROOMS)]
        peers = await _fill(stack, rooms, _AT_ONCE)
        await _prove(peers)
        full_mib = resident_mib(server.pid)
        full_busy = await _busy(meter)
    return {
        "rooms.rss_mib_empty": empty_mib,
        "rooms.rss_mib_for_50_idle": full_mib,
        "rooms.rss_kib_per_room": (full_mib - one_mib) * 1024 / IDLE_ROOMS,
        "rooms.cpu_ms_per_room_second": (full_busy - one_busy) * 1000 / IDLE_ROOMS,
    }


async def _busy(meter: CpuMeter) -> float:
    """The share of a core that the server uses, over a few seconds."""
    start_ns, started = meter.own_ns(), time.monotonic_ns()
    await asyncio.sleep(_IDLE_S)
    return (meter.own_ns() - start_ns) / (time.monotonic_ns() - started)


async def _fill(stack: AsyncExitStack, rooms: Sequence[Room], at_once: int) -> list[Peer]:
    """Connect both participants of every room; at most `at_once` rooms at a time."""
    turn = asyncio.Semaphore(at_once)

    async def fill(room: Room) -> list[Peer]:
        async with turn:
            pair = [Peer(room.therapist_url), Peer(room.client_url)]
            for peer in pair:
                stack.push_async_callback(peer.close)
                await peer.join()
                await peer.connect()
            return pair

    filling: list[Awaitable[list[Peer]]] = [fill(room) for room in rooms]
    return [peer for pair in await asyncio.gather(*filling) for peer in pair]


async def _prove(peers: Sequence[Peer]) -> None:
    """Let everyone send for a moment. Raises RuntimeError where somebody hears nothing."""
    await asyncio.gather(*(peer.receives(2) for peer in peers))
    pump = Pump()
    numbers = [peer.send_by(pump) for peer in peers]
    # Two packets of each flow at the least, however many there are.
    pump.start(max(50.0 * len(peers), 500.0))
    await asyncio.sleep(_PROOF_S)
    await asyncio.to_thread(pump.stop)
    deaf = sum(pump.received_by(number) == 0 for number in numbers)
    if deaf:
        raise RuntimeError(f"{deaf} of {len(peers)} participants received nothing")
