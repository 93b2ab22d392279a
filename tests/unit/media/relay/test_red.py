"""Sound that is sent twice (RED): passed on to who takes it, its own block alone to others."""

import struct
from collections.abc import Callable

import pytest

from media.relay import OPUS, OTHER_AUDIO, RED, Relay
from tests.unit.media.relay.browser import AUDIO_PT, EXTENSIONS, Browser
from tests.unit.media.relay.call import Call
from tests.unit.media.relay.rtp import Rtp

Browsers = Callable[..., Browser]

RED_PT = 63
CODECS = {AUDIO_PT: (OPUS, 1), RED_PT: (RED, 9), 8: (OTHER_AUDIO, 3)}


def red(own: bytes, *earlier: bytes, own_type: int = AUDIO_PT) -> bytes:
    """A payload: earlier blocks 20 ms apart, the oldest first, then its own."""
    headers = b"".join(
        struct.pack("!I", 0x80000000 | AUDIO_PT << 24 | 960 * (len(earlier) - n) << 10 | len(block))
        for n, block in enumerate(earlier)
    )
    return headers + bytes([own_type]) + b"".join(earlier) + own


@pytest.fixture
def sender(browser: Browsers) -> Browser:
    return browser(codecs=CODECS)


def test_who_takes_red_gets_it_as_it_came(relay: Relay, sender: Browser, browser: Browsers) -> None:
    theirs = {45: (RED, 9), 46: (OPUS, 1)}
    call = Call(relay, sender, browser(codecs=theirs, rtx={}))
    payload = red(b"now", b"before")
    call.send(7, 1920, payload_type=RED_PT, payload=payload)
    packet = call.bob.receive()
    assert (packet.payload_type, packet.payload) == (45, payload)


@pytest.mark.parametrize(
    "earlier", [(), (b"before",), (b"long before", b"before")], ids=["none", "one", "two"]
)
def test_who_does_not_take_red_gets_the_packets_own_block(
    relay: Relay, sender: Browser, browser: Browsers, earlier: tuple[bytes, ...]
) -> None:
    call = Call(relay, sender, browser())
    call.send(6, 960, payload=b"plain")
    call.send(7, 1920, payload_type=RED_PT, payload=red(b"now", *earlier), extensions={1: b"\x85"})
    call.send(8, 2880, payload=b"plain again")
    before, packet, after = call.bob.receive_many(3)
    assert (packet.payload_type, packet.payload) == (AUDIO_PT, b"now")
    assert packet.extensions[EXTENSIONS["audio_level"]] == b"\x85"
    assert packet.timestamp - before.timestamp == 960
    assert [packet.sequence - before.sequence, after.sequence - before.sequence] == [1, 2]


def test_the_same_packet_goes_to_both_kinds_each_as_it_takes_it(
    relay: Relay, sender: Browser, browser: Browsers
) -> None:
    call = Call(relay, sender, browser())
    carol = browser(codecs=CODECS)
    relay.set_source(relay.add_subscription(carol.peer, "audio", "5", 50), call.track)
    for number in range(20):
        own = b"own%d" % number
        call.send(number, 960 * number, payload_type=RED_PT, payload=red(own, b"earlier"))
        assert call.bob.receive().payload == own
        assert carol.receive().payload == red(own, b"earlier")


def test_a_lost_red_packet_stays_a_gap_for_both_kinds(
    relay: Relay, sender: Browser, browser: Browsers
) -> None:
    call = Call(relay, sender, browser())
    call.send(1, payload_type=RED_PT, payload=red(b"1"))
    call.send(3, payload_type=RED_PT, payload=red(b"3", b"2"))
    first, third = call.bob.receive_many(2)
    assert third.sequence == first.sequence + 2


def test_loudness_is_heard_through_red(relay: Relay, sender: Browser, browser: Browsers) -> None:
    call = Call(relay, sender, browser())
    call.send(1, payload_type=RED_PT, payload=red(b"loud"), extensions={1: b"\x8a"})
    call.bob.receive()
    assert relay.audio_levels([call.track]) == [10]


def test_padding_between_red_packets_shifts_nothing(
    relay: Relay, sender: Browser, browser: Browsers
) -> None:
    call = Call(relay, sender, browser())
    call.send(1, payload_type=RED_PT, payload=red(b"1"))
    call.send(2, payload_type=RED_PT, payload=b"", padding=30)
    call.send(3, payload_type=RED_PT, payload=red(b"3"))
    first, third = call.bob.receive_many(2)
    assert (first.payload, third.payload) == (b"1", b"3")
    assert third.sequence == first.sequence + 1


def test_an_own_block_of_a_codec_that_the_subscriber_lacks_is_dropped(
    relay: Relay, sender: Browser, browser: Browsers
) -> None:
    call = Call(relay, sender, browser())
    call.send(1, payload_type=RED_PT, payload=red(b"G.711", own_type=8))
    call.send(2, payload_type=RED_PT, payload=red(b"Opus"))
    assert call.bob.receive().payload == b"Opus"
    assert relay.stats()["dropped_payload_type"] == 1


HOSTILE = {
    "no end of headers": b"\xef\0\0\0" * 5,
    "a header cut short": b"\xef\0\0",
    "one byte": b"\xef",
    "no own header": b"\xef\0\0\1",
    "an own header alone": bytes([AUDIO_PT]),
    "an earlier block over the end": b"\xef\0\3\xff" + bytes([AUDIO_PT]) + b"short",
    "earlier blocks up to the end": b"\xef\0\0\5" + bytes([AUDIO_PT]) + b"short",
    "lengths that add up over 16 bits": b"\xef\0\3\xff" * 70 + bytes([AUDIO_PT]) + bytes(900),
    "red in red": red(b"x", own_type=RED_PT),
    "an unknown codec": red(b"x", own_type=99),
}


@pytest.mark.parametrize("payload", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_not_red_is_counted_and_dropped(
    relay: Relay, sender: Browser, browser: Browsers, payload: bytes
) -> None:
    call = Call(relay, sender, browser())
    carol = browser(codecs=CODECS)
    relay.set_source(relay.add_subscription(carol.peer, "audio", "5", 50), call.track)
    call.send(1, payload_type=RED_PT, payload=payload)
    call.send(2, payload_type=RED_PT, payload=red(b"sound"))
    assert call.bob.receive().payload == b"sound"
    assert carol.receive().payload == red(b"sound")
    assert relay.stats()["dropped_malformed"] == 1


def test_every_cut_of_a_red_packet_is_survived(
    relay: Relay, sender: Browser, browser: Browsers
) -> None:
    call = Call(relay, sender, browser())
    whole = red(b"own", b"earlier", b"even earlier")
    for length in range(1, len(whole) + 1):
        call.alice.send(Rtp(RED_PT, length, 0, 1000, whole[:length]))
    received = [call.bob.receive()]
    while received[-1].payload != b"own":
        received.append(call.bob.receive())
    # Only those whose own block is there at least in part.
    assert [packet.payload for packet in received] == [b"o", b"ow", b"own"]
