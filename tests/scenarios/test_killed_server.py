"""The server is killed in the middle of a session: the same session goes on, and nobody twice."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from scripts.client.peer import Peer
from scripts.pump import Pump
from tests.support.attendance import media_stays
from tests.support.eventually import eventually
from tests.support.server import Server

PACKETS_PER_SECOND = 200
# After the port is open again.
FLOWS_WITHIN_S = 8
# Presence is stored once a second.
STORED_WITHIN_S = 1.5


@asynccontextmanager
async def call(urls: Sequence[str]) -> AsyncIterator[list[Peer]]:
    """Both are in the room, and each receives what the other sends."""
    peers, pump = [Peer(url) for url in urls], Pump()
    try:
        for peer in peers:
            await peer.join()
            await peer.connect()
        for peer in peers:
            await peer.receives(2)
        numbers = [peer.send_by(pump) for peer in peers]
        pump.start(PACKETS_PER_SECOND)
        await eventually(lambda: min(map(pump.received_by, numbers)) > 20, "packets for both")
        yield peers
    finally:
        pump.stop()
        for peer in peers:
            await peer.close()


async def test_both_come_back_to_the_same_session_once_each_and_are_counted_but_for_the_outage(
    tmp_path: Path,
) -> None:
    with Server(tmp_path) as server:
        session = server.book()
        urls = (session.therapist_url, session.client_url)

        async def stored(number: int) -> bool:
            stays = await media_stays(tmp_path, session.session_id)
            return sum(map(len, stays.values())) >= number

        async with call(urls):
            await eventually(lambda: stored(2))
            killed_at = time.time()
            await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        open_at = time.time()
        async with call(urls) as peers:
            assert time.time() - open_at < FLOWS_WITHIN_S
            await eventually(lambda: stored(4))
            ack = await peers[0].room.request("room:join", {})
            state = ack["state"]
            assert (ack["session"]["id"], state["status"]) == (session.session_id, "live")
            assert sorted(one["role"] for one in state["participants"]) == ["client", "therapist"]
            await peers[0].room.request("session:end", {})
        people = await media_stays(tmp_path, session.session_id)
    assert len(people) == 2
    for before, after in people.values():
        assert killed_at - STORED_WITHIN_S < before.until.timestamp() <= killed_at
        assert after.since.timestamp() < open_at + FLOWS_WITHIN_S
