"""Whom the load-test script believes that it may be loaded."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from rooms.clock import SystemClock
from scripts.load.target import NoTarget, Target
from signaling.tokens import Tokens

KEY = "a load-test key, 32 characters.."
OTHER_KEY = "another key, of 32 characters..."


@asynccontextmanager
async def answering(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    """Someone at an address who answers whatever is asked by `answer`."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def prover(
    key: str, seen: list[str] | None = None
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        if seen is not None:
            seen.append(f"{dict(request.headers)} {request.path_qs} {await request.text()}")
        nonce = (await request.json())["nonce"]
        proof = Tokens(key, SystemClock()).load_proof(nonce, str(request.url.origin()))
        return web.json_response({"proof": proof})

    return answer


async def test_a_server_that_has_the_key_is_believed_and_told_neither_key_nor_token() -> None:
    seen: list[str] = []
    async with answering(prover(KEY, seen)) as url:
        await Target.prove(url, KEY)
    assert len(seen) == 1
    assert KEY not in seen[0]
    assert "Authorization" not in seen[0]


async def test_each_proof_is_of_a_nonce_of_its_own() -> None:
    seen: list[str] = []
    async with answering(prover(KEY, seen)) as url:
        await Target.prove(url, KEY)
        await Target.prove(url, KEY)
    assert seen[0] != seen[1]


async def test_a_server_with_another_key_is_refused() -> None:
    async with answering(prover(OTHER_KEY)) as url:
        with pytest.raises(NoTarget, match="takes no load test by this key"):
            await Target.prove(url, KEY)


async def test_a_proof_of_an_earlier_nonce_is_refused() -> None:
    async def replay(request: web.Request) -> web.Response:
        url = str(request.url.origin())
        return web.json_response({"proof": Tokens(KEY, SystemClock()).load_proof("a" * 64, url)})

    async with answering(replay) as url:
        with pytest.raises(NoTarget):
            await Target.prove(url, KEY)


@pytest.mark.parametrize(
    "said", [{"server": "plumm"}, {"proof": ""}, {"proof": "é"}, {"proof": None}, [], "plumm", None]
)
async def test_whoever_proves_nothing_is_refused(said: object) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(said)

    async with answering(answer) as url:
        with pytest.raises(NoTarget):
            await Target.prove(url, KEY)


async def test_a_server_that_passes_on_the_proof_of_another_is_refused() -> None:
    async with answering(prover(KEY)) as proven, aiohttp.ClientSession() as http:

        async def answer(request: web.Request) -> web.Response:
            async with http.post(f"{proven}/api/load-test", data=await request.read()) as response:
                return web.json_response(await response.json())

        async with answering(answer) as url:
            with pytest.raises(NoTarget):
                await Target.prove(url, KEY)


async def test_one_who_sends_the_script_elsewhere_is_refused() -> None:
    async with answering(prover(KEY)) as proven:

        async def answer(_: web.Request) -> web.Response:
            raise web.HTTPTemporaryRedirect(f"{proven}/api/load-test")

        async with answering(answer) as url:
            with pytest.raises(NoTarget):
                await Target.prove(url, KEY)
