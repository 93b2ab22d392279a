"""Each yardstick does what it is measured at."""

from typing import get_args

import aiohttp
import pytest

from scripts.bench.bare_handshake import running_bare_handshake
from scripts.bench.bare_signaling import BareClient, running_bare_signaling
from scripts.bench.yardstick import Style, Yardstick
from scripts.client.transport import Transport
from tests.support.eventually import eventually


@pytest.mark.parametrize("style", get_args(Style))
async def test_a_yardstick_forwards_to_the_partner_under_its_keys(style: Style) -> None:
    yardstick = Yardstick(style, pairs=2, check_every=1)
    try:
        yardstick.pump.start(2_000)
        await eventually(lambda: yardstick.pump.figures().received >= 1_000)
        yardstick.pump.stop()
        figures = yardstick.pump.figures()
        assert figures.received == figures.authenticated <= figures.sent
        assert min(yardstick.pump.received_by(peer) for peer in range(4)) > 0
    finally:
        yardstick.close()


async def test_bare_signaling_sends_back_and_tells_a_room_of_its_end() -> None:
    with running_bare_signaling() as (_, url):
        async with aiohttp.ClientSession() as http:
            one, other, stranger = (BareClient(http, url, room) for room in ("a", "a", "b"))
            for client in (one, other, stranger):
                await client.connect()
                await client.request("hello")
            await one.request("end")
            await other.ended()
            await stranger.request("end")
            for client in (one, other, stranger):
                await client.close()


async def test_a_bare_handshake_yields_the_client_its_keys() -> None:
    with running_bare_handshake() as (_, answer):
        for _ in range(2):
            transport = Transport()
            keys = await transport.connect(answer)
            assert keys.send_key != keys.receive_key
            transport.close()
