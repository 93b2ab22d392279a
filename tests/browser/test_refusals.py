"""Every way in which a visit can fail is a plain sentence with what to do."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import expect

from rooms.clock import SystemClock
from rooms.vocabulary import ParticipantId, SessionId
from signaling.tokens import Grant, Tokens
from tests.browser.conftest import OpenRoom
from tests.browser.room import Room
from tests.support.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


class StoppedClock:
    """The time when a link was made."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return 0.0


def devices_fail(name: str) -> str:
    """A browser whose camera and microphone fail with this DOMException."""
    return (
        "navigator.mediaDevices.getUserMedia = async () => "
        f"{{ throw new DOMException('test', '{name}'); }};"
    )


async def says(room: Room, text: str) -> None:
    await expect(room.page.get_by_text(re.compile(text, re.IGNORECASE)).first).to_be_visible()


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        ("NotAllowedError", "not allowed to use the .*Allow (it|them) in the address bar"),
        ("NotFoundError", "We found no .*Plug (one|them) in"),
        ("NotReadableError", "Another program is using your .*Close it"),
    ],
)
async def test_devices_that_fail_are_explained_and_one_can_still_join(
    server: Server, open_room: OpenRoom, failure: str, words: str
) -> None:
    session = server.demo()
    therapist = await open_room(session.therapist_url)
    await therapist.join()
    client = await open_room(session.client_url, script=devices_fail(failure))
    await says(client, words)
    await client.join()
    await client.sees()
    await client.hears()


async def test_an_expired_link_says_so(server: Server, open_room: OpenRoom) -> None:
    session = server.demo()
    long_ago = datetime.now(UTC) - timedelta(days=3)
    tokens = Tokens(server.secret, StoppedClock(long_ago))
    grant = Grant(SessionId(session.session_id), ParticipantId("someone"), "client")
    link = tokens.link(grant, long_ago + timedelta(hours=1))
    room = await open_room(f"{server.url}/room/{session.session_id}#{link}")
    await says(room, "This link has expired")


async def test_a_damaged_link_says_so(server: Server, open_room: OpenRoom) -> None:
    room = await open_room(server.demo().client_url.partition("#")[0] + "#nonsense")
    await says(room, "This link does not work")


async def test_who_comes_without_a_link_is_asked_to_sign_in(
    server: Server, open_room: OpenRoom
) -> None:
    room = await open_room(server.demo().client_url.partition("#")[0])
    await expect(room.page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_a_client_who_comes_after_the_end_sees_who_ended_it_and_how_long_it_lasted(
    server: Server, open_room: OpenRoom
) -> None:
    session = server.demo()
    therapist = await open_room(session.therapist_url)
    await therapist.join()
    await therapist.press("End session")
    dialog = therapist.page.get_by_role("dialog")
    await dialog.get_by_role("button", name="End session", exact=True).click()
    await says(therapist, "You ended it at .* It lasted")

    client = await open_room(session.client_url)
    await says(client, r"Dr\. Lena Hart ended it at .* It lasted less than a minute\.")


async def test_a_full_room_says_so(tmp_path: Path, open_room: OpenRoom) -> None:
    with Server(tmp_path, PLUMM_MAX_PARTICIPANTS="2") as server:
        urls = server.group("Lena", ["Maya", "Tom"])
        rooms = [await open_room(url) for url in urls]
        for room in rooms:
            await room.join()
        await says(rooms[2], "This room is full")
        await rooms[0].sees()


async def test_a_session_the_server_does_not_know_says_so(
    server: Server, open_room: OpenRoom
) -> None:
    tokens = Tokens(server.secret, SystemClock())
    grant = Grant(SessionId("of-another-server"), ParticipantId("someone"), "client")
    link = tokens.link(grant, datetime.now(UTC) + timedelta(hours=1))
    room = await open_room(f"{server.url}/room/{grant.session}#{link}")
    await says(room, "We do not know this session")
