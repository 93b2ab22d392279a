"""A real Chromium and a real Firefox for each module, and one real server for all browser tests."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, async_playwright

from scripts.chromium import launch_chromium
from scripts.firefox import launched_firefox
from tests.browser.room import Room, record_connections
from tests.support.server import Server


class OpenRoom(Protocol):
    async def __call__(self, url: str, *, script: str = "") -> Room:
        """Open a link in a browser profile of its own; `script` runs before the page's own."""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as running:
        yield running


# A module's: what tests leave behind in a browser (its audio alone takes a third of a core after
# a while) would slow down all that come later.
@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await launch_chromium(playwright)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def firefox() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright, launched_firefox(playwright) as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def open_room(chromium: Browser, request: pytest.FixtureRequest) -> AsyncIterator[OpenRoom]:
    """Opens participants' links in Chromium; every profile is closed after the test."""
    async with opening_rooms(chromium, request) as open_:
        yield open_


@pytest_asyncio.fixture(loop_scope="session")
async def open_in_firefox(
    firefox: Browser, request: pytest.FixtureRequest
) -> AsyncIterator[OpenRoom]:
    """As `open_room`, in Firefox. It reaches no server on loopback."""
    async with opening_rooms(firefox, request) as open_:
        yield open_


@asynccontextmanager
async def opening_rooms(
    browser: Browser, request: pytest.FixtureRequest
) -> AsyncIterator[OpenRoom]:
    contexts: list[BrowserContext] = []
    rooms: list[Room] = []

    async def open_(url: str, *, script: str = "") -> Room:
        context = await browser.new_context(viewport={"width": 1280, "height": 800})
        contexts.append(context)
        await record_connections(context)
        if script:
            await context.add_init_script(script)
        page = await context.new_page()
        room = Room(page)
        rooms.append(room)
        await page.goto(url)
        return room

    yield open_
    results = Path(request.config.rootpath) / "test-results"
    for number, room in enumerate(rooms):
        if getattr(request.node, "failed", False) and not room.page.is_closed():
            results.mkdir(exist_ok=True)
            await room.page.screenshot(
                path=results / f"{request.node.name}-{browser.browser_type.name}-{number}.png"
            )
    for context in contexts:
        await context.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.when == "call":
        item.failed = report.failed  # type: ignore[attr-defined]
