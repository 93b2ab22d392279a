"""One room of a load test: everyone joins at once, sends, and hears the end.

Times are seconds on one monotonic clock.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from scripts.client.crowd import Client, Crowd
from scripts.client.transport import ConnectionFailed
from scripts.load.scenario import Scenario
from scripts.load.target import NoTarget, Target
from signaling.client import RefusedByServer

_FIRST_MEDIA_WITHIN_S: Final = 10.0
_SECTIONS_WITHIN_S: Final = 20.0
_END_WITHIN_S: Final = 10.0
# What is on its way when all fall silent has come by then, but from a server out of breath.
_QUIET_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class RoomResult:
    """What one whole room took, a value a participant, in seconds.

    joined: from the join token to SRTP keys. first_media: from the same to the first packet
    of somebody else's. ended: from the therapist's session:end to hearing of the end.
    """

    joined: Sequence[float]
    first_media: Sequence[float]
    ended: Sequence[float]


class RoomFailed(Exception):
    """A room that did not become whole, or did not stay so; `reason` is a short code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def run_room(
    target: Target, scenario: Scenario, crowd: Crowd, full: Callable[[], None]
) -> RoomResult:
    """Open a room, fill it, send, end it. `full` is called once everybody sends.

    Raises RoomFailed.
    """
    try:
        return await _run(target, scenario, crowd, full)
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


async def _run(
    target: Target, scenario: Scenario, crowd: Crowd, full: Callable[[], None]
) -> RoomResult:
    people: list[Client] = []
    async with AsyncExitStack() as stack:
        for url in await target.open_room(scenario.people):
            client = crowd.client(url)
            stack.push_async_callback(client.close)
            people.append(client)
        ended_at = _hear_the_end(people)
        started = time.monotonic()
        joined = await asyncio.gather(*(_join(client) for client in people))
        # The sound and the picture of each of the others.
        sections = 2 * (scenario.people - 1)
        await asyncio.gather(*(each.receives(sections, _SECTIONS_WITHIN_S) for each in people))
        for client in people:
            client.send()
        full()
        over = asyncio.create_task(asyncio.sleep(scenario.duration_s))
        stack.callback(over.cancel)
        first = await asyncio.gather(*(each.first_media(_FIRST_MEDIA_WITHIN_S) for each in people))
        await over
        # Before the end: what the server then drops is not lost.
        for client in people:
            client.pause("audio")
            client.pause("video")
        await asyncio.sleep(_QUIET_S)
        asked = time.monotonic()
        await people[0].room.request("session:end", {})
        async with asyncio.timeout(_END_WITHIN_S):
            heard = await asyncio.gather(*ended_at)
        return RoomResult(joined, [at - started for at in first], [at - asked for at in heard])


async def _join(client: Client) -> float:
    started = time.monotonic()
    await client.join()
    await client.connect()
    return time.monotonic() - started


def _hear_the_end(people: Sequence[Client]) -> list[asyncio.Future[float]]:
    """When each hears `session:ended`."""

    def listen(client: Client) -> asyncio.Future[float]:
        heard: asyncio.Future[float] = asyncio.get_running_loop().create_future()

        def hear(_ended: object) -> None:
            if not heard.done():
                heard.set_result(time.monotonic())

        client.room.on("session:ended", hear)
        return heard

    return [listen(client) for client in people]
