"""One room's life: people come, send, refresh, leave, return, and the therapist ends it."""

import asyncio
from contextlib import AsyncExitStack
from typing import Final

from scripts.bench.server import Server
from scripts.client.crowd import Client, Crowd

_WITHIN_S: Final = 10.0


async def live(server: Server, crowd: Crowd, number: int, sends_s: float) -> None:
    """Open a room and live in it; how the client comes back goes round with `number`.

    sends_s: for how long both send, before that and after it.
    Raises RefusedByServer, ConnectionFailed, TimeoutError and OSError where the server fails.
    """
    room = await server.open_room()
    async with AsyncExitStack() as stack:
        therapist = await _come(stack, crowd, room.therapist_url)
        client = await _come(stack, crowd, room.client_url)
        await _send(therapist, client)
        await client.room.request("state:set", {"microphone": False})
        await asyncio.sleep(sends_s)
        await client.room.request("state:set", {"microphone": True})
        match number % 4:
            case 0:
                await client.refresh()
            case 1:  # a dropped socket
                await client.rejoin()
            case 2:  # by the button, and in again
                await client.room.request("room:leave", {})
                await client.close()
                client = await _come(stack, crowd, room.client_url)
                await _send(client)
            case 3:  # a tab that is closed, and opened again
                await client.close()
                client = await _come(stack, crowd, room.client_url)
                await _send(client)
        await client.first_media(_WITHIN_S)
        await asyncio.sleep(sends_s)
        ended = asyncio.Event()
        client.room.on("session:ended", lambda _: ended.set())
        await therapist.room.request("session:end", {})
        async with asyncio.timeout(_WITHIN_S):
            await ended.wait()


async def _come(stack: AsyncExitStack, crowd: Crowd, url: str) -> Client:
    client = crowd.client(url)
    stack.push_async_callback(client.close)
    await client.join()
    await client.connect()
    return client


async def _send(*people: Client) -> None:
    for one in people:
        await one.receives(2, _WITHIN_S)
        one.send()
