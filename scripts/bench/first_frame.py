"""How long a person waits: from the click on Join to the other's first picture, in Chromium."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from statistics import median
from typing import Final

from playwright.async_api import Page, async_playwright

from scripts.bench.server import running_server
from scripts.chromium import launch_chromium

JOINS: Final = 24
_FRAME_TIMEOUT_S: Final = 15.0

# Notes the click, then the first frame of any video element that shows a received track.
_WATCH: Final = """
(() => {
  const received = new Set();
  const Plain = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Plain {
    constructor(...args) {
      super(...args);
      this.addEventListener("track", (event) => received.add(event.track));
    }
  };
  let clickedAt = null;
  let shown;
  window.firstFrame = new Promise((resolve) => { shown = resolve; });
  addEventListener("click", (event) => {
    const onJoin = event.composedPath().some(
      (node) => node instanceof HTMLElement && node.textContent.trim() === "Join");
    if (onJoin) clickedAt ??= performance.now();
  }, true);
  const watch = (video) => video.requestVideoFrameCallback((now) => {
    const tracks = video.srcObject?.getVideoTracks() ?? [];
    if (clickedAt !== null && tracks.some((track) => received.has(track))) {
      shown(now - clickedAt);
    } else {
      watch(video);
    }
  });
  const plain = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, "srcObject");
  const watched = new WeakSet();
  Object.defineProperty(HTMLMediaElement.prototype, "srcObject", {
    ...plain,
    set(stream) {
      plain.set.call(this, stream);
      if (this instanceof HTMLVideoElement && !watched.has(this)) {
        watched.add(this);
        watch(this);
      }
    },
  });
})();
"""


async def first_frames(tell: Callable[[str], None], joins: int = JOINS) -> dict[str, float]:
    """The other participant is in the room; a fresh page joins it `joins` times, in ms.

    Server and browsers share all cores, as on one person's machine.
    """
    async with running_server(None) as server, AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())
        browser = await launch_chromium(playwright)
        stack.push_async_callback(browser.close)
        context = await browser.new_context(permissions=["camera", "microphone"])
        room = await server.open_room()
        waiting = await context.new_page()
        await _join(waiting, room.therapist_url)
        await context.add_init_script(_WATCH)
        waits_ms: list[float] = []
        for number in range(joins):
            tell(f"Join to first frame: {number + 1} of {joins}")
            page = await context.new_page()
            await _join(page, room.client_url)
            async with asyncio.timeout(_FRAME_TIMEOUT_S):
                waits_ms.append(float(await page.evaluate("window.firstFrame")))
            await page.close()
    waits_ms.sort()
    return {
        "join.joins": joins,
        "join.first_frame_p50_ms": median(waits_ms),
        # Nearest rank.
        "join.first_frame_p95_ms": waits_ms[-(-len(waits_ms) * 95 // 100) - 1],
    }


async def _join(page: Page, url: str) -> None:
    await page.goto(url)
    await page.get_by_role("button", name="Join", exact=True).click()
