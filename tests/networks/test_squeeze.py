"""A viewer's downlink is squeezed and let go again: what two real browsers make of it."""

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Browser, Page, async_playwright

from scripts.chromium import CHROMIUM, launch_chromium
from tests.browser.room import Room, record_connections
from tests.support.eventually import eventually
from tests.support.impairment import Impairment
from tests.support.network import Network
from tests.support.server import Server

WIDE: Final = Impairment(delay_ms=20, rate_kbit=3000, queue_ms=200)
NARROW: Final = Impairment(delay_ms=20, rate_kbit=300, queue_ms=200)

_RECEIVED: Final = """
async () => {
  const seen = {};
  for (const report of (await window.connections.at(-1).getStats()).values()) {
    if (report.type !== 'inbound-rtp') continue;
    if (report.kind === 'video') {
      seen.bytes = report.bytesReceived;
      seen.frames = report.framesDecoded;
      seen.at_ms = report.timestamp;
    } else {
      seen.concealed = report.concealedSamples;
      seen.samples = report.totalSamplesReceived;
    }
  }
  return seen;
}
"""


class Watch:
    """What one page receives, between two looks."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._last: dict[str, Any] = {}

    async def look(self) -> dict[str, float]:
        """kbit, the picture's rate; frames a second; concealed, the share of sound."""
        before, self._last = self._last, await self._page.evaluate(_RECEIVED)
        if not before:
            return {"kbit": 0.0, "frames": 0.0, "concealed": 0.0}
        seen = self._last
        took_s = max(0.001, (seen["at_ms"] - before["at_ms"]) / 1000)
        return {
            "kbit": (seen["bytes"] - before["bytes"]) * 8 / 1000 / took_s,
            "frames": (seen["frames"] - before["frames"]) / took_s,
            "concealed": (seen["concealed"] - before["concealed"])
            / max(1, seen["samples"] - before["samples"]),
        }

    async def watch(self, seconds: int) -> list[dict[str, float]]:
        """One look a second."""
        await self.look()
        seen = []
        for _ in range(seconds):
            await asyncio.sleep(1)
            seen.append(await self.look())
        return seen


async def open_room(browser: Browser, url: str) -> Room:
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    await record_connections(context)
    room = Room(await context.new_page())
    await room.page.goto(url)
    await room.join()
    return room


def mean(seen: list[dict[str, float]], what: str) -> float:
    return sum(each[what] for each in seen) / len(seen)


@pytest.mark.asyncio
async def test_a_squeezed_downlink_gets_less_of_a_picture_and_all_of_the_sound(
    tmp_path: Path,
) -> None:
    with Network() as network, Server(tmp_path, inside=network.server) as server:
        session = server.demo()
        async with async_playwright() as playwright:
            near, far = [
                await launch_chromium(
                    playwright, where.executable(CHROMIUM, tmp_path), trusting=server.url
                )
                for where in (network.server, network.client().namespace)
            ]
            network.client().become(down=WIDE, up=Impairment(delay_ms=20))
            await open_room(near, session.therapist_url)
            viewer = await open_room(far, session.client_url)
            await viewer.sees(within=20)
            watch = Watch(viewer.page)

            async def is_full() -> bool:
                await watch.look()
                await asyncio.sleep(1)
                seen = await watch.look()
                assert seen["kbit"] > 600, seen
                return True

            await eventually(is_full, "a picture in full", within=20)
            before = await watch.watch(3)
            network.client().become(down=NARROW)
            squeezed = await watch.watch(12)
            network.client().become(down=WIDE)
            after = await watch.watch(12)
            await near.close()
            await far.close()
    full = mean(before, "kbit")
    assert all(each["kbit"] < 300 for each in squeezed[3:]), squeezed
    assert mean(squeezed[6:], "frames") > 5, squeezed
    assert mean(squeezed, "concealed") < 0.1, squeezed
    assert mean(squeezed[3:], "concealed") < 0.02, squeezed
    assert mean(after[10:], "kbit") > 0.7 * full, after
    assert mean(after, "concealed") < 0.02, after
