"""A real Chromium sends its camera in layers; a viewer is switched between them by the relay."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from media.peer import Peer
from media.seats import Seat
from tests.support.eventually import eventually
from tests.support.media_server import MediaServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

ORIGIN = "https://layers.test/"
PAGE = """<!doctype html><title>Layers</title><script>
const sender = new RTCPeerConnection({bundlePolicy: "max-bundle"});
const viewer = new RTCPeerConnection({bundlePolicy: "max-bundle"});
const video = document.createElement("video");
video.muted = video.autoplay = true;
let renegotiations = 0;
viewer.onnegotiationneeded = () => { renegotiations++; };
viewer.ontrack = ({track}) => { video.srcObject = new MediaStream([track]); };
async function publish(encodings, codec) {
  const media = await navigator.mediaDevices.getUserMedia({
    video: {width: 1280, height: 720, frameRate: 30},
  });
  const transceiver = sender.addTransceiver(media.getVideoTracks()[0], {
    direction: "sendonly", sendEncodings: encodings,
  });
  const codecs = RTCRtpSender.getCapabilities("video").codecs;
  const rank = ({mimeType}) =>
    mimeType === `video/${codec}` ? 0 : mimeType === "video/rtx" ? 1 : 2;
  transceiver.setCodecPreferences(codecs.toSorted((a, b) => rank(a) - rank(b)));
}
function view() { viewer.addTransceiver("video", {direction: "recvonly"}); }
async function offer(pc) { await pc.setLocalDescription(); return pc.localDescription.sdp; }
async function accept(pc, sdp) { await pc.setRemoteDescription({type: "answer", sdp}); }
async function seen() {
  for (const report of (await viewer.getStats()).values())
    if (report.type === "inbound-rtp" && report.kind === "video")
      return {
        width: report.frameWidth, frames: report.framesDecoded, keyframes: report.keyFramesDecoded,
        freezes: report.freezeCount, frozen_s: report.totalFreezesDuration,
        dropped: report.framesDropped, lost: report.packetsLost, plis: report.pliCount,
        renegotiations, playing: video.videoWidth,
      };
  return {};
}
</script>"""


@dataclass
class Watched:
    """A camera in layers, and the slot of the viewer's that it feeds."""

    server: MediaServer
    page: Page
    track: int
    slot: int

    async def seen(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.page.evaluate("seen()")
        return found

    async def layers(self, count: int) -> None:
        """Until so many layers come in: the estimate of the bandwidth rises slowly."""

        def all_alive() -> bool:
            rows = self.server.relay.layer_stats(self.track)
            return len(rows) == count and all(0 <= row["age_ms"] < 300 for row in rows)

        await eventually(all_alive, f"{count} layers", within=20)

    async def width(self, width: int) -> dict[str, Any]:
        """Until the viewer sees pictures of this width."""

        async def sees() -> dict[str, Any]:
            seen = await self.seen()
            assert seen.get("width") == width, seen
            return seen

        return await eventually(sees, f"pictures {width} wide", within=10)


@pytest_asyncio.fixture(loop_scope="session")
async def server() -> AsyncIterator[MediaServer]:
    async with MediaServer() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def page(chromium: Browser) -> AsyncIterator[Page]:
    opened = await chromium.new_page()
    await opened.route(
        f"{ORIGIN}**", lambda route: route.fulfill(body=PAGE, content_type="text/html")
    )
    await opened.goto(ORIGIN)
    yield opened
    await opened.close()


async def watch(server: MediaServer, page: Page, encodings: str, codec: str) -> Watched:
    """A call in one page: the camera's connection and the viewer's."""
    await page.evaluate(f"publish({encodings}, '{codec}')")
    sending, viewing = server.peer(), server.peer()
    await connect(server, page, "sender", sending)
    await page.evaluate("view()")
    await connect(server, page, "viewer", viewing)
    (sent,) = sending.sent.values()
    slot = viewing.receptions[Seat("camera", 0)].subscription
    server.relay.set_source(slot, sent.track)
    return Watched(server, page, sent.track, slot)


async def connect(server: MediaServer, page: Page, name: str, peer: Peer) -> None:
    answer = server.answer(peer, await page.evaluate(f"offer({name})"))
    await page.evaluate(f"(sdp) => accept({name}, sdp)", answer)


async def switched(call: Watched, steps: list[tuple[int, int]]) -> None:
    """Each step is a layer and the width it has; none freezes or renegotiates."""
    before = await call.width(steps[0][1])
    await asyncio.sleep(1)  # the first frames of a call do come unevenly
    before = await call.seen()
    for layer, width in steps:
        call.server.relay.set_layer(call.slot, layer)
        reached = await call.width(width)
        await asyncio.sleep(1)
        after = await call.seen()
        assert after["frames"] > reached["frames"] + 10, (reached, after)
        assert call.server.relay.subscription_stats(call.slot)["layer"] == layer
    assert after["frozen_s"] - before["frozen_s"] < 0.2, (before, after)
    assert after["renegotiations"] == before["renegotiations"]


async def test_a_viewer_is_switched_between_simulcast_layers_without_a_freeze(
    server: MediaServer, page: Page
) -> None:
    encodings = """[
        {rid: "q", scaleResolutionDownBy: 4},
        {rid: "h", scaleResolutionDownBy: 2},
        {rid: "f"},
    ]"""
    call = await watch(server, page, encodings, "VP8")
    await call.layers(3)
    await switched(call, [(2, 1280), (0, 320), (2, 1280), (1, 640), (0, 320)])


async def test_a_viewer_is_switched_between_spatial_layers_of_one_stream(
    server: MediaServer, page: Page
) -> None:
    call = await watch(server, page, "[{scalabilityMode: 'L3T3_KEY'}]", "VP9")
    await call.layers(3)
    await switched(call, [(2, 1280), (0, 320), (2, 1280), (1, 640), (0, 320)])


async def frames(call: Watched, seconds: float) -> int:
    """How many the viewer decodes in this time."""
    before = await call.seen()
    await asyncio.sleep(seconds)
    after = await call.seen()
    return int(after["frames"]) - int(before["frames"])


@pytest.mark.parametrize("codec", ["VP9", "AV1"])
async def test_a_viewer_gets_fewer_pictures_of_a_temporal_layer_and_all_again(
    server: MediaServer, page: Page, codec: str
) -> None:
    encodings = "[{scalabilityMode: 'L1T3', scaleResolutionDownBy: 4}]"
    call = await watch(server, page, encodings, codec)
    await call.width(320)
    await asyncio.sleep(1)
    every = await frames(call, 2)
    server.relay.set_layer(call.slot, 7, 0)
    await asyncio.sleep(0.5)
    few = await frames(call, 2)
    server.relay.set_layer(call.slot, 7, 2)
    await asyncio.sleep(0.5)
    again = await frames(call, 2)
    # A picture in four is of the lowest layer.
    assert every / 8 < few < every / 2, (every, few, again)
    assert again > every / 2, (every, few, again)
    assert (await call.seen())["keyframes"] == 1, "no keyframe is needed"
