"""What the server tells of a call: who speaks, how good each line is, what is watched."""

from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenRoom
from tests.browser.room import Room
from tests.browser.test_room import start_call
from tests.support.eventually import eventually
from tests.support.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")

# A voice in place of the fake microphone, whose beep is too short for one: off until it speaks.
VOICE = """
(() => {
  const native = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async constraints => {
    const stream = await native(constraints);
    if (!constraints.audio) return stream;
    const context = new AudioContext();
    const tone = new OscillatorNode(context, {type: 'sawtooth', frequency: 180});
    window.voice = new GainNode(context, {gain: 0});
    const out = context.createMediaStreamDestination();
    tone.connect(window.voice).connect(out);
    tone.start();
    return new MediaStream([...stream.getVideoTracks(), ...out.stream.getAudioTracks()]);
  };
})();
"""

_SENT = """
async () => {
  const layers = {};
  for (const pc of window.connections) {
    if (pc.connectionState === 'closed') continue;
    for (const report of (await pc.getStats()).values())
      if (report.type === 'outbound-rtp' && report.kind === 'video' && report.rid)
        layers[report.rid] = {
          bytes: report.bytesSent, width: report.frameWidth ?? 0, frames: report.framesSent ?? 0,
        };
  }
  return layers;
}
"""


async def sent(room: Room) -> dict[str, dict[str, Any]]:
    """By rid: what was sent of each layer of the camera."""
    layers: dict[str, dict[str, Any]] = await room.page.evaluate(_SENT)
    return layers


async def speak(room: Room, aloud: bool) -> None:
    await room.page.evaluate("gain => window.voice.gain.value = gain", 0.3 if aloud else 0)


def outlined(room: Room, name: str) -> Any:
    """The outlined picture of somebody."""
    return room.page.locator("plumm-tile[speaking]").filter(has_text=name)


async def test_in_a_group_the_one_who_speaks_is_outlined(
    server: Server, open_room: OpenRoom
) -> None:
    urls = server.group("Lena", ["Maya", "Tom"])
    lena, maya, tom = [await open_room(url, script=VOICE) for url in urls]
    for room in (lena, maya, tom):
        await room.join()
    for room in (lena, maya, tom):
        await room.sees(2, within=20)
    await speak(maya, True)
    for room in (lena, tom):
        await expect(outlined(room, "Maya")).to_have_count(1)
    await expect(maya.page.locator("plumm-tile[speaking]")).to_have_count(0)
    await speak(maya, False)
    await speak(tom, True)
    await expect(outlined(lena, "Tom")).to_have_count(1)
    await expect(outlined(lena, "Maya")).to_have_count(0)
    await tom.press("Mute")
    await expect(outlined(lena, "Tom")).to_have_count(0, timeout=10_000)


async def test_a_good_line_shows_for_both(server: Server, open_room: OpenRoom) -> None:
    call = await start_call(server, open_room)
    page = call.therapist.page
    await expect(page.get_by_role("img", name="Your connection: good")).to_be_visible(
        timeout=10_000
    )
    await expect(page.get_by_role("img", name="Maya Lind's connection: good")).to_be_visible()


async def test_a_camera_is_sent_in_layers_of_which_the_largest_is_the_whole_picture(
    server: Server, open_room: OpenRoom
) -> None:
    call = await start_call(server, open_room)
    camera_width = await call.client.page.locator("video[data-local]").evaluate(
        "video => video.videoWidth"
    )

    # A layer may rest before its first frame: each is asked for.
    await call.therapist.page.set_viewport_size({"width": 320, "height": 200})
    await eventually(lambda: only_sends(call.client, {"q"}), "the small layer alone", within=15)
    await call.therapist.page.set_viewport_size({"width": 1280, "height": 800})

    async def all_flow() -> bool:
        layers = await sent(call.client)
        assert len(layers) >= 2, f"layers {list(layers)}"
        assert all(layer["frames"] > 0 for layer in layers.values()), layers
        assert max(layer["width"] for layer in layers.values()) == camera_width, layers
        return True

    await eventually(all_flow, "every layer", within=15)


async def test_layers_that_nobody_watches_rest_on_later_connections_too(
    server: Server, open_room: OpenRoom
) -> None:
    call = await start_call(server, open_room)
    await call.therapist.page.set_viewport_size({"width": 320, "height": 200})
    await eventually(lambda: only_sends(call.client, {"q"}), "the small layer alone", within=15)
    await call.client.page.evaluate("window.connections.forEach(pc => pc.close())")
    await call.client.press("Refresh")
    await call.therapist.sees()
    await eventually(lambda: only_sends(call.client, {"q"}), "the small layer alone", within=15)
    await call.therapist.page.set_viewport_size({"width": 1280, "height": 800})
    await eventually(lambda: only_sends(call.client, {"h"}), "the large layer alone", within=15)
    await call.therapist.sees()


async def only_sends(room: Room, rids: set[str]) -> bool:
    before = await sent(room)
    await room.page.wait_for_timeout(1_000)
    after = await sent(room)
    sends = {rid for rid in after if after[rid]["frames"] > before.get(rid, after[rid])["frames"]}
    assert sends == rids, f"sends {sends}"
    return True
