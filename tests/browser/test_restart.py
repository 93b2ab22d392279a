"""Who was there, when what they are there by goes down: the server, a tab, a whole page."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.async_api import Error

from tests.browser.conftest import OpenRoom
from tests.browser.room import Room
from tests.support.attendance import media_stays
from tests.support.eventually import eventually
from tests.support.server import Server, Session

pytestmark = pytest.mark.asyncio(loop_scope="session")

# After the port is open again.
BACK_WITHIN_S = 8
# Presence is stored once a second.
STORED_WITHIN_S = 1.5


async def seen_together(data_dir: Path, session: Session, number: int = 1) -> bool:
    """Whether both have been there for two seconds, in their stay of this number."""
    stays = await media_stays(data_dir, session.session_id)
    newest = [of[-1] for of in stays.values() if len(of) == number]
    lengths = [(stay.until - stay.since).total_seconds() for stay in newest]
    assert len(lengths) == 2, f"stays: {stays}"
    return min(lengths) >= 2


async def begin(server: Server, open_room: OpenRoom) -> tuple[Session, Room, Room]:
    session = server.demo()
    therapist, client = [
        await open_room(url) for url in (session.therapist_url, session.client_url)
    ]
    for room in (therapist, client):
        await room.join()
    for room in (therapist, client):
        await room.sees()
    return session, therapist, client


async def is_muted(room: Room) -> bool:
    return await room.button("Unmute").is_visible()


async def test_after_a_kill_everyone_is_back_in_the_same_session_as_they_were(
    tmp_path: Path, open_room: OpenRoom
) -> None:
    with Server(tmp_path) as server:
        session, therapist, client = await begin(server, open_room)
        await client.press("Mute")
        await eventually(lambda: is_muted(client), "the mute")
        await eventually(lambda: seen_together(tmp_path, session))
        killed_at = time.time()
        server.kill()
        server.start()
        open_at = time.time()
        await asyncio.gather(
            therapist.sees(within=BACK_WITHIN_S), client.sees(within=BACK_WITHIN_S)
        )
        assert await is_muted(client)
        await eventually(therapist.page.get_by_text("muted").first.is_visible, "muted")
        await eventually(lambda: seen_together(tmp_path, session, number=2))
        await therapist.press("End session")
        dialog = therapist.page.get_by_role("dialog")
        await dialog.get_by_role("button", name="End session", exact=True).click()
        heading = client.page.get_by_role("heading", name="This session has ended")
        await eventually(heading.is_visible, "the end")
        stays = await media_stays(tmp_path, session.session_id)
    for before, after in stays.values():
        assert killed_at - STORED_WITHIN_S < before.until.timestamp() <= killed_at
        assert open_at - 1 < after.since.timestamp() < open_at + BACK_WITHIN_S


async def test_after_a_kill_the_camera_stays_off_and_the_screen_full(
    tmp_path: Path, open_room: OpenRoom
) -> None:
    with Server(tmp_path) as server:
        _, therapist, client = await begin(server, open_room)
        await client.press("Turn camera off")
        await client.press("Fullscreen")
        badge = therapist.page.get_by_text("full screen", exact=True).first
        await eventually(badge.is_visible, "the badge")
        server.kill()
        server.start()
        await client.sees(within=BACK_WITHIN_S)
        assert await client.button("Turn camera on").is_visible()
        assert await client.page.evaluate("document.fullscreenElement !== null")
        await eventually(badge.is_visible, "the badge again")


async def close(room: Room) -> None:
    await room.page.context.close()


async def crash(room: Room) -> None:
    with suppress(Error):  # what a page that is gone answers
        await room.page.goto("chrome://crash", timeout=1000)


@pytest.mark.parametrize("vanish", [close, crash])
async def test_one_whose_page_is_gone_is_counted_no_second_longer(
    tmp_path: Path, open_room: OpenRoom, vanish: Callable[[Room], Awaitable[None]]
) -> None:
    with Server(tmp_path) as server:
        session, therapist, client = await begin(server, open_room)
        await eventually(lambda: seen_together(tmp_path, session))
        began_at = time.time()
        await vanish(client)
        gone_at = time.time()
        reconnecting = therapist.page.get_by_text("reconnecting").first
        await eventually(reconnecting.is_visible, "the other to be missed")

        async def ends() -> list[float]:
            stays = await media_stays(tmp_path, session.session_id)
            return [of[-1].until.timestamp() for of in stays.values()]

        async def therapist_goes_on() -> bool:
            return max(await ends()) > gone_at + 2

        await eventually(therapist_goes_on)
        first, _ = sorted(await ends())
    assert began_at - STORED_WITHIN_S < first <= gone_at + 1
