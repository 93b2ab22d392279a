"""The light client says and hears what other clients do."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from scripts.client.light import LightClient
from signaling.client import RefusedByServer
from tests.support.eventually import eventually
from tests.support.server import Server


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_two_light_clients_share_a_room_until_one_ends_it(
    server: Server, http: aiohttp.ClientSession
) -> None:
    session = server.book()
    heard: list[str] = []
    therapist = LightClient(http, session.therapist_url)
    client = LightClient(http, session.client_url, heard.append)
    joined = await therapist.connect()
    assert joined["role"] == "therapist"
    await client.connect()
    answered = await therapist.request("state:set", {"microphone": False})
    assert answered["version"] > joined["state"]["version"]
    await eventually(lambda: "room:state" in heard)
    with pytest.raises(RefusedByServer) as refused:
        await client.request("session:end", {})
    assert refused.value.code == "role.forbidden"
    await therapist.request("session:end", {})
    await eventually(lambda: "session:ended" in heard)
    for one in (therapist, client):
        await one.close()
        await one.close()
    late = LightClient(http, session.client_url)
    with pytest.raises(RefusedByServer) as over:
        await late.connect()
    assert over.value.code == "session.ended"
    await late.close()
