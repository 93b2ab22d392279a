"""Rooms with both participants in them: by socket and media, or by socket alone."""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, TypeVar

import aiohttp

from scripts.bench.server import Room, Server
from scripts.client.light import LightClient
from scripts.client.peer import Peer
from scripts.pump import Pump

# Rooms that fill at once: as many as a busy server sees when a popular hour begins.
AT_ONCE: Final = 10
_LOOK_S: Final = 0.01
_HEARD_WITHIN_S: Final = 10.0

T = TypeVar("T")
Pair = tuple[Peer, Peer]
LightPair = tuple[LightClient, LightClient]


async def fill(stack: AsyncExitStack, rooms: Sequence[Room]) -> list[Pair]:
    """Connect both participants of every room; the stack closes them."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(room: Room) -> Pair:
        async with turn:
            pair = Peer(room.therapist_url), Peer(room.client_url)
            for peer in pair:
                stack.push_async_callback(peer.close)
                await peer.join()
                await peer.connect()
            await asyncio.gather(*(peer.receives(2) for peer in pair))
            return pair

    return await _all(one(room) for room in rooms)


async def fill_in_fresh_rooms(stack: AsyncExitStack, server: Server, rooms: int) -> list[Pair]:
    return await fill(stack, [await server.open_room() for _ in range(rooms)])


async def sit(
    stack: AsyncExitStack, http: aiohttp.ClientSession, server: Server, rooms: int
) -> list[LightPair]:
    """Open rooms, and have both participants of each join by socket; the stack closes them."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one() -> LightPair:
        async with turn:
            room = await server.open_room()
            pair = LightClient(http, room.therapist_url), LightClient(http, room.client_url)
            for client in pair:
                stack.push_async_callback(client.close)
                await client.connect()
            return pair

    return await _all(one() for _ in range(rooms))


async def _all(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What each of them returns, in their order; where one fails, the others end with it."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
    return [task.result() for task in tasks]


async def hear_each_other(pairs: Sequence[Pair]) -> None:
    """Let everyone send, once, until everyone has received something.

    Raises TimeoutError where somebody does not.
    """
    pump = Pump()
    numbers = [peer.send_by(pump) for pair in pairs for peer in pair]
    pump.start()
    try:
        async with asyncio.timeout(_HEARD_WITHIN_S):
            while numbers:
                await asyncio.sleep(_LOOK_S)
                numbers = [number for number in numbers if not pump.received_by(number)]
    finally:
        await asyncio.to_thread(pump.stop)
