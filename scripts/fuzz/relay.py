"""Whatever participants and strangers send, between whatever the server does meanwhile.

Input: records (records.py). The kinds 0 to 3 are a datagram of alice's, bob's, carol's and
mallory's, decrypted; the others are verbs.
"""

from collections.abc import Callable
from typing import Final

from scripts.fuzz.call import ADDRESSES, ALICE, BOB, CODECS, RTX, Call
from scripts.fuzz.records import records
from scripts.fuzz.rtp import NARROW

VERBS: Final[tuple[Callable[[Call], None], ...]] = (
    lambda call: call.relay.set_forwarding(call.picture, False),
    lambda call: call.relay.set_forwarding(call.picture, True),
    lambda call: call.relay.set_source(call.slots[1], None),
    lambda call: call.relay.set_source(call.slots[1], call.picture),
    lambda call: call.relay.set_source(call.slots[1], call.bobs),
    lambda call: call.relay.select(call.bob, None),
    lambda call: call.relay.select(call.bob, BOB),
    lambda call: call.relay.configure_peer(call.alice, CODECS, {}, {"mid": 1}),
    lambda call: call.relay.configure_peer(call.alice, CODECS, RTX, NARROW),
    lambda call: call.relay.request_keyframe(call.picture),
    lambda call: call.relay.bind(call.alice, ALICE),
    Call.picture_anew,
    Call.slot_anew,
    lambda call: call.picture_anew(("q", "h", "f")),
    lambda call: call.relay.set_layer(call.slots[1], -1),
    lambda call: call.relay.set_layer(call.slots[1], 0, 1),
    lambda call: call.relay.set_layer(call.slots[1], 2),
    lambda call: call.relay.probe(call.bob, 2_000_000, 300),
    lambda call: call.relay.cap(call.picture, 300_000),
    lambda call: call.relay.cap(call.picture, None),
    lambda call: call.relay.set_playout_delay(call.slots[1], 300),
)


def check(data: bytes) -> None:
    with Call() as call:
        for kind, elapsed_us, datagram in records(data):
            if kind < len(ADDRESSES):
                call.receive(ADDRESSES[kind], datagram, elapsed_us)
            else:
                call.wait(elapsed_us)
                VERBS[(kind - len(ADDRESSES)) % len(VERBS)](call)
