"""Twice the calls that a server may have: half of them wait, the others notice nothing."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from scripts.client.peer import Peer
from scripts.pump import Figures, Pump
from signaling.client import RefusedByServer
from tests.support.server import Server, Session

# A call of two takes about half a percent of the relay's thread on a machine that is quiet.
_RELAY_PERCENT = 3
_CALLS_MAX = 40
_MEASURED_S = 3.0
# Fewer than the tokens that one may ask for.
_TRIES = 10


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path, PLUMM_BUSY_RELAY_PERCENT=str(_RELAY_PERCENT)) as running:
        yield running


class Calls:
    """Calls of two with media, all sent by one pump."""

    def __init__(self, server: Server, pump: Pump, stack: AsyncExitStack) -> None:
        self._server = server
        self._pump = pump
        self._stack = stack
        self.peers: list[Peer] = []

    async def add_until_refused(self) -> str:
        """The code of the refusal."""
        for _ in range(_CALLS_MAX):
            try:
                await self._add()
            except RefusedByServer as refusal:
                return refusal.code
            await asyncio.sleep(0.5)  # so that its media is in the next look
        raise AssertionError(f"{_CALLS_MAX} calls are not too many")

    async def _add(self) -> None:
        session = await asyncio.to_thread(self._server.book)
        pair = [await self._come(url) for url in (session.therapist_url, session.client_url)]
        for peer in pair:
            await peer.connect()
        for peer in pair:
            await peer.receives(2)
            peer.send_by(self._pump, room=session.session_id)
        self.peers += pair

    async def _come(self, url: str) -> Peer:
        peer = Peer(url)
        self._stack.push_async_callback(peer.close)
        await peer.join()
        return peer


async def refused_with(session: Session) -> str:
    """The code that its therapist is not let in with."""
    peer = Peer(session.therapist_url)
    try:
        with pytest.raises(RefusedByServer) as refused:
            await peer.join()
    finally:
        await peer.close()
    return refused.value.code


async def test_calls_that_are_there_lose_nothing_to_as_many_that_are_refused(
    server: Server,
) -> None:
    pump = Pump()
    async with AsyncExitStack() as stack:
        stack.callback(pump.stop)
        calls = Calls(server, pump, stack)
        pump.start()
        assert await calls.add_until_refused() == "busy"
        there = len(calls.peers) // 2
        assert there > 0

        alone = await measured(pump)
        knocking = [await asyncio.to_thread(server.book) for _ in range(there)]
        during, codes = await asyncio.gather(measured(pump), knocks(knocking))

        assert set(codes) == {"busy"}
        assert during.sent > 0.9 * alone.sent
        assert during.loss() <= alone.loss() + 0.01
        before_us, now_us = alone.delay_us(99), during.delay_us(99)
        assert before_us is not None
        assert now_us is not None
        assert now_us <= 5 * before_us + 50_000

        await calls.peers[0].rejoin()  # a page that is loaded again


async def measured(pump: Pump) -> Figures:
    before = pump.figures()
    await asyncio.sleep(_MEASURED_S)
    return pump.figures().since(before)


async def knocks(sessions: list[Session]) -> list[str]:
    """Each tries again and again, sooner than it is told to."""
    codes: list[str] = []
    for session in sessions * _TRIES:
        codes.append(await refused_with(session))
        await asyncio.sleep(_MEASURED_S / _TRIES / len(sessions))
    return codes
