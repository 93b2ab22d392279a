"""The HTTP side."""

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import text

from rooms.vocabulary import SessionId
from signaling.http import (
    _DEMOS_BURST,
)
from signaling.pages import add_pages
from signaling.protocol import MAX_MESSAGE_BYTES
from signaling.tokens import JOIN_TOKENS_BURST
from tests.support.eventually import eventually
from tests.unit.signaling.harness import Booking, Client, Json, Server, running_server


async def post(
    server: Server, path: str, token: str | None = None, *, data: Any = None, json: Any = None
) -> ClientResponse:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return await server.http.post(server.url + path, headers=headers, data=data, json=json)


async def code_of(response: ClientResponse) -> str:
    error: Json = (await response.json())["error"]
    assert set(error) == {"code", "message"}
    return str(error["code"])


async def test_a_link_token_is_changed_for_a_join_token_that_opens_a_socket(
    booking: Booking,
) -> None:
    response = await post(booking.server, "/api/join-token", booking.link_token("Maya"))
    assert response.status == 200
    assert response.headers["Cache-Control"] == "no-store"
    body = await response.json()
    assert body["expires_in"] == 120
    client = Client(booking.server.url)
    booking.server.sockets.append(client)
    await client.connect(body["token"])
    assert (await client.done("room:join", {}))["role"] == "client"


async def test_join_token_refusals_have_the_status_of_their_code(booking: Booking) -> None:
    server = booking.server
    refused = [
        await post(server, "/api/join-token"),
        await post(server, "/api/join-token", "nonsense"),
        await post(server, "/api/join-token", booking.join_token("Maya")),
    ]
    assert [(r.status, await code_of(r)) for r in refused] == [
        (401, "token.missing"),
        (401, "token.invalid"),
        (401, "token.invalid"),
    ]
    link = booking.link_token("Maya")
    server.clock.advance(26 * 3600)
    expired = await post(server, "/api/join-token", link)
    assert (expired.status, await code_of(expired)) == (401, "token.expired")


async def test_an_admin_makes_a_session_whose_links_lead_into_it(server: Server) -> None:
    wanted = {"therapist": "Lena", "client": "Maya", "minutes": 50, "title": "Talk"}
    response = await post(server, "/api/sessions", server.plumm.tokens.admin(), json=wanted)
    assert response.status == 201
    body = await response.json()
    assert set(body) == {"session_id", "therapist_url", "client_url"}
    for role in ("therapist", "client"):
        address, link = body[f"{role}_url"].split("#")
        assert address == f"{server.url}/room/{body['session_id']}"
        token = (await (await post(server, "/api/join-token", link)).json())["token"]
        client = Client(server.url)
        server.sockets.append(client)
        await client.connect(token)
        welcome = await client.done("room:join", {})
        assert welcome["role"] == role
        assert welcome["session"]["title"] == "Talk"
        assert welcome["session"]["ends_at"] == "2026-11-22T10:50:00Z"


async def test_further_clients_get_links_of_their_own(server: Server) -> None:
    wanted = {"therapist": "Lena", "client": "Maya", "others": ["Noor", "Ada"]}
    response = await post(server, "/api/sessions", server.plumm.tokens.admin(), json=wanted)
    body = await response.json()
    assert len({body["therapist_url"], body["client_url"], *body["other_urls"]}) == 4
    link = body["other_urls"][1].split("#")[1]
    grant = server.plumm.tokens.read_link(link)
    assert (await server.plumm.rooms.invitation(grant.session, grant.participant)).name == "Ada"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "[" * 30_000,
        "\ud800".encode("utf-8", "surrogatepass"),
        '{"therapist":"Lena"}',
        '{"therapist":"Lena","therapist_email":"l@example.org","client":"Maya"}',
        '{"therapist":"","client":"Maya"}',
        '{"therapist":"Lena","client":"Maya","minutes":"60"}',
        '{"therapist":"Lena","client":"Maya","minutes":100000}',
        '{"therapist":"Lena","client":"Maya","admin":true}',
    ],
)
async def test_a_malformed_session_request_is_refused_with_a_code(
    server: Server, body: str | bytes
) -> None:
    response = await post(server, "/api/sessions", server.plumm.tokens.admin(), data=body)
    assert (response.status, await code_of(response)) == (400, "message.malformed")


async def test_a_session_request_without_an_admin_token_is_refused(booking: Booking) -> None:
    wanted = {"therapist": "Lena", "client": "Maya"}
    response = await post(booking.server, "/api/sessions", booking.link_token("Lena"), json=wanted)
    assert (response.status, await code_of(response)) == (401, "token.invalid")


async def test_an_oversized_request_is_refused_with_a_code(server: Server) -> None:
    response = await post(
        server, "/api/sessions", server.plumm.tokens.admin(), data="x" * (MAX_MESSAGE_BYTES + 1)
    )
    assert (response.status, await code_of(response)) == (413, "message.too_large")


async def test_anyone_on_this_machine_makes_a_demo_session_from_our_own_page(
    server: Server,
) -> None:
    response = await server.http.post(
        f"{server.url}/api/demo", headers={"Origin": server.settings.allowed_origins[0]}
    )
    assert response.status == 201
    made = await response.json()
    assert set(made) == {"session_id", "therapist_url", "client_url", "accounts"}
    for account, name in zip(made["accounts"], ("Dr. Lena Hart", "Maya Lind"), strict=True):
        user = await server.plumm.people.find(account["email"])
        assert (user.name, user.role) == (name, account["role"])
        await server.plumm.people.sign_in(account["email"], account["password"], "127.0.0.1")
        assert await server.plumm.rooms.sessions_of(user.id, server.clock.now())


async def test_a_page_of_another_origin_makes_no_demo_session(server: Server) -> None:
    response = await server.http.post(
        f"{server.url}/api/demo", headers={"Origin": "https://elsewhere.example"}
    )
    assert (response.status, await code_of(response)) == (403, "origin.forbidden")


async def test_demo_sessions_are_made_at_a_bounded_rate(server: Server) -> None:
    made = [await post(server, "/api/demo") for _ in range(_DEMOS_BURST + 1)]
    assert [response.status for response in made[:-1]] == [201] * _DEMOS_BURST
    assert (made[-1].status, await code_of(made[-1])) == (429, "rate.limited")
    refused = "plumm_http_refused_requests_total"
    assert server.plumm.metrics.value(refused, code="rate.limited") == 1
    server.clock.advance(1)
    assert (await post(server, "/api/demo")).status == 201


async def test_one_link_gets_join_tokens_at_a_bounded_rate(booking: Booking) -> None:
    server, link = booking.server, booking.link_token("Maya")
    for _ in range(JOIN_TOKENS_BURST):
        assert (await post(server, "/api/join-token", link)).status == 200
    refused = await post(server, "/api/join-token", link)
    assert (refused.status, await code_of(refused)) == (429, "rate.limited")
    assert (await post(server, "/api/join-token", booking.link_token("Lena"))).status == 200
    server.clock.advance(1)
    assert (await post(server, "/api/join-token", link)).status == 200


async def test_refused_requests_are_counted_by_code(server: Server) -> None:
    await post(server, "/api/join-token")
    await post(server, "/api/join-token", "nonsense")
    await post(server, "/api/sessions", "nonsense")
    counted = server.plumm.metrics.value
    assert counted("plumm_http_refused_requests_total", code="token.missing") == 1
    assert counted("plumm_http_refused_requests_total", code="token.invalid") == 2


async def test_unknown_paths_and_methods_are_plain_text(server: Server) -> None:
    nowhere = await post(server, "/api/nothing")
    wrong = await server.http.get(f"{server.url}/api/join-token")
    assert (nowhere.status, nowhere.content_type) == (404, "text/plain")
    assert (wrong.status, wrong.content_type) == (405, "text/plain")
    assert wrong.headers["Allow"] == "POST"


async def test_demo_sessions_can_be_switched_off(tmp_path: Path) -> None:
    async with running_server(tmp_path, demo=False) as server:
        assert (await post(server, "/api/demo")).status == 404


async def test_a_fault_of_ours_is_answered_with_an_id(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(server.plumm.rooms), "create", None)
    response = await post(server, "/api/demo")
    assert response.status == 500
    error = (await response.json())["error"]
    assert error["code"] == "internal"
    assert error["id"]


async def test_health_and_metrics_are_served(server: Server) -> None:
    health = await server.http.get(f"{server.url}/healthz")
    assert await health.json() == {"status": "ok"}
    metrics = await server.http.get(f"{server.url}/metrics")
    assert "plumm_signaling_sockets 0.0" in await metrics.text()


async def test_a_server_is_ready_while_its_database_answers(server: Server) -> None:
    ready = await server.http.get(f"{server.url}/readyz")
    assert (ready.status, await ready.json()) == (200, {"status": "ready", "busy": False})
    async with server.plumm.database.transaction() as connection:
        await connection.execute(text("ALTER TABLE alembic_version RENAME TO elsewhere"))
    refused = await server.http.get(f"{server.url}/readyz")
    assert (refused.status, await code_of(refused)) == (503, "storage.unavailable")
    assert (await server.http.get(f"{server.url}/healthz")).status == 200


async def test_the_process_shows_its_cpu_and_memory(server: Server) -> None:
    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes"):
        assert server.plumm.metrics.value(name) > 0


async def test_every_answer_has_the_security_headers(server: Server) -> None:
    for path in ("/", "/room/s1", "/healthz", "/nowhere", "/assets/nothing.js", "/socket.io/"):
        response = await server.http.get(server.url + path)
        headers = response.headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'self'" in policy
        assert not re.search(r"unsafe|data:|blob:|mediastream:", policy)
        assert f"ws://127.0.0.1:{server.settings.port}" in policy
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "camera=(self)" in headers["Permissions-Policy"]
        assert "aiohttp" not in headers["Server"]


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """A build, with a secret beside it."""
    assets = tmp_path / "dist" / "assets"
    assets.mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "dist" / "index.html").write_text("home")
    (tmp_path / "dist" / "room.html").write_text("room")
    (tmp_path / "dist" / "secret.txt").write_text("secret")
    (assets / "room-1a2B_3-.js").write_text("code")
    (assets / ".hidden").write_text("secret")
    (assets / "folder").mkdir()
    return tmp_path / "dist"


async def pages(dist: Path) -> TestClient[web.Request, web.Application]:
    app = web.Application()
    add_pages(app, dist)
    return TestClient(TestServer(app))


async def test_pages_are_revalidated_and_hashed_files_are_kept_for_good(dist: Path) -> None:
    async with await pages(dist) as client:
        for path, text in (("/", "home"), ("/room/s1", "room")):
            page = await client.get(path)
            assert (page.status, await page.text()) == (200, text)
            assert page.headers["Cache-Control"] == "no-cache"
            assert page.content_type == "text/html"
        asset = await client.get("/assets/room-1a2B_3-.js")
        assert (asset.status, await asset.text()) == (200, "code")
        assert "immutable" in asset.headers["Cache-Control"]
        assert "javascript" in asset.content_type


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../index.html",
        "/assets/../../secret",
        "/assets/..%2f..%2fsecret",
        "/assets/%2e%2e/%2e%2e/secret",
        "/assets/..%5c..%5csecret",
        "/assets//etc/passwd",
        "/assets/%2fetc%2fpasswd",
        "/assets/.hidden",
        "/assets/folder",
        "/assets/",
        "/assets/room-1a2B_3-.js%00",
        "/secret.txt",
        "/room/../secret.txt",
    ],
)
async def test_nothing_beside_the_build_is_served(dist: Path, path: str) -> None:
    async with await pages(dist) as client:
        # Raw: a client library would resolve the dots before it asks.
        host, port = client.host, client.port
        assert port is not None
        assert b" 404 " in await raw_get(host, port, path)


async def raw_get(host: str, port: int, path: str) -> bytes:
    """The status line of a GET whose path nobody tidied up."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    status = await reader.readline()
    writer.close()
    return status


async def test_without_a_build_the_pages_say_what_to_run(tmp_path: Path) -> None:
    async with await pages(tmp_path / "nothing") as client:
        for path in ("/", "/room/s1"):
            page = await client.get(path)
            assert page.status == 503
            assert "make build" in await page.text()


async def test_a_session_may_be_booked_for_later_with_a_waiting_room(server: Server) -> None:
    wanted = {
        "therapist": "Lena",
        "client": "Maya",
        "starts_at": "2026-11-22T12:00:00+01:00",
        "waiting_room": True,
    }
    response = await post(server, "/api/sessions", server.plumm.tokens.admin(), json=wanted)
    made = await response.json()
    session = await server.plumm.rooms.session(SessionId(made["session_id"]))
    assert session.starts_at == server.clock.now() + timedelta(hours=1)
    assert session.waiting_room


@pytest.mark.parametrize("starts_at", ["2026-11-22T12:00:00", "soon", 7, ""])
async def test_a_start_that_is_no_instant_is_refused(server: Server, starts_at: object) -> None:
    wanted = {"therapist": "Lena", "client": "Maya", "starts_at": starts_at}
    response = await post(server, "/api/sessions", server.plumm.tokens.admin(), json=wanted)
    assert (response.status, await code_of(response)) == (400, "message.malformed")


async def test_an_admin_ends_a_session_for_everyone_once(booking: Booking) -> None:
    server, path = booking.server, f"/api/sessions/{booking.id}/end"
    therapist = await booking.join("Lena")
    assert (await post(server, path, booking.link_token("Lena"))).status == 401
    ended = await (await post(server, path, server.plumm.tokens.admin())).json()
    assert (ended["cause"], ended["ended_by"]) == ("admin", None)
    await eventually(therapist.is_closed)
    assert therapist.last("session:ended") == ended
    server.clock.advance(1)
    assert await (await post(server, path, server.plumm.tokens.admin())).json() == ended
    unknown = await post(server, "/api/sessions/nothing/end", server.plumm.tokens.admin())
    assert (unknown.status, await code_of(unknown)) == (404, "session.unknown")
