"""A camera in layers under one SSRC (VP9, AV1): real viewers of some of them see it move."""

from typing import Any, Final

import pytest
from playwright.async_api import ViewportSize

from tests.browser.conftest import OpenRoom
from tests.browser.room import Room
from tests.browser.test_codecs import ONLY
from tests.support.eventually import eventually
from tests.support.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")

# A camera is sent in one encoding of this mode.
_SCALABLE: Final = """
(() => {
  const add = RTCPeerConnection.prototype.addTransceiver;
  RTCPeerConnection.prototype.addTransceiver = function (kind, init) {
    const scalable = [{scalabilityMode: '%s', maxBitrate: 1_200_000}];
    if (init?.sendEncodings?.length) init = {...init, sendEncodings: scalable};
    return add.call(this, kind, init);
  };
})();
"""
_SEEN: Final = """
async () => {
  const report = await window.connections.at(-1).getStats();
  const seen = {};
  for (const each of report.values()) {
    if (each.type === 'inbound-rtp' && each.kind === 'video' && each.packetsReceived)
      Object.assign(seen, {
        frames: each.framesDecoded, height: each.frameHeight, freezes: each.freezeCount,
        frozen_s: each.totalFreezesDuration, asked: each.pliCount, bytes: each.bytesReceived,
        at_ms: each.timestamp,
      });
    if (each.type === 'outbound-rtp' && each.kind === 'video')
      Object.assign(seen, {mode: each.scalabilityMode, sent_height: each.frameHeight});
  }
  return seen;
}
"""
_SMALL: Final[ViewportSize] = {"width": 320, "height": 200}
_LARGE: Final[ViewportSize] = {"width": 1280, "height": 800}
WATCH_MS: Final = 4_000


async def seen(room: Room) -> dict[str, Any]:
    values: dict[str, Any] = await room.page.evaluate(_SEEN)
    return values


async def reaches(room: Room, height: int) -> None:
    async def is_shown() -> bool:
        assert (now := await seen(room))["height"] == height, now
        return True

    await eventually(is_shown, f"a picture of {height} lines", within=20)


async def moves(room: Room) -> float:
    """That pictures move for a while, without a word to the publisher; kbit/s."""
    before = await seen(room)
    await room.page.wait_for_timeout(WATCH_MS)
    after = await seen(room)
    # Wide: two browsers encode and decode on one busy machine.
    assert after["frames"] - before["frames"] > 8 * WATCH_MS / 1000, (before, after)
    assert after["frozen_s"] - before["frozen_s"] < 0.25 * WATCH_MS / 1000, (before, after)
    assert after["asked"] == before["asked"], (before, after)
    rate: float = 8 * (after["bytes"] - before["bytes"]) / (after["at_ms"] - before["at_ms"])
    return rate


@pytest.mark.parametrize("mode", ["L2T1", "L2T3_KEY"])
@pytest.mark.parametrize("codec", ["VP9", "AV1"])
async def test_a_small_tile_is_sent_the_lower_layer_and_a_large_one_both(
    server: Server, open_room: OpenRoom, codec: str, mode: str
) -> None:
    script = ONLY % codec + _SCALABLE % mode
    session = server.demo()
    publisher = await open_room(session.therapist_url, script=script)
    await publisher.join()
    viewer = await open_room(session.client_url, script=script)
    await viewer.join()
    await viewer.sees(within=20)
    assert (await seen(publisher))["mode"] == mode
    await reaches(viewer, 480)
    full = await moves(viewer)
    await viewer.page.set_viewport_size(_SMALL)
    await reaches(viewer, 240)
    # With L2T3_KEY the lower layer was 60 % of both in the worst run.
    assert await moves(viewer) < 0.8 * full
    await viewer.page.set_viewport_size(_LARGE)
    await reaches(viewer, 480)
    await moves(viewer)
