"""The server is killed in the middle of a session: the same session goes on, and nobody twice."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from rooms import store
from rooms.attendance import Interval
from rooms.db.engine import Database, sqlite_url
from rooms.vocabulary import SessionId
from scripts.client.peer import Peer
from scripts.pump import Pump
from tests.support.eventually import eventually
from tests.support.server import Server

PACKETS_PER_SECOND = 200
# After the port is open again.
FLOWS_WITHIN_S = 8
# Presence is stored once a second.
STORED_WITHIN_S = 1.5


async def stays(data_dir: Path, session: str) -> list[Interval]:
    """The stored stays with media."""
    database = await Database.open(sqlite_url(data_dir / "plumm.sqlite3"))
    try:
        async with database.reading() as connection:
            found = (await store.intervals(connection, [SessionId(session)]))[SessionId(session)]
    finally:
        await database.close()
    return [stay for stay in found if stay.kind == "media"]


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
            return len(await stays(tmp_path, session.session_id)) >= number

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
        found = await stays(tmp_path, session.session_id)
    people = {stay.participant for stay in found}
    assert len(people) == 2
    for person in people:
        before, after = [stay for stay in found if stay.participant == person]
        assert killed_at - STORED_WITHIN_S < before.until.timestamp() <= killed_at
        assert after.since.timestamp() < open_at + FLOWS_WITHIN_S
