"""The door of a booked session: too early, waiting to be let in, and in."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenRoom
from tests.browser.room import Room
from tests.support.eventually import eventually
from tests.support.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def heading(room: Room, text: str) -> None:
    await expect(room.page.get_by_role("heading", name=text)).to_be_visible()


async def test_a_client_waits_until_the_therapist_admits_it(
    server: Server, open_room: OpenRoom
) -> None:
    session = server.book(waiting_room=True)
    client = await open_room(session.client_url)
    await client.join()
    await heading(client, "Dr. Lena Hart will let you in")
    therapist = await open_room(session.therapist_url)
    await therapist.join()
    await expect(therapist.page.get_by_text("Maya Lind is waiting")).to_be_visible()
    assert await therapist.remote_videos().count() == 0
    await therapist.press("Admit")
    for room in (client, therapist):
        await room.sees()
    await expect(therapist.page.get_by_text("Maya Lind is waiting")).to_be_hidden()
    await client.page.reload()  # let in once is let in for the whole session
    await client.sees()


async def test_one_who_waits_hears_that_the_session_ended(
    server: Server, open_room: OpenRoom
) -> None:
    session = server.book(waiting_room=True)
    client, therapist = [
        await open_room(url) for url in (session.client_url, session.therapist_url)
    ]
    for room in (client, therapist):
        await room.join()
    await expect(therapist.page.get_by_text("Maya Lind is waiting")).to_be_visible()
    await therapist.press("End session")
    await therapist.page.get_by_role("dialog").get_by_role("button", name="End session").click()
    await heading(client, "This session has ended")


async def test_one_who_leaves_the_door_waits_no_more(server: Server, open_room: OpenRoom) -> None:
    session = server.book(waiting_room=True)
    client, therapist = [
        await open_room(url) for url in (session.client_url, session.therapist_url)
    ]
    for room in (client, therapist):
        await room.join()
    await expect(therapist.page.get_by_text("Maya Lind is waiting")).to_be_visible()
    await client.press("Leave")
    await expect(therapist.page.get_by_text("Maya Lind is waiting")).to_be_hidden()


async def test_one_who_is_early_is_told_when_the_room_opens_and_let_in_then(
    server: Server, open_room: OpenRoom
) -> None:
    opens_at = datetime.now(UTC) + timedelta(seconds=6)
    session = server.book(starts_at=(opens_at + timedelta(minutes=15)).isoformat())
    client = await open_room(session.client_url)
    await heading(client, "This room opens at")
    await eventually(client.button("Join").is_visible, "the way in", within=20)
