"""How long ago each peer was last heard: what attendance is observed by."""

import asyncio

from media.relay import Relay
from tests.support.eventually import eventually
from tests.unit.media.relay.call import Call


def test_one_who_has_just_sent_is_not_silent(relay: Relay, call: Call) -> None:
    call.send(0)
    call.bob.receive()
    (silence_ms,) = relay.silences_ms([call.alice.peer])
    assert 0 <= silence_ms < 1000


async def test_the_silence_of_one_who_sends_no_more_grows(relay: Relay, call: Call) -> None:
    call.send(0)
    call.bob.receive()

    def silence_ms() -> int:
        return relay.silences_ms([call.alice.peer])[0]

    await eventually(lambda: silence_ms() >= 50)
    call.send(1)
    call.bob.receive()
    assert silence_ms() < 50


def test_forged_packets_are_no_sign_of_anybody(relay: Relay, call: Call) -> None:
    call.send(0)
    call.bob.receive()
    asyncio.run(eventually(lambda: relay.silences_ms([call.alice.peer])[0] >= 50))
    call.alice.socket.sendto(b"\x80\x6f" + bytes(60), call.alice.relay_address)
    asyncio.run(eventually(lambda: relay.peer_stats(call.alice.peer)["authentication_failures"]))
    assert relay.silences_ms([call.alice.peer])[0] >= 50


def test_an_unknown_or_removed_peer_was_never_heard(relay: Relay, call: Call) -> None:
    removed = call.alice.peer
    fresh = relay.add_peer()
    relay.remove_peer(removed)
    assert relay.silences_ms([removed, fresh]) == [-1, -1]
    assert relay.silences_ms([]) == []
