"""Load tests over HTTP: for whoever has their key, at a server that has one."""

import hmac
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from rooms.vocabulary import SessionId
from signaling.tokens import Tokens
from tests.unit.signaling.harness import SECRET, Client, Json, Server, running_server

KEY = "a load-test key, 32 characters.."


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running_server(tmp_path, load_key=SecretStr(KEY)) as running:
        yield running


async def ask(
    server: Server, method: str, path: str, token: str, json: Json | None = None
) -> tuple[int, Json]:
    headers = {"Authorization": f"Bearer {token}"}
    async with server.http.request(
        method, f"{server.url}/api/load-test{path}", headers=headers, json=json
    ) as response:
        return response.status, await response.json()


def token(server: Server) -> str:
    return Tokens(KEY, server.clock).load()


async def challenge(server: Server, body: Json) -> tuple[int, Json]:
    async with server.http.post(f"{server.url}/api/load-test", json=body) as response:
        return response.status, await response.json()


async def test_a_server_proves_by_a_nonce_that_it_has_the_key(server: Server) -> None:
    nonce = "0123456789abcdef" * 4
    derived = hmac.digest(KEY.encode(), b"plumm-load-proof", "sha256")
    proof = hmac.digest(derived, f"{nonce} {server.url}".encode(), "sha256").hex()
    assert await challenge(server, {"nonce": nonce}) == (200, {"proof": proof})


async def test_each_nonce_has_a_proof_of_its_own(server: Server) -> None:
    _, one = await challenge(server, {"nonce": "a" * 64})
    _, other = await challenge(server, {"nonce": "b" * 64})
    assert one != other


@pytest.mark.parametrize("nonce", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 64 + "\n", 5])
async def test_a_nonce_is_32_bytes_in_hex(server: Server, nonce: object) -> None:
    status, body = await challenge(server, {"nonce": nonce})
    assert (status, body["error"]["code"]) == (400, "message.malformed")


async def test_a_proof_is_no_token(server: Server) -> None:
    _, said = await challenge(server, {"nonce": "a" * 64})
    status, body = await ask(server, "POST", "/sessions", said["proof"], {"people": 2})
    assert (status, body["error"]["code"]) == (401, "token.invalid")


async def test_a_server_without_a_key_has_no_load_tests(tmp_path: Path) -> None:
    async with running_server(tmp_path / "other") as server:
        for path in ("", "/sessions"):
            response = await server.http.post(f"{server.url}/api/load-test{path}")
            assert response.status == 404


async def test_other_tokens_are_refused(server: Server) -> None:
    foreign = [
        Tokens(KEY, server.clock).admin(),
        Tokens(SECRET, server.clock).load(),
        Tokens(SECRET, server.clock).admin(),
    ]
    for one in foreign:
        status, body = await ask(server, "POST", "/sessions", one, {"people": 2})
        assert (status, body["error"]["code"]) == (401, "token.invalid")


async def test_the_key_makes_no_other_sessions(server: Server) -> None:
    response = await server.http.post(
        f"{server.url}/api/sessions",
        headers={"Authorization": f"Bearer {token(server)}"},
        json={"therapist": "Lena", "client": "Maya"},
    )
    assert response.status == 401


async def test_the_links_lead_into_a_session_of_made_up_people(server: Server) -> None:
    status, made = await ask(server, "POST", "/sessions", token(server), {"people": 3})
    assert status == 201
    session = await server.plumm.rooms.session(SessionId(made["session_id"]))
    assert [one.role for one in session.invited] == ["therapist", "client", "client"]
    assert all(one.user is None for one in session.invited)
    for url, role in zip(made["urls"], ("therapist", "client", "client"), strict=True):
        grant = server.plumm.tokens.read_link(url.partition("#")[2])
        client = Client(server.url)
        server.sockets.append(client)
        await client.connect(server.plumm.tokens.join(grant))
        assert (await client.done("room:join", {}))["role"] == role


@pytest.mark.parametrize("people", [1, 13, "3", None])
async def test_a_room_has_two_to_twelve_people(server: Server, people: object) -> None:
    status, body = await ask(server, "POST", "/sessions", token(server), {"people": people})
    assert (status, body["error"]["code"]) == (400, "message.malformed")
