"""A server that has no room for more people, and a page that waits for it."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenRoom
from tests.support.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_page_waits_for_room_and_then_comes_in_by_itself(
    tmp_path: Path, open_room: OpenRoom
) -> None:
    with Server(tmp_path, PLUMM_MAX_PEOPLE="2") as server:
        full, later = server.demo(), server.demo()
        before = await open_room(later.client_url)  # at the card before the room is full
        await expect(before.button("Join")).to_be_visible()
        first, second = [await open_room(url) for url in (full.therapist_url, full.client_url)]
        for room in (first, second):
            await room.join()
        for room in (first, second):
            await room.sees()

        await before.join()
        newcomer = await open_room(later.therapist_url)
        for room in (before, newcomer):
            heading = room.page.get_by_role("heading", name="We are very busy right now")
            await expect(heading).to_be_visible()
        await first.page.reload()  # whoever is in is not asked to wait
        await first.sees()

        await first.press("End session")
        dialog = first.page.get_by_role("dialog")
        await dialog.get_by_role("button", name="End session", exact=True).click()
        # Who had pressed Join is in the room, who had not is asked to.
        await expect(before.button("Refresh")).to_be_visible(timeout=30_000)
        await expect(newcomer.button("Join")).to_be_visible(timeout=30_000)
        await newcomer.join()
        await newcomer.sees()
        await before.sees()
