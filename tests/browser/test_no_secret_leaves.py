"""What people are called and prove themselves with: in no console of a page, and in no request's
address, whatever they do on all pages. A link's token is in the link's fragment alone.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Request, Response, expect

from tests.browser.account import sign_in
from tests.browser.room import Room
from tests.browser.test_accessibility import confirm_end
from tests.support.eventually import eventually
from tests.support.server import Account, Server

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Each of them is found nowhere by chance.
THERAPIST: Final = "Canary-Lena-1f7d"
GUEST: Final = "Canary-Maya-c93a"
TITLE: Final = "Canary-Title-be51"
EMAIL: Final = "canary-lena-084f@example.org"
UNKNOWN_EMAIL: Final = "canary-nobody-77aa@example.org"
PASSWORD: Final = "canary-password-d7c2"
WRONG_PASSWORD: Final = "canary-wrong-e199"
NO_TOKEN: Final = "canary-token-3c88"


@dataclass(slots=True)
class Watch:
    """All that browser profiles said and asked for, and the secrets that passed by.

    addresses: of requests, sockets and pages, with their fragments. referrers: what requests told.
    """

    console: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    referrers: list[str] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)
    _contexts: list[BrowserContext] = field(default_factory=list)
    _pending: set[asyncio.Task[None]] = field(default_factory=set)

    async def opened(self, browser: Browser) -> Page:
        """A page in a profile of its own, watched from its first request on."""
        context = await browser.new_context()
        self._contexts.append(context)
        context.on("console", lambda said: self.console.append(said.text))
        context.on("weberror", lambda error: self.console.append(str(error.error)))
        context.on("request", lambda request: self.addresses.append(request.url))
        context.on("requestfinished", lambda request: self._later(self._note_referrer(request)))
        context.on("response", lambda response: self._later(self._note_secret(response)))
        context.on("page", lambda page: self._watch(page))
        return await context.new_page()

    async def close(self) -> None:
        """Close every profile; what they asked for is noted."""
        await self._settle()
        for context in self._contexts:
            self.secrets |= {cookie["value"] for cookie in await context.cookies()}
            for page in context.pages:
                browser_side = await context.new_cdp_session(page)
                history = await browser_side.send("Page.getNavigationHistory")
                self.addresses += [entry["url"] for entry in history["entries"]]
            await context.close()
        await self._settle()

    def told(self, planted: Collection[str]) -> list[str]:
        """What of it is in a console, an address without its fragment, or a referrer."""
        asked_for = [unquote(address.partition("#")[0]) for address in self.addresses]
        all_of_it = "\n".join([*self.console, *asked_for, *self.referrers])
        return [one for one in planted if one in all_of_it]

    @property
    def fragments(self) -> set[str]:
        """Of all addresses; browsers send none of them."""
        return {address.partition("#")[2] for address in self.addresses} - {""}

    def _watch(self, page: Page) -> None:
        page.on("websocket", lambda socket: self.addresses.append(socket.url))
        page.on("framenavigated", lambda frame: self.addresses.append(frame.url))

    async def _note_referrer(self, request: Request) -> None:
        if referrer := (await request.all_headers()).get("referer"):
            self.referrers.append(referrer)

    async def _note_secret(self, response: Response) -> None:
        if response.url.endswith("/join-token") and response.ok:
            self.secrets.add((await response.json())["token"])

    def _later(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _settle(self) -> None:
        while self._pending:
            await asyncio.gather(*self._pending)


async def test_no_name_address_password_or_token_is_in_a_console_or_an_address(
    chromium: Browser, tmp_path: Path
) -> None:
    watch = Watch(secrets={NO_TOKEN})
    with Server(tmp_path, PLUMM_LOG_LEVEL="debug") as server:
        words = ("user", "add", EMAIL, "--name", THERAPIST, "--role", "therapist")
        assert await asyncio.to_thread(server.command(*words).wait) == 0
        session = await asyncio.to_thread(
            lambda: server.book(therapist=None, therapist_email=EMAIL, client=GUEST, title=TITLE)
        )
        therapist = await watch.opened(chromium)
        watch.secrets.add(await chooses_a_password(server, therapist))
        await signs_in(therapist)
        guest_link = await copies_the_guest_link(therapist)
        watch.secrets.add(token_of(guest_link))
        await they_meet_while_the_server_dies(watch, chromium, server, therapist, guest_link)
        # Refused, with the page's words.
        late = await watch.opened(chromium)
        await late.goto(session.client_url)
        await expect(late.get_by_role("heading", name="This session has ended")).to_be_visible()
        await late.goto(f"{server.url}/room/{session.session_id}")
        await expect(late.get_by_role("heading", name="Sign in")).to_be_visible()
        await forgets_the_password(server, late)
        await signs_out(therapist)
        watch.secrets |= {token_of(session.client_url), token_of(session.therapist_url)}
        await watch.close()
        log = server.log

    assert len(watch.secrets) > 5
    planted = {THERAPIST, GUEST, TITLE, EMAIL, UNKNOWN_EMAIL, PASSWORD, WRONG_PASSWORD}
    planted |= watch.secrets | {server.secret}
    assert watch.told(planted) == []
    assert watch.referrers == []
    assert [one for one in planted if one in log] == []
    # In an address bar is the token of the link that was opened, and nothing beside it.
    assert watch.fragments <= watch.secrets


async def test_what_a_page_tells_is_found(chromium: Browser, server: Server) -> None:
    watch = Watch()
    page = await watch.opened(chromium)
    await page.goto(f"{server.url}/#in-the-bar")
    await page.evaluate("""async () => {
        console.log('in the', 'console');
        await fetch('/healthz?in=an%20address', {referrerPolicy: 'unsafe-url'});
        history.pushState(null, '', '/sign-in?in=history');
    }""")
    await eventually(lambda: f"{server.url}/" in watch.referrers, "the referrer")
    await watch.close()
    planted = ["in the console", "in=an address", "in=history", "nowhere"]
    assert watch.told(planted) == planted[:3]
    assert watch.fragments == {"in-the-bar"}


def token_of(link: str) -> str:
    return link.partition("#")[2]


async def chooses_a_password(server: Server, page: Page) -> str:
    """By the link of the mail; the token in it."""
    await page.goto(f"{server.url}/mail")
    link = page.get_by_role("article").filter(has_text=EMAIL).get_by_role("link")

    async def came() -> bool:
        await page.get_by_role("button", name="Look for new mail").click()
        return await link.count() == 1

    await eventually(came, "the mail")
    token = token_of(await link.get_attribute("href") or "")
    await link.click()
    await page.get_by_label("New password").fill(PASSWORD)
    await page.get_by_role("button", name="Save the password").click()
    await page.get_by_role("link", name="Sign in").click()
    return token


async def signs_in(page: Page) -> None:
    """At the second try."""
    await sign_in(page, Account(EMAIL, WRONG_PASSWORD))
    await expect(page.get_by_role("alert")).to_contain_text("is not right")
    await sign_in(page, Account(EMAIL, PASSWORD))
    await expect(page.get_by_role("heading", name="Today")).to_be_visible()


async def copies_the_guest_link(page: Page) -> str:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.get_by_role("button", name="Copy guest link").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    link: str = await page.evaluate("navigator.clipboard.readText()")
    return link


async def they_meet_while_the_server_dies(
    watch: Watch, chromium: Browser, server: Server, therapist: Page, guest_link: str
) -> None:
    guest = await watch.opened(chromium)
    await guest.goto(guest_link)
    await therapist.get_by_role("link", name="Join the session").click()
    rooms = [Room(therapist), Room(guest)]
    for room in rooms:
        await room.join()
    for room in rooms:
        await room.sees()
    await rooms[1].press("Mute")
    await guest.reload()
    await rooms[1].sees()
    server.kill()
    await eventually(
        lambda: any("ERR_CONNECTION_REFUSED" in said for said in watch.console),
        "a console that tells of it",
    )
    await asyncio.to_thread(server.start)
    for room in rooms:
        await room.sees(within=20)
    await rooms[0].press("End session")
    await confirm_end(rooms[0])
    await expect(guest.get_by_role("heading", name="This session has ended")).to_be_visible()
    await therapist.get_by_role("link", name="Go to your sessions").click()
    await therapist.get_by_text("Who was there, and when").press("Enter")
    async with therapist.expect_download() as download:
        await therapist.get_by_role("link", name="Receipt").click()
    await (await download.value).path()


async def forgets_the_password(server: Server, page: Page) -> None:
    await page.goto(f"{server.url}/reset")
    for email in (UNKNOWN_EMAIL, EMAIL):
        await page.goto(f"{server.url}/reset")
        await page.get_by_label("E-mail").fill(email)
        await page.get_by_role("button", name="Send me a link").click()
        await page.get_by_role("heading", name="Look into your mail").wait_for()
    await page.goto("about:blank")
    await page.goto(f"{server.url}/reset#{NO_TOKEN}")
    await page.get_by_label("New password").fill(PASSWORD)
    await page.get_by_role("button", name="Save the password").click()
    await expect(page.get_by_role("alert")).to_be_visible()


async def signs_out(page: Page) -> None:
    await page.locator("summary", has_text="Your account").press("Enter")
    await page.get_by_role("button", name="Sign out", exact=True).click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
