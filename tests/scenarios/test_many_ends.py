"""A hundred sessions at once, with media, and each of them ended: how soon everyone knows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest

from scripts.client.peer import Peer
from scripts.pump import Pump
from signaling.client import RefusedByServer
from tests.support.eventually import eventually
from tests.support.server import Server

ROOMS = 100
_AT_ONCE = 5
# Of all 200 peers together.
PACKETS_PER_SECOND = 4000
KNOWN_WITHIN_S = 0.200
SILENT_WITHIN_S = 0.500
# The rooms in which somebody tries to get back in: a tenth.
_TRIED_EVERY = 10


@dataclass(slots=True)
class Room:
    """told_at: when each of the two pages heard of the end. quiet: packets received by then."""

    peers: tuple[Peer, Peer]
    client_url: str
    numbers: tuple[int, int] = (0, 0)
    told_at: list[float] = field(default_factory=list)
    quiet: list[int] = field(default_factory=list)


@pytest.fixture
async def pump() -> AsyncIterator[Pump]:
    pump = Pump()
    yield pump
    pump.stop()


@pytest.fixture
async def rooms(server: Server, pump: Pump) -> AsyncIterator[list[Room]]:
    """All live, all sending."""
    turn = asyncio.Semaphore(_AT_ONCE)
    async with AsyncExitStack() as stack:

        async def fill() -> Room:
            async with turn:
                session = await asyncio.to_thread(server.book)
                peers = Peer(session.therapist_url), Peer(session.client_url)
                room = Room(peers, session.client_url)
                for peer in peers:
                    stack.push_async_callback(peer.close)
                    peer.room.on("session:ended", lambda _: room.told_at.append(_now_s()))
                    await peer.join()
                    await peer.connect()
                for peer in peers:
                    await peer.receives(2)
                return room

        filled = await asyncio.gather(*(fill() for _ in range(ROOMS)))
        for room in filled:
            room.numbers = (room.peers[0].send_by(pump), room.peers[1].send_by(pump))
        pump.start(PACKETS_PER_SECOND)

        def everyone_receives() -> bool:
            return all(pump.received_by(number) > 0 for room in filled for number in room.numbers)

        await eventually(everyone_receives)
        yield filled


@pytest.mark.timeout(300)
async def test_with_100_sessions_every_page_knows_of_an_end_and_nothing_flows_after_it(
    rooms: list[Room], pump: Pump
) -> None:
    known_s = [await _end(room, pump, number) for number, room in enumerate(rooms)]
    await eventually(lambda: len(rooms[-1].quiet) == 2, "the last room is silent")
    sent = pump.figures().sent
    await eventually(lambda: pump.figures().sent > sent + PACKETS_PER_SECOND, "packets sent after")
    received = [[pump.received_by(number) for number in room.numbers] for room in rooms]
    assert received == [room.quiet for room in rooms]
    p99_s = sorted(known_s)[98]
    assert p99_s <= KNOWN_WITHIN_S, f"p50 {sorted(known_s)[49]:.3f} s, p99 {p99_s:.3f} s"


async def _end(room: Room, pump: Pump, number: int) -> float:
    """End it; how many seconds after the click the later of the two pages knew."""
    clicked_at = _now_s()
    await room.peers[0].room.request("session:end", {})

    def note() -> None:
        room.quiet = [pump.received_by(number) for number in room.numbers]

    asyncio.get_running_loop().call_later(SILENT_WITHIN_S, note)
    await eventually(lambda: len(room.told_at) == 2, "both pages know")
    if number % _TRIED_EVERY == 0:
        again = Peer(room.client_url)
        with pytest.raises(RefusedByServer) as refused:
            await again.join()
        assert refused.value.code == "session.ended"
        await again.close()
    return max(room.told_at) - clicked_at


def _now_s() -> float:
    return asyncio.get_running_loop().time()
