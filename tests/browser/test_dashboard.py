"""People with accounts: signing in, their sessions, the way in and what is there afterwards."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import ViewportSize, expect

from tests.browser.account import sign_in
from tests.browser.conftest import OpenRoom
from tests.browser.room import Room
from tests.browser.test_accessibility import DESKTOP, PHONE, confirm_end, has_no_fault
from tests.support.eventually import eventually
from tests.support.server import Account, Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def dashboard(open_room: OpenRoom, server: Server, account: Account) -> Room:
    room = await open_room(f"{server.url}/dashboard")
    await sign_in(room.page, account)
    await expect(room.page.get_by_role("heading", name="Today")).to_be_visible()
    return room


async def test_a_wrong_password_is_said_kindly_and_the_right_one_leads_on(
    server: Server, open_room: OpenRoom
) -> None:
    made = server.accounts()
    room = await open_room(f"{server.url}/sign-in?next=/room/{made.session_id}")
    await sign_in(room.page, Account(made.client.email, "not the password"))
    await expect(room.page.get_by_role("alert")).to_contain_text("is not right")
    await sign_in(room.page, made.client)
    await expect(room.button("Join")).to_be_visible()


async def test_two_meet_from_their_dashboards_and_find_the_session_there_afterwards(
    server: Server, open_room: OpenRoom, tmp_path: Path
) -> None:
    made = server.accounts()
    rooms = [await dashboard(open_room, server, one) for one in (made.therapist, made.client)]
    therapist, client = rooms
    for room in rooms:
        await room.page.get_by_role("link", name="Join the session").click()
        await room.join()
    for room in rooms:
        await room.sees()
    await therapist.press("End session")
    await confirm_end(therapist)
    for room, ended in ((therapist, "You ended it at"), (client, "Dr. Lena Hart ended it at")):
        await room.page.get_by_role("link", name="Go to your sessions").click()
        await expect(room.page.get_by_text(ended)).to_be_visible()
    await therapist.page.get_by_text("Who was there, and when").press("Enter")
    await expect(therapist.page.get_by_text("There at the same time")).to_be_visible()
    async with client.page.expect_download() as download:
        await client.page.get_by_role("link", name="Receipt").click()
    await (await download.value).save_as(tmp_path / "receipt.json")
    assert made.session_id in json.dumps(json.loads((tmp_path / "receipt.json").read_text()))


async def test_a_guest_link_from_the_dashboard_lets_the_client_in(
    server: Server, open_room: OpenRoom
) -> None:
    therapist = await dashboard(open_room, server, server.accounts().therapist)
    await therapist.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await therapist.page.get_by_role("button", name="Copy guest link").click()
    await expect(therapist.page.get_by_role("button", name="Copied")).to_be_visible()
    guest = await open_room(await therapist.page.evaluate("navigator.clipboard.readText()"))
    await expect(guest.button("Join")).to_be_visible()


async def test_a_session_that_nobody_ended_counts_once_its_therapist_says_so(
    server: Server, open_room: OpenRoom
) -> None:
    made = server.accounts()
    session = server.book(
        therapist=None,
        therapist_email=made.therapist.email,
        title="The forgotten one",
        minutes=5,
        starts_at=(datetime.now(UTC) - timedelta(minutes=4, seconds=50)).isoformat(),
    )
    rooms = [await open_room(url) for url in (session.therapist_url, session.client_url)]
    for room in rooms:
        await room.join()
    for room in rooms:
        await room.sees()
    for room in rooms:  # and nobody presses End session
        await room.page.close()
    therapist = await dashboard(open_room, server, made.therapist)
    # 30 s after its booked end, and the page looks again by itself.
    confirm = therapist.button("It took place")
    await expect(confirm).to_be_visible(timeout=60_000)
    await confirm.click()
    await expect(therapist.page.get_by_text("Ended late")).to_be_visible()
    await expect(confirm).to_be_hidden()


async def test_a_session_ahead_counts_down_and_opens_by_itself(
    server: Server, open_room: OpenRoom
) -> None:
    made = server.accounts()
    therapist = await dashboard(open_room, server, made.therapist)
    opens_at = datetime.now(UTC) + timedelta(seconds=6)
    server.book(
        therapist=None,
        client=None,
        therapist_email=made.therapist.email,
        client_email=made.client.email,
        title="The next one",
        starts_at=(opens_at + timedelta(minutes=15)).isoformat(),
    )
    await therapist.page.reload()
    await expect(therapist.page.get_by_text("Opens in 0:0")).to_be_visible()
    await expect(therapist.page.get_by_role("link", name="Join")).to_have_count(2, timeout=15_000)


async def test_signing_out_everywhere_leads_every_page_back_to_the_sign_in(
    server: Server, open_room: OpenRoom
) -> None:
    made = server.accounts()
    one, other = [await dashboard(open_room, server, made.client) for _ in range(2)]
    await one.page.locator("summary", has_text="Your account").press("Enter")
    await one.press("Sign out everywhere")
    await expect(one.page.get_by_role("heading", name="Sign in")).to_be_visible()
    await other.page.locator("summary", has_text="Your account").press("Enter")
    await other.press("Sign out")
    await expect(other.page.get_by_text("You were away for a while")).to_be_visible()
    await sign_in(other.page, made.client)
    await expect(other.page.get_by_role("heading", name="Today")).to_be_visible()


async def test_a_forgotten_password_is_asked_for_without_telling_who_has_an_account(
    server: Server, open_room: OpenRoom
) -> None:
    room = await open_room(f"{server.url}/sign-in")
    await room.page.get_by_role("link", name="Forgot").click()
    await room.page.get_by_label("E-mail").fill("nobody@example.org")
    await room.press("Send me a link")
    await expect(room.page.get_by_role("heading", name="Look into your mail")).to_be_visible()


async def test_a_new_password_is_chosen_by_the_link_of_the_mail(
    server: Server, open_room: OpenRoom
) -> None:
    client = server.accounts().client
    room = await open_room(f"{server.url}/reset")
    await room.page.get_by_label("E-mail").fill(client.email)
    await room.press("Send me a link")
    await room.page.get_by_role("heading", name="Look into your mail").wait_for()
    await room.page.goto(f"{server.url}/mail")
    mail = room.page.get_by_role("article").filter(has_text=client.email)

    async def there() -> bool:
        await room.press("Look for new mail")
        return await mail.count() == 1

    await eventually(there, "the mail with the link")
    await has_no_fault(room.page, "mail")
    await mail.get_by_role("link").click()
    await room.page.get_by_label("New password").fill("quiet rooms have four walls")
    await room.press("Save the password")
    await room.page.get_by_role("link", name="Sign in").click()
    await sign_in(room.page, Account(client.email, "quiet rooms have four walls"))
    await expect(room.page.get_by_role("heading", name="Today")).to_be_visible()


async def test_a_link_for_a_new_password_that_is_not_valid_is_refused_with_the_next_step(
    server: Server, open_room: OpenRoom
) -> None:
    room = await open_room(f"{server.url}/reset#not-a-token")
    await room.page.get_by_label("New password").fill("a long enough password")
    await room.press("Save the password")
    await expect(room.page.get_by_role("alert")).to_contain_text("Ask for a new one")
    await room.page.get_by_role("link", name="Ask for a new link").click()
    await expect(room.button("Send me a link")).to_be_visible()


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_pages_of_people_with_accounts_are_accessible(
    server: Server, open_room: OpenRoom, size: ViewportSize, scheme: Literal["light", "dark"]
) -> None:
    made = server.accounts()
    for ahead in (timedelta(minutes=40), timedelta(days=3)):
        server.book(
            therapist=None,
            client=None,
            therapist_email=made.therapist.email,
            client_email=made.client.email,
            title="Individual session",
            starts_at=(datetime.now(UTC) + ahead).isoformat(),
        )
    room = await open_room(f"{server.url}/sign-in")
    await room.page.set_viewport_size(size)
    await room.page.emulate_media(color_scheme=scheme)
    await has_no_fault(room.page, "sign in")
    await sign_in(room.page, Account(made.therapist.email, "not the password"))
    await room.page.get_by_role("alert").wait_for()
    await has_no_fault(room.page, "sign in, refused")
    await sign_in(room.page, made.therapist)
    await room.page.get_by_role("heading", name="Coming up").wait_for()
    await has_no_fault(room.page, "dashboard")
    await room.page.locator("summary", has_text="Your account").click()
    await has_no_fault(room.page, "dashboard, account")
    for path in ("/reset", "/reset#token"):
        await room.page.goto("about:blank")
        await room.page.goto(server.url + path)
        await room.page.get_by_role("heading", name="Choose").wait_for()
        await has_no_fault(room.page, path)
