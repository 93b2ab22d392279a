"""What a call does on other addresses, at full rate, and when the server goes."""

import re
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenRoom
from tests.support.eventually import eventually
from tests.support.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")

# A camera whose picture is noise: the encoder needs all the rate it may use.
_NOISE = """
navigator.mediaDevices.getUserMedia = async () => {
  const canvas = document.createElement('canvas');
  canvas.width = 640; canvas.height = 480;
  const pen = canvas.getContext('2d');
  const noise = pen.createImageData(640, 480);
  setInterval(() => {
    const words = new Uint32Array(noise.data.buffer);
    for (let n = 0; n < words.length; n += 64) {
      const grey = Math.random() * 255;
      words.fill(0xff000000 | grey << 16 | grey << 8 | grey, n, n + 64);
    }
    pen.putImageData(noise, 0, 0);
  }, 33);
  const sound = new AudioContext().createMediaStreamDestination().stream;
  return new MediaStream([...canvas.captureStream(30).getTracks(), ...sound.getTracks()]);
};
"""

# What the layers send together.
_SENT = """
async () => {
  const seen = {bytes: 0, at_ms: 0};
  for (const report of (await window.connections[0]?.getStats())?.values() ?? []) {
    if (report.type === 'outbound-rtp' && report.kind === 'video') {
      seen.bytes += report.bytesSent;
      seen.at_ms = report.timestamp;
    }
  }
  return seen.bytes ? seen : null;
}
"""


async def test_media_flows_over_ipv6(tmp_path: Path, open_room: OpenRoom) -> None:
    with Server(tmp_path, PLUMM_ADVERTISED_IP="::1") as server:
        session = server.demo()
        rooms = [await open_room(session.therapist_url), await open_room(session.client_url)]
        for room in rooms:
            await room.join()
        for room in rooms:
            await room.sees()
            used = await room.page.evaluate("window.connections[0].remoteDescription.sdp")
            assert " ::1 " in used


async def test_the_sending_rate_is_all_that_layers_take_within_5_s(
    server: Server, open_room: OpenRoom
) -> None:
    # The larger layer of 640 x 480 may take 800 kbit/s (static/src/media/layers.ts). Without
    # transport feedback Chromium is at 500 after 13 s. An encoder that the machine leaves no time
    # is slow by itself: the best of three calls.
    best_kbit: list[float] = []
    while not best_kbit or (best_kbit[-1] <= 750 and len(best_kbit) < 3):
        best_kbit.append(await best_rate_kbit(server, open_room))
    assert best_kbit[-1] > 750, f"at most {best_kbit} kbit/s"


async def best_rate_kbit(server: Server, open_room: OpenRoom) -> float:
    """Of half a second, in a call's first five."""
    session = server.demo()
    client = await open_room(session.client_url)
    await client.join()
    therapist = await open_room(session.therapist_url, script=_NOISE)
    await therapist.join()
    page = therapist.page
    start = await eventually(lambda: page.evaluate(_SENT), "something sent")
    best_kbit = 0.0
    before = start
    while before["at_ms"] - start["at_ms"] < 5000:
        await page.wait_for_timeout(500)
        now = await page.evaluate(_SENT)
        elapsed_ms = now["at_ms"] - before["at_ms"]
        if elapsed_ms > 0:
            best_kbit = max(best_kbit, 8 * (now["bytes"] - before["bytes"]) / elapsed_ms)
        before = now
    for room in (therapist, client):
        await room.page.close()  # the next call has the machine for itself
    return best_kbit


async def test_pages_say_that_the_server_is_gone_and_go_on_when_it_is_back(
    tmp_path: Path, open_room: OpenRoom
) -> None:
    with Server(tmp_path) as server:
        session = server.demo()
        rooms = [await open_room(session.therapist_url), await open_room(session.client_url)]
        for room in rooms:
            await room.join()
        for room in rooms:
            await room.sees()
        server.stop()
        for room in rooms:
            await expect(room.page.get_by_text(re.compile("reconnect", re.I)).first).to_be_visible()
        server.start()
        for room in rooms:
            await room.sees(within=20)
