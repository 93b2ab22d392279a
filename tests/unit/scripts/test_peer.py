"""The client without a browser against a real server: joins, connects, is heard."""

import asyncio

from scripts.bench.server import running_server
from scripts.client.peer import Peer
from scripts.pump import Pump
from tests.support.eventually import eventually


async def test_two_peers_hear_each_other_through_a_real_server() -> None:
    pump = Pump()
    async with running_server(None) as server:
        room = await server.open_room()
        peers = [Peer(room.therapist_url), Peer(room.client_url)]
        try:
            for peer in peers:
                await peer.join()
                await peer.connect()
            await asyncio.gather(*(peer.receives(2) for peer in peers))
            numbers = [peer.send_by(pump) for peer in peers]
            pump.start()
            # Audio alone would be 50 a second: more than that is video, after its keyframe.
            await eventually(lambda: min(map(pump.received_by, numbers)) >= 500)
            # The server's reports and feedback are read, too.
            await eventually(lambda: pump.figures().rtcp > 0)
        finally:
            await asyncio.to_thread(pump.stop)
            for peer in peers:
                await peer.close()
    figures = pump.figures()
    assert figures.authenticated == figures.received > 1_000
    assert (figures.refused, figures.rtcp_refused) == (0, 0)
    assert figures.keyframes >= 2
