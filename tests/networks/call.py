"""A call of two real pages, one of them behind a bad link, the other beside the server."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.async_api import Playwright

from scripts.chromium import CHROMIUM, launch_chromium
from tests.browser.room import Room, record_connections
from tests.networks.watch import WATCH, Span, snapshot
from tests.support.impairment import Impairment
from tests.support.network import Client, Namespace, Network, State
from tests.support.server import Server

CLEAN: Final = Impairment()


@dataclass(frozen=True, slots=True)
class Call:
    """near: the page behind the link; far: the one beside the server, on a clean one."""

    link: Client
    server: Server
    near: Room
    far: Room

    async def over(self, seconds: float) -> tuple[Span, Span]:
        """What both pages see from now on, near first."""
        return await self.until(asyncio.sleep(seconds))

    async def until(self, done: Awaitable[None]) -> tuple[Span, Span]:
        """What both pages see until `done`; near first."""
        before = [await snapshot(room) for room in (self.near, self.far)]
        await done
        after = [await snapshot(room) for room in (self.near, self.far)]
        near, far = (Span(*pair) for pair in zip(before, after, strict=True))
        return near, far


def epoch_ms(state: State) -> float:
    """When a change of the link came into force, on the pages' clock."""
    return (state.at - time.monotonic() + time.time()) * 1000


@asynccontextmanager
async def call_over_a_link(
    playwright: Playwright, directory: Path, link: Impairment = CLEAN
) -> AsyncIterator[Call]:
    """Both see and hear each other. link: what it is while they join, both ways."""
    async with AsyncExitStack() as stack:
        network = stack.enter_context(Network())
        network.client().become(both=link)
        server = stack.enter_context(Server(directory, inside=network.server))
        session = server.demo()

        async def page(place: Namespace, url: str) -> Room:
            executable = place.executable(CHROMIUM, directory)
            browser = await launch_chromium(playwright, executable, trusting=server.url)
            stack.push_async_callback(browser.close)
            context = await browser.new_context(viewport={"width": 1280, "height": 800})
            await record_connections(context)
            await context.add_init_script(WATCH)
            room = Room(await context.new_page())
            await room.page.goto(url)
            await room.join()
            return room

        near = await page(network.client().namespace, session.client_url)
        far = await page(network.server, session.therapist_url)
        for room in (near, far):
            await room.sees(within=20)
            await room.hears(within=20)
        yield Call(network.client(), server, near, far)
