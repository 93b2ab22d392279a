"""Wrong passwords are counted in the database: by all processes, and over restarts."""

import asyncio
from http import HTTPStatus
from pathlib import Path

import aiohttp

from rooms.db.migrate import migrate
from rooms.people.failures import LIMIT
from tests.support.server import Account, Server


async def sign_in(server: Server, account: Account, password: str) -> int:
    """The status of the answer."""
    body = {"email": account.email, "password": password}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{server.url}/api/sign-in", json=body) as response,
    ):
        return response.status


async def test_five_failures_are_enough_over_two_servers_and_a_restart(
    database_url: str, tmp_path: Path
) -> None:
    await migrate(database_url)
    with (
        Server(tmp_path, PLUMM_DATABASE_URL=database_url) as one,
        Server(tmp_path, PLUMM_DATABASE_URL=database_url) as other,
    ):
        accounts = await asyncio.to_thread(one.accounts)
        account = accounts.client
        for number in range(LIMIT):
            server = one if number % 2 else other
            assert await sign_in(server, account, "not the password") == HTTPStatus.UNAUTHORIZED
        for server in (one, other):
            refused = await sign_in(server, account, account.password)
            assert refused == HTTPStatus.TOO_MANY_REQUESTS
        one.kill()
        await asyncio.to_thread(one.start)
        refused = await sign_in(one, account, account.password)
        assert refused == HTTPStatus.TOO_MANY_REQUESTS
        # Somebody else's are not hers.
        therapist = accounts.therapist
        assert await sign_in(one, therapist, therapist.password) == HTTPStatus.OK
