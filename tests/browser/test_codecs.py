"""Each codec that passes through the relay, from a real Chromium to a real Chromium."""

from typing import Any, Final

import pytest

from tests.browser.conftest import OpenRoom
from tests.browser.room import Room
from tests.support.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Offers one video codec and its retransmissions.
ONLY: Final = """
(() => {
  const prefer = RTCRtpTransceiver.prototype.setCodecPreferences;
  RTCRtpTransceiver.prototype.setCodecPreferences = function (codecs) {
    const wanted = ['video/%s', 'video/rtx'];
    return prefer.call(this, codecs.filter(({mimeType}) => wanted.includes(mimeType)));
  };
})();
"""
_RECEIVED = """
async () => {
  const report = await window.connections.at(-1).getStats();
  const seen = [];
  for (const each of report.values())
    if (each.type === 'inbound-rtp' && each.packetsReceived > 0)
      seen.push({
        kind: each.kind, codec: report.get(each.codecId).mimeType, lost: each.packetsLost,
      });
  return seen;
}
"""


async def received(room: Room) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = await room.page.evaluate(_RECEIVED)
    return seen


@pytest.mark.parametrize("codec", ["VP8", "VP9", "AV1", "H264"])
async def test_a_codec_is_seen_also_by_one_who_comes_later_and_nothing_counts_as_lost(
    server: Server, open_room: OpenRoom, codec: str
) -> None:
    script = ONLY % codec
    session = server.demo()
    publisher = await open_room(session.therapist_url, script=script)
    await publisher.join()
    viewer = await open_room(session.client_url, script=script)
    await viewer.join()
    await viewer.sees(within=20)
    # The next keyframe by itself is minutes away: one who comes back has to be given one.
    await viewer.page.reload()
    await viewer.sees()
    await viewer.hears()
    seen = {each["kind"]: each for each in await received(viewer)}
    assert seen["video"]["codec"] == f"video/{codec}"
    assert seen["audio"]["codec"] == "audio/opus"
    # Padding that probes for bandwidth at the start opens no gap behind the relay.
    assert [each["lost"] for each in seen.values()] == [0, 0]
