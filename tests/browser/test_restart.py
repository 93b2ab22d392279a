"""Who was there, when what they are there by goes down: the server, a tab, a whole page."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.async_api import Error

from rooms import store
from rooms.attendance import Interval
from rooms.db.engine import Database, sqlite_url
from rooms.vocabulary import SessionId
from tests.browser.conftest import OpenRoom
from tests.browser.room import Room
from tests.support.eventually import eventually
from tests.support.server import Server, Session

pytestmark = pytest.mark.asyncio(loop_scope="session")

# After the port is open again.
BACK_WITHIN_S = 8
# Presence is stored once a second.
STORED_WITHIN_S = 1.5


async def stays(data_dir: Path, session: Session) -> list[list[Interval]]:
    """The stays with media of each participant, as they are stored by now."""
    database = await Database.open(sqlite_url(data_dir / "plumm.sqlite3"))
    try:
        async with database.reading() as connection:
            of = SessionId(session.session_id)
            found = (await store.intervals(connection, [of]))[of]
    finally:
        await database.close()
    media = [stay for stay in found if stay.kind == "media"]
    people = dict.fromkeys(stay.participant for stay in media)
    return [[stay for stay in media if stay.participant == one] for one in people]


async def seen_together(data_dir: Path, session: Session, number: int = 1) -> bool:
    """Whether both have been there for two seconds, in their stay of this number."""
    people = await stays(data_dir, session)
    lengths = [(of[-1].until - of[-1].since).total_seconds() for of in people if len(of) == number]
    assert len(lengths) == 2, f"stays: {people}"
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
        people = await stays(tmp_path, session)
    for before, after in people:
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

        async def therapist_goes_on() -> bool:
            ends = [of[-1].until.timestamp() for of in await stays(tmp_path, session)]
            return max(ends) > gone_at + 2

        await eventually(therapist_goes_on)
        ends = sorted(of[-1].until.timestamp() for of in await stays(tmp_path, session))
    assert began_at - STORED_WITHIN_S < ends[0] <= gone_at + 1
