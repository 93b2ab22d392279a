"""What may come in, from where, and what goes up to Python."""

import random
import select
import socket
import struct
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from media.relay import DTLS, STUN, Datagram, Relay
from tests.support.eventually import eventually
from tests.unit.media.relay.browser import AUDIO_PT, PATIENCE_S, Browser, Error
from tests.unit.media.relay.call import ALICE, Call
from tests.unit.media.relay.rtp import Rtp

Browsers = Callable[..., Browser]

CLIENT_HELLO = b"\x16\xfe\xff" + bytes(50)
UFRAG = "plummufrag"


def stun_request(username: str, *, kind: int = 1, before: bytes = b"", after: bytes = b"") -> bytes:
    value = username.encode()
    attributes = before + struct.pack("!HH", 6, len(value)) + value + bytes(-len(value) % 4) + after
    return struct.pack("!HHI12s", kind, len(attributes), 0x2112A442, b"transaction!") + attributes


@pytest.fixture
def stranger() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        yield opened


def next_datagram(relay: Relay) -> Datagram:
    while True:
        readable, _, _ = select.select([relay.fileno()], [], [], PATIENCE_S)
        assert readable, "nothing came up"
        datagrams = relay.poll(1)
        if datagrams:
            return datagrams[0]


def test_a_binding_request_for_an_expected_ufrag_comes_up_from_any_address(
    relay: Relay, stranger: socket.socket
) -> None:
    peer = relay.add_peer()
    relay.expect(peer, UFRAG)
    request = stun_request(
        f"{UFRAG}:theirs",
        before=struct.pack("!HHI", 0x24, 4, 1),
        after=b"\x80\x29\0\x08" + bytes(8),
    )
    stranger.sendto(request, ("127.0.0.1", relay.port))
    datagram = next_datagram(relay)
    assert datagram == Datagram(STUN, peer, stranger.getsockname(), request)
    assert datagram.kind == STUN


@pytest.mark.parametrize(
    ("request_packet", "reason"),
    [
        (stun_request("unknown1:theirs"), "dropped_ufrag"),
        (stun_request(f"{UFRAG}x:theirs"), "dropped_ufrag"),
        (stun_request(f"{UFRAG[:-1]}:theirs"), "dropped_ufrag"),
        (stun_request(":theirs"), "dropped_ufrag"),
        (stun_request(UFRAG), "dropped_stun"),
        (stun_request(f"{UFRAG}:theirs", kind=0x101), "dropped_stun"),
        (stun_request(f"{UFRAG}:theirs", kind=0x11), "dropped_stun"),
        (stun_request(f"{UFRAG}:theirs")[:-1], "dropped_stun"),
        (stun_request(f"{UFRAG}:theirs") + bytes(4), "dropped_stun"),
        (stun_request(f"{UFRAG}:theirs", before=b"\x80\x22\xff\xff"), "dropped_stun"),
        (stun_request(f"{UFRAG}:theirs").replace(b"\x21\x12\xa4\x42", bytes(4)), "dropped_stun"),
        (struct.pack("!HHI12s", 1, 0, 0x2112A442, bytes(12)), "dropped_stun"),
        (b"\0", "dropped_stun"),
        (CLIENT_HELLO, "dropped_unbound"),
        (b"\x80" + bytes(40), "dropped_unbound"),
        (b"\x80\xc8" + bytes(40), "dropped_unbound"),
        (b"\x05" + bytes(20), "dropped_protocol"),
        (b"\x40" + bytes(20), "dropped_protocol"),
        (b"\xff" + bytes(20), "dropped_protocol"),
        (b"", "dropped_protocol"),
        (b"\x80" + bytes(3000), "dropped_unbound"),
    ],
)
async def test_anything_else_from_a_stranger_is_counted_and_gets_no_answer(
    relay: Relay, stranger: socket.socket, request_packet: bytes, reason: str
) -> None:
    relay.expect(relay.add_peer(), UFRAG)
    stranger.sendto(request_packet, ("127.0.0.1", relay.port))
    await eventually(lambda: relay.stats()[reason] == 1)
    assert relay.stats()["packets_out"] == 0
    assert relay.poll() == []
    assert select.select([relay.fileno(), stranger.fileno()], [], [], 0)[0] == []


async def test_a_request_made_to_be_slow_to_parse_is_dropped(
    relay: Relay, stranger: socket.socket
) -> None:
    relay.expect(relay.add_peer(), UFRAG)
    fat = stun_request(f"{UFRAG}:theirs", after=b"\x80\x22\0\0" * 350)
    stranger.sendto(fat, ("127.0.0.1", relay.port))
    await eventually(lambda: relay.stats()["dropped_stun"] == 1)
    assert relay.poll() == []


async def test_one_peers_checks_are_bounded_and_anothers_still_come_up(
    relay: Relay, stranger: socket.socket
) -> None:
    relay.expect(relay.add_peer(), UFRAG)
    relay.expect(relay.add_peer(), "another0")
    for _ in range(200):
        stranger.sendto(stun_request(f"{UFRAG}:theirs"), ("127.0.0.1", relay.port))
    await eventually(lambda: relay.stats()["stun_up"] + relay.stats()["dropped_stun_rate"] == 200)
    assert relay.stats()["dropped_stun_rate"] > 0
    while relay.poll():
        pass
    stranger.sendto(stun_request("another0:theirs"), ("127.0.0.1", relay.port))
    assert next_datagram(relay).data == stun_request("another0:theirs")


async def test_a_forgotten_ufrag_is_unknown_again(relay: Relay, stranger: socket.socket) -> None:
    peer = relay.add_peer()
    relay.expect(peer, UFRAG)
    relay.expect(peer, "another1")
    relay.forget(UFRAG)
    relay.forget("never there")
    stranger.sendto(stun_request(f"{UFRAG}:x"), ("127.0.0.1", relay.port))
    await eventually(lambda: relay.stats()["dropped_ufrag"] == 1)
    stranger.sendto(stun_request("another1:x"), ("127.0.0.1", relay.port))
    assert next_datagram(relay).peer == peer


def test_a_ufrag_expected_for_another_peer_is_that_peers(
    relay: Relay, stranger: socket.socket
) -> None:
    first, second = relay.add_peer(), relay.add_peer()
    relay.expect(first, UFRAG)
    relay.expect(second, UFRAG)
    relay.remove_peer(first)
    stranger.sendto(stun_request(f"{UFRAG}:x"), ("127.0.0.1", relay.port))
    assert next_datagram(relay).peer == second


def test_many_ufrags_are_all_found(relay: Relay, stranger: socket.socket) -> None:
    peers = {f"ufrag{i:05}": relay.add_peer() for i in range(300)}
    for ufrag, peer in peers.items():
        relay.expect(peer, ufrag)
    for ufrag in list(peers)[::3]:
        relay.forget(ufrag)
        del peers[ufrag]
    for ufrag, peer in peers.items():
        stranger.sendto(stun_request(f"{ufrag}:x"), ("127.0.0.1", relay.port))
        assert next_datagram(relay).peer == peer


def test_dtls_comes_up_from_a_bound_address(relay: Relay, browser: Browsers) -> None:
    alice = browser()
    alice.send_raw(CLIENT_HELLO)
    assert next_datagram(relay) == Datagram(DTLS, alice.peer, alice.address, CLIENT_HELLO)


def test_what_python_sends_leaves_from_the_relays_port(
    relay: Relay, stranger: socket.socket
) -> None:
    stranger.settimeout(PATIENCE_S)
    relay.send(stranger.getsockname(), b"reply")
    assert stranger.recvfrom(100) == (b"reply", ("127.0.0.1", relay.port))


async def test_the_ring_is_bounded_and_recovers(relay: Relay, browser: Browsers) -> None:
    alice = browser()
    sent = 2000
    for i in range(sent):
        alice.send_raw(CLIENT_HELLO + struct.pack("!I", i))
    await eventually(lambda: relay.stats()["packets_in"] == sent)
    stats = relay.stats()
    assert stats["dtls_up"] + stats["dropped_ring_full"] == sent
    assert 0 < stats["dtls_up"] < sent
    seen = []
    while select.select([relay.fileno()], [], [], 0)[0]:
        batch = relay.poll()
        assert len(batch) <= 64
        seen += [datagram.data[-4:] for datagram in batch]
    assert seen == [struct.pack("!I", i) for i in range(stats["dtls_up"])], "the oldest, in order"
    alice.send_raw(CLIENT_HELLO)
    assert next_datagram(relay).data == CLIENT_HELLO


def test_a_datagram_of_a_removed_peer_does_not_come_up(relay: Relay, browser: Browsers) -> None:
    alice, bob = browser(), browser()
    alice.send_raw(CLIENT_HELLO)
    assert select.select([relay.fileno()], [], [], PATIENCE_S)[0]
    relay.remove_peer(alice.peer)
    bob.send_raw(CLIENT_HELLO)
    assert next_datagram(relay).peer == bob.peer


async def test_media_from_an_unbound_address_is_ignored(
    call: Call, stranger: socket.socket
) -> None:
    datagram = call.alice.sending.protect(Rtp(AUDIO_PT, 1, 0, ALICE, b"spoofed").pack())
    stranger.sendto(datagram, ("127.0.0.1", call.relay.port))
    await eventually(lambda: call.relay.stats()["dropped_unbound"] == 1)
    call.alice.send_raw(datagram)
    assert call.bob.receive().payload == b"spoofed", "and its number is not used up"


async def test_media_with_anothers_keys_is_dropped(relay: Relay, browser: Browsers) -> None:
    call = Call(relay, browser(), browser())
    carol = browser()
    call.alice.send_raw(carol.sending.protect(Rtp(AUDIO_PT, 1, 0, ALICE, b"forged").pack()))
    await eventually(lambda: relay.stats()["dropped_authentication"] == 1)
    call.send(1, payload=b"real")
    assert call.bob.receive().payload == b"real"
    assert relay.peer_stats(call.alice.peer)["authentication_failures"] == 1


async def test_media_before_the_keys_is_dropped(relay: Relay, stranger: socket.socket) -> None:
    peer = relay.add_peer()
    relay.bind(peer, stranger.getsockname())
    stranger.sendto(b"\x80" + bytes(40), ("127.0.0.1", relay.port))
    await eventually(lambda: relay.stats()["dropped_no_keys"] == 1)


async def test_a_peer_cannot_have_more_ssrcs_than_the_limit(
    relay: Relay, browser: Browsers
) -> None:
    """Each costs memory in libsrtp; listed and living ones stay, silent strangers give way."""
    call = Call(relay, browser(), browser())
    for ssrc in range(5000, 5300):
        call.alice.send(Rtp(AUDIO_PT, 1, 0, ssrc))
    await eventually(lambda: relay.stats()["rtp_in"] == 300)
    assert relay.peer_stats(call.alice.peer)["ssrcs"] == 64
    call.send(1, payload=b"still heard")
    assert call.bob.receive().payload == b"still heard"


async def test_when_every_ssrc_has_a_track_another_is_refused(
    relay: Relay, browser: Browsers
) -> None:
    alice = browser()
    relay.add_track(alice.peer, "audio", "0", ssrcs=range(64))
    alice.send(Rtp(AUDIO_PT, 1, 0, 64))
    alice.send_rtcp(struct.pack("!BBHI", 0x80, 201, 1, 65))
    await eventually(lambda: relay.stats()["dropped_ssrc_limit"] == 2)


@pytest.mark.parametrize("length", [*range(1, 13), 13, 27, 28, 29])
async def test_a_truncated_packet_is_dropped(call: Call, length: int) -> None:
    datagram = call.alice.sending.protect(Rtp(AUDIO_PT, 1, 0, ALICE, b"payload").pack())
    call.alice.send_raw(datagram[:length])
    await eventually(lambda: call.relay.stats()["packets_in"] == 1)
    assert call.relay.stats()["rtp_in"] == 0
    call.alice.send_raw(datagram)
    assert call.bob.receive().payload == b"payload"


def raw_rtp(first: int, rest: bytes) -> bytes:
    return struct.pack("!BBHII", first, AUDIO_PT, 1, 0, ALICE) + rest


@pytest.mark.parametrize(
    "packet",
    [
        raw_rtp(0xA0, b"padding count is zero\0"),
        raw_rtp(0xA0, b"padding longer than the payload\xff"),
        raw_rtp(0xA0, b""),
    ],
)
async def test_an_authentic_but_malformed_packet_is_dropped(call: Call, packet: bytes) -> None:
    call.alice.send_raw(call.alice.sending.protect(packet))
    await eventually(lambda: call.relay.stats()["dropped_malformed"] == 1)
    call.send(2, payload=b"next")
    assert call.bob.receive().payload == b"next"


@pytest.mark.parametrize(
    "block",
    [
        "bede 0001 ff 00 00 00",
        "bede 0001 1f 00 00 00",
        "bede 0001 05 00 00 00",
        "bede 0001 00 00 00 10",
        "1000 0001 01 ff 00 00",
        "1000 0001 00 00 00 01",
        "100f 0001 01 01 55 00",
        "abcd 0001 12 34 56 78",
        "bede 0000",
    ],
)
def test_an_odd_extension_block_does_not_hurt_the_payload(call: Call, block: str) -> None:
    packet = raw_rtp(0x90, bytes.fromhex(block) + b"payload")
    call.alice.send_raw(call.alice.sending.protect(packet))
    assert call.bob.receive().payload == b"payload"


def has_arrived(relay: Relay, count: int) -> bool:
    return relay.stats()["packets_in"] == count


async def test_ten_thousand_random_datagrams_change_nothing(call: Call) -> None:
    """From a bound address: half are noise, half a real packet with some bytes changed."""
    source = random.Random(20261122)
    call.send(1)
    first = call.bob.receive()
    before = call.relay.stats()
    template = call.alice.sending.protect(Rtp(AUDIO_PT, 999, 0, ALICE, bytes(60)).pack())
    rounds = 10_000
    for i in range(rounds):
        if i % 2:
            datagram = source.randbytes(source.randrange(0, 200))
        else:
            changed = bytearray(template[: source.randrange(1, len(template) + 1)])
            for _ in range(source.randrange(1, 5)):
                changed[source.randrange(len(changed))] ^= source.randrange(1, 256)
            datagram = bytes(changed)
        call.alice.send_raw(datagram)
        if i % 500 == 499:
            arrived = before["packets_in"] + i + 1
            await eventually(partial(has_arrived, call.relay, arrived))
            while call.relay.poll():
                pass
    call.send(2, payload=b"still here")
    packet = call.bob.receive()
    assert packet.payload == b"still here"
    assert packet.sequence == first.sequence + 1
    assert call.relay.stats()["rtp_in"] == before["rtp_in"] + 1


async def test_random_but_authentic_packets_keep_the_relay_going(call: Call) -> None:
    """A hostile browser has valid keys: everything behind the header is noise."""
    source = random.Random(8285)
    rounds = 3000
    for i in range(rounds):
        first = source.choice([0x80, 0x90, 0xA0, 0xB0, 0x8F, 0x9F])
        ssrc = source.choice([ALICE, ALICE, 1, 2])
        header = struct.pack("!BBHII", first, source.randrange(192), i, 0, ssrc)
        profile = source.choice([b"\xbe\xde", b"\x10\x00", source.randbytes(2)])
        body = (
            profile
            + struct.pack("!H", source.randrange(6))
            + source.randbytes(source.randrange(80))
        )
        try:
            call.alice.send_raw(call.alice.sending.protect(header + body))
        except Error:  # libsrtp itself refuses a header that is longer than the packet
            rounds -= 1
        call.alice.send_rtcp(
            struct.pack(
                "!BBHI",
                0x80 | source.randrange(32),
                source.randrange(192, 224),
                source.randrange(8),
                ALICE,
            )
            + source.randbytes(4 * source.randrange(12))
        )
        if i % 200 == 199:
            call.bob.drain()
            call.alice.drain()
    await eventually(lambda: call.relay.stats()["packets_in"] == rounds + 3000)
    call.bob.drain()
    call.bob.rtp.clear()
    call.send(3500, payload=b"fence")
    while call.bob.receive().payload != b"fence":
        pass
