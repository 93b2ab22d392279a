"""Chromium and a client made of libwebrtc in one room."""

import pytest

from tests.browser.conftest import OpenRoom
from tests.support.libwebrtc import Person
from tests.support.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_chromium_and_libwebrtc_see_and_hear_each_other(
    server: Server, open_room: OpenRoom
) -> None:
    session = server.demo()
    therapist = await open_room(session.therapist_url)
    await therapist.join()
    async with Person(session.client_url) as client:
        await therapist.sees()
        await therapist.hears()
        await client.sees(1)
        await client.hears(1)


async def test_one_who_comes_into_a_call_sees_everyone_within_a_second(
    server: Server, open_room: OpenRoom
) -> None:
    urls = server.group("Lena", ["Maya", "Tom"])
    therapist = await open_room(urls[0])
    await therapist.join()
    async with Person(urls[1]) as first:
        await therapist.sees()
        async with Person(urls[2]) as latecomer:
            # Keyframes are asked for: the next that come by themselves are minutes away.
            await latecomer.sees(2, within=1)
            await therapist.sees(2)
            await first.sees(2)
