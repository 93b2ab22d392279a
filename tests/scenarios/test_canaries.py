"""What people are called, write and prove themselves with appears in no log line and no URL."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError

import aiohttp
import pytest

from scripts.client.peer import Peer
from signaling.client import RefusedByServer
from tests.support.eventually import eventually
from tests.support.server import Server

# Each of them is found nowhere by chance.
THERAPIST: Final = "Canary-Lena-7d1f"
CLIENT: Final = "Canary-Maya-a93c"
TITLE: Final = "Canary-Title-51be"
EMAIL: Final = "canary-4f08@example.org"
PASSWORD: Final = "Canary-Password-c2d7"
WRONG_PASSWORD: Final = "Canary-Wrong-99e1"
MESSAGE: Final = "Canary-Message-0b6a"
TOKEN: Final = "Canary.Token-3e5d.x"


async def _post(
    http: aiohttp.ClientSession, url: str, body: Any, bearer: str | None = None
) -> tuple[int, Any]:
    headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
    async with http.post(url, json=body, headers=headers) as response:
        return response.status, await response.json(content_type=None)


async def _refused(peer: Peer, event: str, payload: dict[str, Any]) -> None:
    with pytest.raises(RefusedByServer):
        await peer.room.request(event, payload)


async def _whole_life(server: Server) -> list[str]:
    """Everything that people do, and much that is refused; the secrets that were made for it."""
    session = await asyncio.to_thread(
        lambda: server.book(therapist=THERAPIST, client=CLIENT, title=TITLE)
    )
    links = [session.therapist_url.partition("#")[2], session.client_url.partition("#")[2]]
    peers = [Peer(session.therapist_url), Peer(session.client_url)]
    # unsafe: the jar keeps cookies of an address, too.
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as http:
        _, made = await _post(http, f"{server.url}/api/join-token", {}, links[0])
        _, demo = await _post(http, f"{server.url}/api/demo", {})
        account = demo["accounts"][0]
        signed_in = {"email": account["email"], "password": account["password"]}
        assert (await _post(http, f"{server.url}/api/sign-in", signed_in))[0] == 200
        for email, password in (
            (account["email"], WRONG_PASSWORD),
            (EMAIL, PASSWORD),
            (f"{EMAIL}\n", PASSWORD),
            (EMAIL * 100, PASSWORD),
        ):
            body = {"email": email, "password": password}
            assert (await _post(http, f"{server.url}/api/sign-in", body))[0] >= 400
        await _post(http, f"{server.url}/api/password-reset", {"email": account["email"]})
        choice = {"token": TOKEN, "password": PASSWORD}
        assert (await _post(http, f"{server.url}/api/password-reset/choose", choice))[0] >= 400
        assert (await _post(http, f"{server.url}/api/join-token", {}, TOKEN))[0] >= 400
        assert (await _post(http, f"{server.url}/api/sessions", {"title": TITLE}))[0] >= 400
        async with http.get(f"{server.url}/room/{MESSAGE}") as page:
            assert page.status < 500
        async with http.post(
            f"{server.url}/api/sign-in", data=b'{"email": ' + EMAIL.encode()
        ) as bad:
            assert bad.status >= 400
        cookies = [cookie.value for cookie in http.cookie_jar]
    try:
        for peer in peers:
            await peer.join()
            await peer.connect()
        await _refused(peers[1], "session:end", {})
        await _refused(peers[1], "state:set", {"microphone": MESSAGE})
        await _refused(peers[1], f"chat:{MESSAGE}", {"text": MESSAGE})
        await _refused(
            peers[1], "rtc:offer", {"connection": "c", "seq": 1, "sdp": MESSAGE, "sources": {}}
        )
        await peers[0].room.request("session:end", {})
        with pytest.raises(RefusedByServer):
            await Peer(session.client_url).join()
    finally:
        for peer in peers:
            await peer.close()
    return [*links, made["token"], *cookies, account["email"], account["password"], server.secret]


@pytest.mark.parametrize("style", ["console", "json"])
async def test_no_name_address_secret_or_message_is_logged(tmp_path: Path, style: str) -> None:
    with Server(tmp_path, PLUMM_LOG_LEVEL="debug", PLUMM_LOG_FORMAT=style) as server:
        secrets = await _whole_life(server)
        await eventually(lambda: "session.ended" in server.log, "the end in the log")
        with closing(sqlite3.connect(tmp_path / "plumm.sqlite3")) as database:
            database.execute("ALTER TABLE events RENAME TO elsewhere")
            with pytest.raises(HTTPError):
                server.book(therapist=THERAPIST, client=CLIENT, title=TITLE)
            database.execute("ALTER TABLE elsewhere RENAME TO events")
        # Died with everything open, and started on what it left.
        server.kill()
        server.start()
    planted = [THERAPIST, CLIENT, TITLE, EMAIL, PASSWORD, WRONG_PASSWORD, MESSAGE, TOKEN, *secrets]
    assert len(secrets) >= 7
    assert [one for one in planted if one in server.log] == []
