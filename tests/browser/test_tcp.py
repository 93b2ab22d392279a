"""Networks that block UDP: media goes over TCP, on the media port's own number."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.browser.conftest import OpenRoom
from tests.browser.room import Room
from tests.support.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Chromium connected over TCP 268 ms after its offer where this was first measured.
SOON_S = 5.0

# Send the page's datagrams to another port; its TCP connections go to the server's.
_DIVERT_UDP = """
(() => {
  const apply = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function ({type, sdp}) {
    return apply.call(this, {type, sdp: sdp.replace(/( udp .*) %d typ host/g, '$1 %d typ host')});
  };
})();
"""


@contextmanager
def udp_blocked(server: Server) -> Iterator[str]:
    """A script for a page from which no datagram reaches the server, and none is refused."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hole:
        hole.bind(("127.0.0.1", 0))
        yield _DIVERT_UDP % (server.media_port, hole.getsockname()[1])


async def _talk(*ways: tuple[Room, str]) -> None:
    for room, _ in ways:
        await room.join()
    for room, protocol in ways:
        await room.sees(within=SOON_S)
        await room.hears(within=SOON_S)
        assert (await room.way())["protocol"] == protocol


async def test_a_call_over_tcp_where_udp_is_blocked(server: Server, open_room: OpenRoom) -> None:
    session = server.demo()
    with udp_blocked(server) as script:
        rooms = [
            await open_room(url, script=script)
            for url in (session.therapist_url, session.client_url)
        ]
        await _talk(*((room, "tcp") for room in rooms))


async def test_one_on_udp_and_one_on_tcp(server: Server, open_room: OpenRoom) -> None:
    session = server.demo()
    with udp_blocked(server) as script:
        therapist = await open_room(session.therapist_url)
        client = await open_room(session.client_url, script=script)
        await _talk((therapist, "udp"), (client, "tcp"))
        # An ICE restart opens connections of its own.
        await client.press("Refresh")
        await client.sees(within=SOON_S)
        await therapist.sees(within=SOON_S)
        assert (await client.way())["protocol"] == "tcp"


async def test_udp_is_preferred_where_both_work(server: Server, open_room: OpenRoom) -> None:
    session = server.demo()
    rooms = [await open_room(url) for url in (session.therapist_url, session.client_url)]
    await _talk(*((room, "udp") for room in rooms))
    answer = await rooms[0].page.evaluate("window.connections[0].remoteDescription.sdp")
    assert " tcptype passive" in answer
