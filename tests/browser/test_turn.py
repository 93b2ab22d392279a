"""Browsers that reach nothing but a TURN server: a real coturn."""

from pathlib import Path

import pytest

from tests.browser.conftest import OpenRoom
from tests.browser.room import Room
from tests.support.server import Server
from tests.support.turn_server import TurnServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "what coturn and Plumm share"

# The browser may use no candidate but those of TURN servers, after an ICE restart too.
_RELAY_ONLY = """
(() => {
  const Native = window.RTCPeerConnection;
  const relayed = configuration => ({...configuration, iceTransportPolicy: 'relay'});
  window.RTCPeerConnection = class extends Native {
    constructor(configuration) { super(relayed(configuration)); }
    setConfiguration(configuration) { super.setConfiguration(relayed(configuration)); }
  };
})();
"""


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_through_a_turn_server(
    tmp_path: Path, open_room: OpenRoom, transport: str
) -> None:
    with (
        TurnServer(tmp_path, SECRET) as turn,
        Server(
            tmp_path,
            PLUMM_TURN_URLS=f"turn:127.0.0.1:{turn.port}?transport={transport}",
            PLUMM_TURN_SECRET=SECRET,
            PLUMM_LOG_LEVEL="debug",
        ) as server,
    ):
        session = server.demo()
        urls = (session.therapist_url, session.client_url)
        rooms = [await open_room(url, script=_RELAY_ONLY) for url in urls]
        for room in rooms:
            await room.join()
        for room in rooms:
            await _talks(room, transport)
        # An ICE restart allocates anew.
        await rooms[0].press("Refresh")
        for room in rooms:
            await _talks(room, transport)
        credentials = [await _credential(room) for room in rooms]
        assert credentials[0] != credentials[1], "each has credentials of their own"
    assert not [secret for secret in (SECRET, *credentials) if secret in server.log]


async def _talks(room: Room, transport: str) -> None:
    await room.sees()
    await room.hears()
    way = await room.way()
    assert (way["local"], way["relay_protocol"]) == ("relay", transport), way


async def _credential(room: Room) -> str:
    credential: str = await room.page.evaluate(
        "window.connections.at(-1).getConfiguration().iceServers[0].credential"
    )
    return credential
