"""Signing in over HTTP, and whose cookie it is."""

from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from sqlalchemy import select

from rooms.db.schema import events
from rooms.people import failures
from signaling.settings import Settings
from tests.support.eventually import eventually
from tests.unit.signaling.harness import Json, Server, running_server

EMAIL, PASSWORD = "lena@example.org", "a long enough password"


async def add_lena(server: Server) -> None:
    await server.plumm.people.add(EMAIL, "Lena", "therapist", PASSWORD)


async def post(
    server: Server, path: str, json: Any = None, cookie: str | None = None, **headers: str
) -> ClientResponse:
    if cookie is not None:
        headers["Cookie"] = f"__Host-plumm={cookie}"
    return await server.http.post(server.url + path, json=json or {}, headers=headers)


async def sign_in(server: Server, password: str = PASSWORD, email: str = EMAIL) -> ClientResponse:
    return await post(server, "/api/sign-in", {"email": email, "password": password})


async def me(server: Server, cookie: str | None, **headers: str) -> ClientResponse:
    if cookie is not None:
        headers["Cookie"] = f"__Host-plumm={cookie}"
    return await server.http.get(server.url + "/api/me", headers=headers)


def cookie_of(response: ClientResponse) -> Morsel[str]:
    return SimpleCookie(response.headers["Set-Cookie"])["__Host-plumm"]


async def code_of(response: ClientResponse) -> tuple[int, str]:
    body: Json = await response.json()
    return response.status, body["error"]["code"]


async def test_a_sign_in_gives_a_cookie_that_says_who_it_is(server: Server) -> None:
    await add_lena(server)
    response = await sign_in(server)
    assert response.status == 200
    said = await response.json()
    assert said | {"id": ""} == {"id": "", "name": "Lena", "email": EMAIL, "role": "therapist"}
    assert response.headers["Cache-Control"] == "no-store"
    again = await me(server, cookie_of(response).value)
    assert (again.status, await again.json()) == (200, said)
    assert again.headers["Cache-Control"] == "no-store"


async def test_the_cookie_is_for_this_host_and_no_script_and_not_for_other_sites_posts(
    server: Server,
) -> None:
    await add_lena(server)
    cookie = cookie_of(await sign_in(server))
    assert len(cookie.value) == 43  # 32 bytes
    assert cookie["secure"]
    assert cookie["httponly"]
    assert (cookie["samesite"], cookie["path"], cookie["domain"]) == ("Lax", "/", "")
    assert cookie["max-age"] == str(12 * 3600)


async def test_each_sign_in_has_its_own_secret(server: Server) -> None:
    await add_lena(server)
    first, second = [cookie_of(await sign_in(server)).value for _ in range(2)]
    assert first != second


async def test_a_wrong_password_and_an_unknown_address_are_answered_alike(server: Server) -> None:
    await add_lena(server)
    wrong = await sign_in(server, "a wrong password")
    unknown = await sign_in(server, email="nobody@example.org")
    assert await wrong.read() == await unknown.read()
    assert await code_of(wrong) == (401, "sign_in.refused")
    assert "Set-Cookie" not in wrong.headers


async def test_five_failures_are_enough(server: Server) -> None:
    await add_lena(server)
    for _ in range(failures.LIMIT):
        assert await code_of(await sign_in(server, "wrong")) == (401, "sign_in.refused")
    assert await code_of(await sign_in(server)) == (429, "rate.limited")


async def test_one_network_cannot_try_many_accounts(server: Server) -> None:
    answers = [await sign_in(server, email=f"n{i}@example.org") for i in range(31)]
    assert [one.status for one in answers] == [401] * 30 + [429]


@pytest.mark.parametrize("cookie", [None, "", "nonsense", "x" * 3000])
async def test_without_a_sign_in_there_is_no_me(server: Server, cookie: str | None) -> None:
    assert await code_of(await me(server, cookie)) == (401, "sign_in.required")


async def test_signing_out_ends_it_on_the_server_too(server: Server) -> None:
    await add_lena(server)
    here, there = [cookie_of(await sign_in(server)).value for _ in range(2)]
    response = await post(server, "/api/sign-out", {}, here)
    assert response.status == 204
    assert cookie_of(response).value == ""
    assert (await me(server, here)).status == 401
    assert (await me(server, there)).status == 200


async def test_signing_out_everywhere_ends_all(server: Server) -> None:
    await add_lena(server)
    here, there = [cookie_of(await sign_in(server)).value for _ in range(2)]
    assert (await post(server, "/api/sign-out", {"everywhere": True}, here)).status == 204
    assert [(await me(server, one)).status for one in (here, there)] == [401, 401]


@pytest.mark.parametrize(
    "path", ["/api/sign-in", "/api/sign-out", "/api/password-reset", "/api/password-reset/choose"]
)
async def test_pages_of_other_origins_may_do_none_of_it(server: Server, path: str) -> None:
    await add_lena(server)
    cookie = cookie_of(await sign_in(server)).value
    for origin in ("https://evil.example", "null", ""):
        response = await post(server, path, {}, cookie, Origin=origin)
        assert await code_of(response) == (403, "origin.forbidden"), origin
    assert (await me(server, cookie)).status == 200


async def test_our_own_pages_may(server: Server) -> None:
    await add_lena(server)
    response = await post(
        server, "/api/sign-in", {"email": EMAIL, "password": PASSWORD}, Origin=server.url
    )
    assert response.status == 200
    cookie = cookie_of(response).value
    assert (await post(server, "/api/sign-out", {}, cookie, Origin=server.url)).status == 204


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"email": EMAIL},
        {"email": 1, "password": "x"},
        {"email": EMAIL, "password": "x", "z": 1},
    ],
)
async def test_a_malformed_sign_in_is_refused(server: Server, body: Any) -> None:
    response = await server.http.post(f"{server.url}/api/sign-in", json=body)
    assert await code_of(response) == (400, "message.malformed")


async def test_asking_for_a_reset_is_answered_alike_whoever_asks(server: Server) -> None:
    await add_lena(server)
    answers = [
        await post(server, "/api/password-reset", {"email": email})
        for email in (EMAIL, "nobody@example.org", "nonsense", *[EMAIL] * 5)
    ]
    assert {(one.status, await one.text()) for one in answers} == {(202, "{}")}
    await server.plumm.accounts.settle()
    async with server.plumm.database.reading() as connection:
        asked = await connection.execute(
            select(events).where(events.c.type == "user.password_reset_requested")
        )
        assert len(asked.all()) == 3  # and no more for one account


async def test_a_password_is_chosen_with_the_token(server: Server) -> None:
    await add_lena(server)
    cookie = cookie_of(await sign_in(server)).value
    lena = await server.plumm.people.find(EMAIL)
    token = await server.plumm.people.reset_token(lena.id)
    path = "/api/password-reset/choose"
    weak = await post(server, path, {"token": token, "password": "short"})
    assert await code_of(weak) == (400, "password.weak")
    chosen = await post(server, path, {"token": token, "password": "another long password"})
    assert chosen.status == 204
    assert (await me(server, cookie)).status == 401
    assert (await sign_in(server, "another long password")).status == 200
    again = await post(server, path, {"token": token, "password": "another long password"})
    assert await code_of(again) == (401, "token.invalid")


async def test_a_reset_token_expires(server: Server) -> None:
    await add_lena(server)
    token = await server.plumm.people.reset_token((await server.plumm.people.find(EMAIL)).id)
    server.clock.advance(3600)
    late = await post(
        server, "/api/password-reset/choose", {"token": token, "password": "another long password"}
    )
    assert await code_of(late) == (401, "token.expired")


async def fail_from(server: Server, forwarded: str) -> int:
    response = await post(
        server,
        "/api/sign-in",
        {"email": EMAIL, "password": "wrong"},
        **{"X-Forwarded-For": forwarded},
    )
    return response.status


async def test_behind_a_trusted_proxy_the_last_hop_is_the_client(tmp_path: Path) -> None:
    async with running_server(tmp_path, trusted_proxies="127.0.0.0/8") as server:
        await add_lena(server)
        for i in range(failures.LIMIT):
            # What is before the last hop is the client's own invention.
            assert await fail_from(server, f"198.51.100.{i}, 203.0.113.5") == 401
        assert await fail_from(server, "203.0.113.5") == 429
        assert await fail_from(server, "203.0.113.6") == 401


async def test_an_ipv6_customer_is_one_client(tmp_path: Path) -> None:
    async with running_server(tmp_path, trusted_proxies="127.0.0.1") as server:
        await add_lena(server)
        for i in range(failures.LIMIT):
            assert await fail_from(server, f"2001:db8:1:2::{i}") == 401
        assert await fail_from(server, "2001:db8:1:2:ffff::1") == 429
        assert await fail_from(server, "2001:db8:1:3::1") == 401


async def test_nobody_else_is_believed_about_the_address(server: Server) -> None:
    await add_lena(server)
    for i in range(failures.LIMIT):
        assert await fail_from(server, f"203.0.113.{i}") == 401
    assert await fail_from(server, "203.0.113.99") == 429


async def mails(server: Server, **headers: str) -> ClientResponse:
    return await server.http.get(server.url + "/api/mail", headers=headers)


async def test_a_forgotten_password_is_chosen_with_the_mail_that_this_machine_shows(
    server: Server,
) -> None:
    await add_lena(server)
    await post(server, "/api/password-reset", {"email": EMAIL})

    async def mailed() -> Json:
        shown = (await (await mails(server)).json())["mails"]
        assert len(shown) == 1
        return dict(shown[0])

    mail = await eventually(mailed)
    assert set(mail) == {"id", "to", "subject", "at", "text"}
    assert mail["to"] == f"Lena <{EMAIL}>"
    assert mail["at"] == "2026-11-22T10:00:00Z"
    _, _, token = mail["text"].partition(f"{server.url}/reset#")
    chosen = await post(
        server,
        "/api/password-reset/choose",
        {"token": token.split()[0], "password": "another long password"},
    )
    assert chosen.status == 204
    assert (await sign_in(server, "another long password")).status == 200


@pytest.mark.parametrize(
    "setting",
    [
        {"public_url": "https://plumm.example", "demo": True},
        {"host": "0.0.0.0", "advertised_ip": "127.0.0.1", "demo": True},
        {"smtp_url": "smtp://127.0.0.1:2525"},
    ],
)
async def test_mail_is_shown_to_people_at_this_machine_alone(setting: Json) -> None:
    assert not Settings(**setting).shows_mail
    assert Settings().shows_mail


async def test_mail_is_not_shown_to_a_page_whose_name_points_here(server: Server) -> None:
    port = server.settings.port
    assert (await mails(server, Host=f"localhost:{port}")).status == 200
    assert (await mails(server, Host=f"evil.example:{port}")).status == 404


async def test_where_mail_goes_to_a_server_none_is_shown(tmp_path: Path) -> None:
    async with running_server(tmp_path, smtp_url="smtp://127.0.0.1:1") as server:
        assert (await mails(server)).status == 404
