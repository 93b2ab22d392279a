"""Chromium in a room with a load test's native client."""

import pytest

from scripts.client.crowd import PumpCrowd
from tests.browser.conftest import OpenRoom
from tests.support.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_chromium_sees_and_hears_what_a_load_test_sends(
    server: Server, open_room: OpenRoom
) -> None:
    session = server.demo()
    async with PumpCrowd() as crowd:
        client = crowd.client(session.client_url)
        try:
            await client.join()
            await client.connect()
            client.send()
            # It comes in the middle of the recording: its keyframe is sent for the asking.
            therapist = await open_room(session.therapist_url)
            await therapist.join()
            await therapist.sees()
            await therapist.hears()
            await client.receives(2, timeout_s=5)
            await client.first_media(timeout_s=5)
        finally:
            await client.close()
        figures = await crowd.figures()
    assert figures.keyframes >= 2
    assert (figures.refused, figures.rtcp_refused) == (0, 0)
