"""One room of a load test: everyone joins at once, sends, and hears the end.

Times are seconds on one monotonic clock.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from scripts.client.peer import Peer
from scripts.client.transport import ConnectionFailed
from scripts.load.scenario import Scenario
from scripts.load.target import NoTarget, Target
from scripts.pump import Figures, Pump
from signaling.client import RefusedByServer

# How exactly the first packet's time is known.
_LOOK_S: Final = 0.01
_FIRST_MEDIA_WITHIN_S: Final = 10.0
_SECTIONS_WITHIN_S: Final = 20.0
_END_WITHIN_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class RoomResult:
    """What one whole room took, a value a participant, in seconds.

    joined: from the join token to SRTP keys. first_media: from the same to the first packet
    of somebody else's. ended: from the therapist's session:end to hearing of the end.
    """

    joined: Sequence[float]
    first_media: Sequence[float]
    ended: Sequence[float]
    media: Figures


class RoomFailed(Exception):
    """A room that did not become whole, or did not stay so; `reason` is a short code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def run_room(target: Target, scenario: Scenario, full: Callable[[], None]) -> RoomResult:
    """Open a room, fill it, send, end it. `full` is called once everybody sends.

    Raises RoomFailed.
    """
    try:
        return await _run(target, scenario, full)
    except RefusedByServer as refusal:
        raise RoomFailed(refusal.code) from refusal
    except NoTarget as error:
        raise RoomFailed("another_address") from error
    except ConnectionFailed as error:
        raise RoomFailed("no_connection") from error
    except TimeoutError as error:
        raise RoomFailed("timeout") from error
    except (OSError, ValueError) as error:
        raise RoomFailed("server_gone") from error


async def _run(target: Target, scenario: Scenario, full: Callable[[], None]) -> RoomResult:
    people: list[Peer] = []
    async with AsyncExitStack() as stack:
        for url in await target.open_room(scenario.people):
            peer = Peer(url)
            stack.push_async_callback(peer.close)
            people.append(peer)
        ended_at = _hear_the_end(people)
        started = time.monotonic()
        joined = await asyncio.gather(*(_join(peer) for peer in people))
        # The sound and the picture of each of the others.
        sections = 2 * (scenario.people - 1)
        await asyncio.gather(*(peer.receives(sections, _SECTIONS_WITHIN_S) for peer in people))
        pump = Pump()
        numbers = [peer.send_by(pump, scenario.picture) for peer in people]
        pump.start()
        try:
            full()
            over = asyncio.create_task(asyncio.sleep(scenario.duration_s))
            stack.callback(over.cancel)
            first_media = await _first_media(pump, numbers, started)
            await over
        finally:
            # Before the end: what the server then drops is not lost.
            await asyncio.to_thread(pump.stop)
        asked = time.monotonic()
        await people[0].room.request("session:end", {})
        async with asyncio.timeout(_END_WITHIN_S):
            heard = await asyncio.gather(*ended_at)
        return RoomResult(joined, first_media, [at - asked for at in heard], pump.figures())


async def _join(peer: Peer) -> float:
    started = time.monotonic()
    await peer.join()
    await peer.connect()
    return time.monotonic() - started


async def _first_media(pump: Pump, numbers: Sequence[int], started: float) -> list[float]:
    first: dict[int, float] = {}
    async with asyncio.timeout(_FIRST_MEDIA_WITHIN_S):
        while len(first) < len(numbers):
            await asyncio.sleep(_LOOK_S)
            now = time.monotonic()
            for number in numbers:
                if number not in first and pump.received_by(number):
                    first[number] = now - started
    return [first[number] for number in numbers]


def _hear_the_end(people: Sequence[Peer]) -> list[asyncio.Future[float]]:
    """When each hears `session:ended`."""

    def listen(peer: Peer) -> asyncio.Future[float]:
        heard: asyncio.Future[float] = asyncio.get_running_loop().create_future()

        def hear(_ended: object) -> None:
            if not heard.done():
                heard.set_result(time.monotonic())

        peer.room.on("session:ended", hear)
        return heard

    return [listen(peer) for peer in people]
