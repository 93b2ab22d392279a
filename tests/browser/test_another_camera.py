"""Another camera in the middle of a call is the same track to everybody else."""

from typing import Final

import pytest

from tests.browser.conftest import OpenRoom
from tests.browser.room import Room
from tests.support.eventually import eventually
from tests.support.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Upright, so that whoever sees it knows it from the first one.
_ANOTHER: Final = """
async () => {
  const canvas = document.createElement('canvas');
  canvas.width = 240; canvas.height = 320;
  const pen = canvas.getContext('2d');
  let turn = 0;
  setInterval(() => {
    pen.fillStyle = `hsl(${turn = (turn + 7) % 360} 80% 50%)`;
    pen.fillRect(0, 0, 240, 320);
  }, 33);
  const [track] = canvas.captureStream(30).getVideoTracks();
  const senders = window.connections.at(-1).getSenders();
  await senders.find(sender => sender.track?.kind === 'video').replaceTrack(track);
}
"""


async def is_upright(room: Room) -> bool:
    width, height = await room.remote_videos().evaluate("v => [v.videoWidth, v.videoHeight]")
    assert 0 < width < height, (width, height)
    return True


async def test_another_camera_leaves_viewers_their_ssrcs_and_everybody_their_negotiation(
    server: Server, open_room: OpenRoom
) -> None:
    session = server.demo()
    rooms = [await open_room(url) for url in (session.therapist_url, session.client_url)]
    for room in rooms:
        await room.join()
    for room in rooms:
        await room.sees()
        await room.hears()
    publisher, viewer = rooms
    ssrcs = await viewer.ssrcs()
    offers = [await room.offers() for room in rooms]
    assert set(ssrcs) == {"audio", "video"}
    await publisher.page.evaluate(_ANOTHER)
    await eventually(lambda: is_upright(viewer), "the other camera's picture")
    await viewer.sees()
    await viewer.hears()
    assert await viewer.ssrcs() == ssrcs
    assert [await room.offers() for room in rooms] == offers
