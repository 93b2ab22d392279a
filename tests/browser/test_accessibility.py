"""WCAG 2.2 AA on every state of the pages, on a phone and a desktop, as axe-core judges it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, ViewportSize

from tests.browser.conftest import OpenRoom
from tests.browser.room import Room
from tests.support.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")

_AXE = Path(__file__).parents[2] / "static/node_modules/axe-core/axe.min.js"
_RUN = """
async without => {
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
  const {violations} = await axe.run(document, {
    runOnly: tags,
    rules: Object.fromEntries(without.map(rule => [rule, {enabled: false}])),
  });
  return violations.flatMap(({id, nodes}) => nodes.map(({target}) => `${id}: ${target.join(' ')}`));
}
"""

PHONE: ViewportSize = {"width": 390, "height": 844}
DESKTOP: ViewportSize = {"width": 1440, "height": 900}


async def has_no_fault(page: Page, state: str, *, without: Sequence[str] = ()) -> None:
    # What fades in is judged when it is there; a movement brings back controls that have faded.
    await page.mouse.move(4, 4)
    await page.mouse.move(8, 8)
    await page.evaluate(
        "new Promise(requestAnimationFrame).then(() => new Promise(requestAnimationFrame))"
        ".then(() => Promise.all(document.getAnimations().map(each => each.finished)))"
    )
    await page.evaluate(_AXE.read_text())
    faults: list[Any] = await page.evaluate(_RUN, list(without))
    assert not faults, f"{state}: {faults}"


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_every_page_of_a_session_is_accessible(
    server: Server, open_room: OpenRoom, size: ViewportSize
) -> None:
    home = await open_room(server.url)
    await home.page.set_viewport_size(size)
    await home.button("Start a demo session").wait_for()
    await has_no_fault(home.page, "home")
    await home.press("Start a demo session")
    await home.page.get_by_role("link", name="Open").first.wait_for()
    await has_no_fault(home.page, "home with links")

    session = server.demo()
    therapist = await open_room(session.therapist_url)
    await therapist.page.set_viewport_size(size)
    await therapist.button("Join").wait_for()
    await has_no_fault(therapist.page, "pre-join")
    await therapist.join()
    await therapist.page.get_by_text("Waiting for").first.wait_for()
    await has_no_fault(therapist.page, "waiting")

    client = await open_room(session.client_url)
    await client.join()
    await therapist.sees()
    await client.press("Mute")
    await therapist.page.get_by_text("muted", exact=True).first.wait_for()
    await has_no_fault(therapist.page, "in a call")
    await has_connection_bars(therapist)
    await has_no_fault(therapist.page, "in a call, with the connections' quality")
    if (
        size is DESKTOP
    ):  # a bar as narrow as a phone's has no room for it, nor have phones such a thing
        await client.press("Share screen")
        await therapist.page.locator("video[data-screen]").wait_for()
        await has_no_fault(therapist.page, "seeing a screen")
        await has_no_fault(client.page, "sharing a screen")
        await client.press("Stop sharing")
        await therapist.page.locator("video[data-screen]").wait_for(state="detached")
    await therapist.press("End session")
    await therapist.page.get_by_role("dialog").wait_for()
    # axe counts what lies behind a modal dialog as its buttons' neighbours; it is inert.
    await has_no_fault(therapist.page, "end dialog", without=["target-size"])
    await confirm_end(therapist)
    await has_no_fault(therapist.page, "ended, therapist")
    await client.page.get_by_role("heading").wait_for()
    await has_no_fault(client.page, "ended, client")


async def has_connection_bars(room: Room) -> None:
    await room.page.get_by_role("img", name="Your connection").wait_for()


async def confirm_end(therapist: Room) -> None:
    dialog = therapist.page.get_by_role("dialog")
    await dialog.get_by_role("button", name="End session", exact=True).click()
    await therapist.page.get_by_role("heading", name="ended").wait_for()
