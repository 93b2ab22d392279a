"""What flows, and that it stops: native clients whose every packet is counted."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from scripts.client.peer import Peer
from scripts.pump import Pump
from signaling.client import RefusedByServer
from tests.support.eventually import eventually
from tests.support.server import Server

# Slow enough for a busy machine, fast enough that 50 ms of leak would be 20 packets.
PACKETS_PER_SECOND = 400


@dataclass(frozen=True, slots=True)
class Call:
    """Two connected peers and the pump that sends for both."""

    therapist: Peer
    client: Peer
    pump: Pump
    therapist_number: int
    client_number: int
    client_url: str


@pytest.fixture
async def call(server: Server) -> AsyncIterator[Call]:
    session = server.demo()
    therapist, client = Peer(session.therapist_url), Peer(session.client_url)
    pump = Pump()
    try:
        for peer in (therapist, client):
            await peer.join()
            await peer.connect()
        for peer in (therapist, client):
            await peer.receives(2)
        numbers = [peer.send_by(pump) for peer in (therapist, client)]
        pump.start(PACKETS_PER_SECOND)
        yield Call(therapist, client, pump, numbers[0], numbers[1], session.client_url)
    finally:
        pump.stop()
        await therapist.close()
        await client.close()


async def grows(call: Call, number: int) -> None:
    start = call.pump.received_by(number)
    await eventually(lambda: call.pump.received_by(number) > start + 20, "more packets")


async def test_both_receive_what_the_other_sends(call: Call) -> None:
    await grows(call, call.therapist_number)
    await grows(call, call.client_number)
    assert call.pump.figures().refused == 0


async def test_nothing_flows_once_end_session_is_acked(call: Call) -> None:
    await grows(call, call.client_number)
    sent_before = call.pump.figures().sent
    await call.therapist.room.request("session:end", {})
    # What was in the kernel's queues at the ack has been read when the pump sent 20 more.
    await eventually(lambda: call.pump.figures().sent > sent_before + 20, "packets sent after")
    at_rest = [call.pump.received_by(n) for n in (call.therapist_number, call.client_number)]
    await eventually(lambda: call.pump.figures().sent > sent_before + 200, "packets sent after")
    assert [
        call.pump.received_by(n) for n in (call.therapist_number, call.client_number)
    ] == at_rest


async def test_no_token_gets_back_into_an_ended_session(call: Call) -> None:
    await call.therapist.room.request("session:end", {})
    again = Peer(call.client_url)
    with pytest.raises(RefusedByServer) as refused:
        await again.join()
    assert refused.value.code == "session.ended"
    await again.close()


async def test_the_client_cannot_end_the_session(call: Call) -> None:
    with pytest.raises(RefusedByServer) as refused:
        await call.client.room.request("session:end", {})
    assert refused.value.code == "role.forbidden"
    await grows(call, call.therapist_number)


async def test_one_who_leaves_receives_nothing_more(call: Call) -> None:
    await grows(call, call.client_number)
    await call.client.room.request("room:leave", {})
    sent = call.pump.figures().sent
    await eventually(lambda: call.pump.figures().sent > sent + 20, "packets sent after")
    at_rest = call.pump.received_by(call.client_number)
    await eventually(lambda: call.pump.figures().sent > sent + 200, "packets sent after")
    assert call.pump.received_by(call.client_number) == at_rest
