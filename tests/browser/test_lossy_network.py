"""A call between two real browsers over a link that loses packets both ways."""

from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import OpenRoom
from tests.browser.room import Room
from tests.support.lossy_hop import LossyHop
from tests.support.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")

WATCH_MS = 8_000

_VIDEO = """
async () => {
  const seen = {asked_of_us: 0, sent_again: 0};
  for (const report of (await window.connections[0].getStats()).values()) {
    if (report.type === 'inbound-rtp' && report.kind === 'video') {
      seen.frames = report.framesDecoded;
      seen.freezes = report.freezeCount;
      seen.frozen_s = report.totalFreezesDuration;
      seen.asked = report.nackCount;
      seen.lost = report.packetsLost;
      seen.plis = report.pliCount;
      seen.repaired = report.retransmittedPacketsReceived;
    }
    if (report.type === 'outbound-rtp' && report.kind === 'video') {
      // A report a layer, of which some rest.
      seen.asked_of_us += report.nackCount;
      seen.sent_again += report.retransmittedPacketsSent;
    }
  }
  return seen;
}
"""


async def video(room: Room) -> dict[str, Any]:
    seen: dict[str, Any] = await room.page.evaluate(_VIDEO)
    return seen


async def test_at_5_percent_loss_both_ways_pictures_keep_moving(
    tmp_path: Path, open_room: OpenRoom
) -> None:
    with Server(tmp_path) as server:
        media = ("127.0.0.1", server.media_port)
        async with LossyHop(media, loss=0.05, delay_s=0.02) as hop:
            session = server.demo()
            urls = (session.therapist_url, session.client_url)
            rooms = [await open_room(url, script=hop.script) for url in urls]
            for room in rooms:
                await room.join()
            for room in rooms:
                await room.sees(within=20)
            before = [await video(room) for room in rooms]
            await rooms[0].page.wait_for_timeout(WATCH_MS)
            after = [await video(room) for room in rooms]
            assert hop.lost > 100
        for start, end in zip(before, after, strict=True):
            assert end["asked"] > 0, end
            assert end["repaired"] > 0, end
            assert end["asked_of_us"] > 0, end
            assert end["sent_again"] > 0, end
            # Wide: two browsers that encode and decode on one busy machine freeze by themselves.
            assert end["frames"] - start["frames"] > 10 * WATCH_MS / 1000, (start, end)
            assert end["freezes"] - start["freezes"] <= 6, (start, end)
            assert end["frozen_s"] - start["frozen_s"] < 0.25 * WATCH_MS / 1000, (start, end)
        assert server.metric("plumm_relay_recovered_total") > 0
        assert server.metric("plumm_relay_retransmissions_sent_total") > 0
