"""What an admin sees of a running server, and that nobody else does."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, ViewportSize, expect

from tests.browser.account import sign_in
from tests.browser.conftest import OpenRoom
from tests.browser.room import Room
from tests.browser.test_accessibility import DESKTOP, PHONE, has_no_fault
from tests.support.server import Account, Server

RATE = re.compile(r"[1-9].* (k|M)bit/s")
SHARE = re.compile(r"\d %")
DELAY = re.compile(r"\d ms")

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One of its own: these tests say what is on it, and stop it."""
    with Server(tmp_path_factory.mktemp("operations")) as running:
        yield running


@pytest.fixture(scope="module")
def admin(server: Server) -> Account:
    return server.admin()


@pytest_asyncio.fixture(loop_scope="session")
async def page(server: Server, admin: Account, open_room: OpenRoom) -> AsyncIterator[Page]:
    """The operations page of an admin who signed in on the way to it."""
    page = (await open_room(f"{server.url}/operations")).page
    await sign_in(page, admin)
    await expect(page.get_by_role("heading", name="Operations")).to_be_visible()
    yield page


def tile(page: Page, title: str) -> Locator:
    return page.locator("dl > div").filter(has=page.locator("dt", has_text=title))


async def test_a_call_is_seen_by_its_figures_and_gone_when_it_is_over(
    server: Server, page: Page, open_room: OpenRoom
) -> None:
    await expect(page.get_by_text("Nobody is in a room")).to_be_visible()
    session = server.demo()
    rooms = [await open_room(url) for url in (session.therapist_url, session.client_url)]
    for room in rooms:
        await room.join()
    for room in rooms:
        await room.sees()
    table = page.get_by_role("table", name="Rooms")
    await expect(table.get_by_role("rowheader")).to_have_text([session.session_id])
    seats = table.get_by_role("row").filter(has_text=re.compile(r"Seat \d"))
    await expect(seats).to_have_count(2)
    for seat in (seats.first, seats.last):
        await expect(seat).to_contain_text("connected")
        # Quality; what it sends and receives; loss both ways; round trip.
        await expect(seat.locator("td[data-label]")).to_have_text(
            [re.compile("good|fair|poor"), RATE, RATE, SHARE, SHARE, DELAY], timeout=15_000
        )
    await expect(tile(page, "Rooms in use")).to_contain_text("2 participants")
    await expect(tile(page, "Relay thread")).to_contain_text(re.compile(r"[\d.]+ % busy"))
    shown = await page.locator("main").inner_text()
    for name in ("Lena", "Hart", "Maya", "Lind"):
        assert name not in shown
    await rooms[0].press("End session")
    await rooms[0].page.get_by_role("dialog").get_by_role("button", name="End session").click()
    await expect(page.get_by_text("Nobody is in a room")).to_be_visible(timeout=10_000)


async def test_whoever_is_no_admin_is_told_so_and_led_away(
    server: Server, open_room: OpenRoom
) -> None:
    page = (await open_room(f"{server.url}/operations")).page
    await sign_in(page, server.accounts().therapist)
    await expect(page.get_by_role("heading", name="Only administrators")).to_be_visible()
    await page.get_by_role("link", name="Go to your sessions").press("Enter")
    await expect(page.get_by_role("heading", name="Today")).to_be_visible()
    await expect(page.get_by_role("link", name="Operations")).to_have_count(0)


async def test_an_admin_finds_the_page_from_the_sessions(page: Page) -> None:
    await page.get_by_role("link", name="Sessions").press("Enter")
    await page.get_by_role("link", name="Operations").press("Enter")
    await expect(page.get_by_text("Parked deliveries")).to_be_visible()


async def test_a_server_that_is_gone_is_told_and_comes_back_by_itself(
    server: Server, page: Page
) -> None:
    await expect(page.get_by_text("Parked deliveries")).to_be_visible()
    server.kill()
    await expect(page.get_by_role("alert")).to_contain_text("does not answer", timeout=15_000)
    await expect(page.get_by_role("alert")).to_contain_text("s old")
    await expect(page.get_by_text("Parked deliveries")).to_be_visible()
    await has_no_fault(page, "operations, the server is gone")
    server.start()
    await expect(page.get_by_role("alert")).to_have_count(0, timeout=15_000)
    await expect(page.get_by_text("Nobody is in a room")).to_be_visible()


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_page_is_accessible(
    server: Server,
    page: Page,
    open_room: OpenRoom,
    size: ViewportSize,
    scheme: Literal["light", "dark"],
) -> None:
    await page.set_viewport_size(size)
    await page.emulate_media(color_scheme=scheme)
    await page.get_by_text("Nobody is in a room").wait_for()
    await has_no_fault(page, "operations, empty")
    session = server.demo()
    one: Room = await open_room(session.therapist_url)
    await one.join()
    await page.get_by_role("table", name="Rooms").wait_for()
    await has_no_fault(page, "operations, with a room")
    narrow = await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert narrow, "the page scrolls sideways"
    await one.press("End session")
    await one.page.get_by_role("dialog").get_by_role("button", name="End session").click()
    await page.get_by_text("Nobody is in a room").wait_for()
