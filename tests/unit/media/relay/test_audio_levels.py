"""How loud each track is, as its publisher says in the header extension (RFC 6464)."""

import pytest

from media.relay import Relay, RelayError
from tests.support.eventually import eventually
from tests.unit.media.relay.browser import EXTENSIONS
from tests.unit.media.relay.call import Call

LEVEL = EXTENSIONS["audio_level"]


def speaks(call: Call, *levels: int, voice: bool = True) -> None:
    """alice sends a packet of each level, and all have been taken in on return."""
    for sequence, level in enumerate(levels):
        call.send(sequence, extensions={LEVEL: bytes([voice << 7 | level])})
    call.bob.receive_many(len(levels))


def test_a_track_that_nobody_spoke_in_is_silent(relay: Relay, call: Call) -> None:
    assert relay.audio_levels([call.track]) == [127]
    assert relay.audio_levels([]) == []


def test_the_loudest_level_since_the_last_question_counts(relay: Relay, call: Call) -> None:
    speaks(call, 60, 23, 90)
    assert relay.audio_levels([call.track]) == [23]
    assert relay.audio_levels([call.track]) == [127]


def test_the_voice_bit_is_no_part_of_the_level(relay: Relay, call: Call) -> None:
    speaks(call, 40, voice=False)
    assert relay.audio_levels([call.track]) == [40]


def test_a_packet_without_the_extension_says_nothing(relay: Relay, call: Call) -> None:
    call.send(0)
    call.bob.receive()
    assert relay.audio_levels([call.track]) == [127]


async def test_one_who_is_muted_is_not_heard(relay: Relay, call: Call) -> None:
    relay.set_forwarding(call.track, False)
    call.send(0, extensions={LEVEL: b"\x80"})
    await eventually(lambda: relay.stats()["dropped_muted"] == 1)
    assert relay.audio_levels([call.track]) == [127]


def test_levels_come_in_the_order_of_the_tracks(relay: Relay, call: Call) -> None:
    silent = relay.add_track(call.alice.peer, "audio", "1", [7])
    speaks(call, 30)
    assert relay.audio_levels([silent, call.track]) == [127, 30]


def test_a_removed_track_is_an_error(relay: Relay, call: Call) -> None:
    relay.remove_track(call.track)
    with pytest.raises(RelayError) as error:
        relay.audio_levels([call.track])
    assert error.value.code == "relay.unknown_handle"
