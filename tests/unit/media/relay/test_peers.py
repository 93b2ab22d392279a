"""Handles, addresses and removal."""

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from media.relay import Relay, RelayError
from tests.support.eventually import eventually
from tests.unit.media.relay.browser import AUDIO_PT, GCM, Browser
from tests.unit.media.relay.call import ALICE, SLOT, Call
from tests.unit.media.relay.rtp import Rtp

Browsers = Callable[..., Browser]

# linux/udp.h, asm-generic/socket.h
UDP_SEGMENT = 103
SO_TIMESTAMPNS = 35


def verbs_on_a_peer(relay: Relay, peer: int) -> list[Callable[[], object]]:
    address = ("127.0.0.1", 9)
    return [
        lambda: relay.configure_peer(peer, {}, {}, {}),
        lambda: relay.remove_peer(peer),
        lambda: relay.expect(peer, "ufragufrag"),
        lambda: relay.bind(peer, address),
        lambda: relay.select(peer, address),
        lambda: relay.select(peer, None),
        lambda: relay.set_keys(peer, GCM, bytes(28), bytes(28)),
        lambda: relay.add_track(peer, "audio", "0"),
        lambda: relay.add_subscription(peer, "audio", "0", 1),
        lambda: relay.peer_stats(peer),
    ]


def verbs_on_a_track(relay: Relay, track: int, slot: int) -> list[Callable[[], object]]:
    return [
        lambda: relay.remove_track(track),
        lambda: relay.set_forwarding(track, False),
        lambda: relay.request_keyframe(track),
        lambda: relay.track_stats(track),
        lambda: relay.set_source(slot, track),
    ]


def verbs_on_a_slot(relay: Relay, slot: int) -> list[Callable[[], object]]:
    return [
        lambda: relay.remove_subscription(slot),
        lambda: relay.set_source(slot, None),
        lambda: relay.subscription_stats(slot),
    ]


def assert_unknown(verbs: list[Callable[[], object]]) -> None:
    for verb in verbs:
        with pytest.raises(RelayError) as caught:
            verb()
        assert caught.value.code == "relay.unknown_handle"


def test_a_stale_handle_is_refused_even_when_its_place_is_taken_again(
    relay: Relay, browser: Browsers
) -> None:
    call = Call(relay, browser(), browser())
    live_slot = relay.add_subscription(call.alice.peer, "audio", "9", 9)
    relay.remove_subscription(call.slot)
    relay.remove_track(call.track)
    relay.remove_peer(call.bob.peer)
    taken = relay.add_peer()
    relay.add_track(taken, "audio", "0")
    relay.add_subscription(taken, "audio", "0", 1)
    assert_unknown(verbs_on_a_peer(relay, call.bob.peer))
    assert_unknown(verbs_on_a_track(relay, call.track, live_slot))
    assert_unknown(verbs_on_a_slot(relay, call.slot))


def test_a_handle_of_another_kind_or_out_of_the_air_is_refused(call: Call) -> None:
    relay = call.relay
    for handle in (call.track, call.slot, 0, 1, 2**64 - 1):
        assert_unknown(verbs_on_a_peer(relay, handle))
    for handle in (call.alice.peer, call.slot, 0):
        assert_unknown(verbs_on_a_track(relay, handle, call.slot))
    for handle in (call.alice.peer, call.track, 0):
        assert_unknown(verbs_on_a_slot(relay, handle))


def test_removing_a_peer_takes_its_tracks_and_slots_along(call: Call) -> None:
    carol_slot = call.relay.add_subscription(call.bob.peer, "audio", "8", 8)
    call.relay.set_source(carol_slot, call.track)
    call.relay.remove_peer(call.alice.peer)
    assert_unknown(verbs_on_a_track(call.relay, call.track, call.slot))
    assert call.relay.subscription_stats(call.slot)["packets"] == 0
    call.relay.remove_peer(call.bob.peer)
    assert_unknown(verbs_on_a_slot(call.relay, call.slot))


def test_handles_are_never_used_twice(relay: Relay) -> None:
    seen = set()
    for _ in range(500):
        peer = relay.add_peer()
        track = relay.add_track(peer, "audio", "0")
        slot = relay.add_subscription(peer, "audio", "0", 1)
        seen |= {peer, track, slot}
        relay.remove_peer(peer)
    assert len(seen) == 1500


def test_two_live_slots_of_a_peer_cannot_share_an_ssrc(call: Call) -> None:
    with pytest.raises(RelayError) as caught:
        call.relay.add_subscription(call.bob.peer, "audio", "6", SLOT)
    assert caught.value.code == "relay.ssrc_in_use"
    call.relay.add_subscription(call.alice.peer, "audio", "6", SLOT)


def test_video_does_not_go_to_an_audio_slot(call: Call) -> None:
    video = call.relay.add_track(call.alice.peer, "video", "1")
    with pytest.raises(ValueError, match="audio slots"):
        call.relay.set_source(call.slot, video)


def test_our_own_misuse_is_refused_loudly(relay: Relay) -> None:
    peer = relay.add_peer()
    misuses: list[Callable[[], object]] = [
        lambda: relay.add_track(peer, "data", "0"),  # type: ignore[arg-type]
        lambda: relay.add_track(peer, "audio", "m" * 33),
        lambda: relay.expect(peer, ""),
        lambda: relay.expect(peer, "u" * 257),
        lambda: relay.bind(peer, ("localhost", 1)),
        lambda: relay.bind(peer, ("127.0.0.1", 0)),
        lambda: relay.bind(peer, ("127.0.0.1", 65536)),
        lambda: relay.set_keys(peer, "SRTP_NULL", bytes(28), bytes(28)),
        lambda: relay.set_keys(peer, GCM, bytes(28), bytes(27)),
        lambda: relay.configure_peer(peer, {128: (1, 1)}, {}, {}),
        lambda: relay.configure_peer(peer, {1: (99, 1)}, {}, {}),
        lambda: relay.configure_peer(peer, {}, {200: 1}, {}),
        lambda: relay.configure_peer(peer, {}, {}, {"mid": 0}),
        lambda: relay.bind(peer, ("::1", 5)),
        lambda: relay.send(("::1", 5), b"from an IPv4 relay"),
        lambda: Relay(gather_us=5001),
    ]
    for misuse in misuses:
        with pytest.raises(ValueError, match=r".+"):
            misuse()
    assert relay.add_peer(extensions={"unheard-of": 3})


def test_an_address_must_be_bound_to_be_selected(relay: Relay, browser: Browsers) -> None:
    alice, bob = browser(), browser()
    for address in (("127.0.0.1", 9), bob.address):
        with pytest.raises(RelayError) as caught:
            relay.select(alice.peer, address)
        assert caught.value.code == "relay.not_bound"


def test_media_goes_to_the_selected_address(call: Call) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as moved:
        moved.bind(("127.0.0.1", 0))
        moved.settimeout(5)
        call.send(1)
        call.bob.receive()
        call.relay.bind(call.bob.peer, moved.getsockname())
        call.send(2, payload=b"still here")
        assert call.bob.receive().payload == b"still here"
        call.relay.select(call.bob.peer, moved.getsockname())
        call.send(3, payload=b"there")
        assert len(moved.recv(2048)) > 12


def test_an_address_that_moves_to_another_peer_is_only_that_peers(
    relay: Relay, browser: Browsers
) -> None:
    call = Call(relay, browser(), browser())
    carol = browser()
    relay.select(call.bob.peer, None)
    relay.bind(carol.peer, call.bob.address)
    assert relay.peer_stats(call.bob.peer)["addresses"] == 0
    call.send(1, payload=b"nobody gets it")
    slot = relay.add_subscription(carol.peer, "audio", "5", SLOT)
    relay.set_source(slot, call.track)
    call.send(2, payload=b"fence")
    while carol.receive().payload != b"fence":
        pass
    assert relay.subscription_stats(call.slot)["packets"] == 0


def test_an_address_that_a_peer_is_using_cannot_be_taken_by_another(
    relay: Relay, browser: Browsers
) -> None:
    """Somebody with a room of their own forges a check from a stranger's address."""
    call = Call(relay, browser(), browser())
    thief = browser()
    with pytest.raises(RelayError) as refused:
        relay.bind(thief.peer, call.bob.address)
    assert refused.value.code == "relay.address_in_use"
    call.send(1, payload=b"still bob's")
    assert call.bob.receive().payload == b"still bob's"


def test_the_ninth_address_pushes_out_the_most_silent_one_but_not_the_selected(
    relay: Relay, browser: Browsers
) -> None:
    alice = browser()
    for port in range(9001, 9011):
        relay.bind(alice.peer, ("127.0.0.1", port))
    assert relay.peer_stats(alice.peer)["addresses"] == 8
    relay.select(alice.peer, ("127.0.0.1", 9010))
    relay.select(alice.peer, alice.address)
    for gone in (9001, 9002, 9003):
        with pytest.raises(RelayError):
            relay.select(alice.peer, ("127.0.0.1", gone))


def test_a_thousand_peers_and_their_addresses_come_and_go(relay: Relay, browser: Browsers) -> None:
    def addresses(i: int) -> list[tuple[str, int]]:
        return [(f"10.{network}.{i // 250}.{i % 250 + 1}", 1000 + i) for network in range(3)]

    peers = [relay.add_peer() for _ in range(1000)]
    for i, peer in enumerate(peers):
        for address in addresses(i):
            relay.bind(peer, address)
    for peer in peers[::2]:
        relay.remove_peer(peer)
    for i, peer in enumerate(peers):
        for address in addresses(i) if i % 2 else []:
            relay.select(peer, address)
    call = Call(relay, browser(), browser())
    call.send(1)
    call.bob.receive()


class Hammer:
    """alice sends bursts without a pause, from a thread of her own, until told to stop."""

    BURST = 40

    def __init__(self, alice: Browser) -> None:
        self._alice = alice
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._stopping.is_set():
            # One system call a burst: the relay has much to send at a time.
            datagrams = [
                self._alice.sending.protect(
                    Rtp(AUDIO_PT, number + i, 960 * (number + i), ALICE, bytes(200)).pack()
                )
                for i in range(self.BURST)
            ]
            size = struct.pack("H", len(datagrams[0]))
            self._alice.socket.sendmsg(
                [b"".join(datagrams)], [(17, UDP_SEGMENT, size)], 0, self._alice.relay_address
            )
            number += self.BURST

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()


def arrivals_ns(browser: Browser) -> list[int]:
    """When the kernel took each datagram that waits, in ns of the wall clock."""
    times = []
    browser.socket.setblocking(False)
    try:
        while True:
            _, controls, _, _ = browser.socket.recvmsg(2048, 64)
            ((_, _, stamp),) = controls
            seconds, nanoseconds = struct.unpack("qq", stamp)
            times.append(seconds * 10**9 + nanoseconds)
    except BlockingIOError:
        return times


SILENCERS: dict[str, Callable[[Call], object]] = {
    "remove the publisher": lambda call: call.relay.remove_peer(call.alice.peer),
    "remove the subscriber": lambda call: call.relay.remove_peer(call.bob.peer),
    "remove the track": lambda call: call.relay.remove_track(call.track),
    "remove the slot": lambda call: call.relay.remove_subscription(call.slot),
    "mute": lambda call: call.relay.set_forwarding(call.track, False),
    "no source": lambda call: call.relay.set_source(call.slot, None),
    "consent lost": lambda call: call.relay.select(call.bob.peer, None),
}


@pytest.fixture
def stamping_kernel() -> Iterator[None]:
    """The kernel stamps datagrams on arrival while a socket wants it, but begins to some time
    after it was told; until then it stamps them when they are read."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as looped:
        looped.bind(("127.0.0.1", 0))
        looped.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        for _ in range(5000):
            looped.sendto(b"to myself", looped.getsockname())
            sent_ns = time.time_ns()
            while time.time_ns() < sent_ns + 1_000_000:
                pass
            ((_, _, stamp),) = looped.recvmsg(100, 64)[1]
            seconds, nanoseconds = struct.unpack("qq", stamp)
            if seconds * 10**9 + nanoseconds <= sent_ns:
                break
        else:
            raise AssertionError("the kernel does not stamp on arrival")
        yield


@pytest.fixture
def slow_relay() -> Iterator[Relay]:
    """One that takes a while to send a burst: packet by packet."""
    relay = Relay("127.0.0.1", offload=False)
    relay.start()
    yield relay
    relay.stop()


@pytest.mark.usefixtures("stamping_kernel")
@pytest.mark.parametrize("silencer", SILENCERS)
def test_when_the_verb_returns_the_last_packet_has_left(slow_relay: Relay, silencer: str) -> None:
    """By the kernel's own time stamps: none is later than the verb's return."""
    relay = slow_relay
    for _ in range(15):
        call = Call(relay, Browser(relay), Browser(relay))
        call.bob.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        hammer = Hammer(call.alice)
        while relay.subscription_stats(call.slot)["packets"] < 200:
            pass
        SILENCERS[silencer](call)
        returned_ns = time.time_ns()
        before = relay.stats()["packets_in"]
        while relay.stats()["packets_in"] < before + 3 * Hammer.BURST:
            pass
        hammer.stop()
        times = arrivals_ns(call.bob)
        for browser in (call.alice, call.bob):
            browser.close()
            # Its port may be the next one's, which could not have it while it is in use.
            with suppress(RelayError):
                relay.remove_peer(browser.peer)
        assert len(times) >= 100
        late = [each - returned_ns for each in times if each > returned_ns]
        assert not late, f"{silencer}: {len(late)} packets left up to {max(late)} ns later"


def test_verbs_from_many_threads_while_media_flows(relay: Relay, browser: Browsers) -> None:
    call = Call(relay, browser(), browser())
    hammer = Hammer(call.alice)
    failures: list[BaseException] = []

    def churn(seed: int) -> None:
        try:
            for i in range(150):
                peer = relay.add_peer({111: (1, 1)}, {}, {"mid": 1})
                relay.expect(peer, f"ufrag-{seed}-{i}")
                relay.bind(peer, ("127.0.0.1", 20000 + seed))
                relay.set_keys(peer, GCM, os.urandom(28), os.urandom(28))
                relay.select(peer, ("127.0.0.1", 20000 + seed))
                slot = relay.add_subscription(peer, "audio", "0", 5)
                relay.set_source(slot, call.track)
                track = relay.add_track(peer, "video", "1", ssrcs=[6])
                relay.request_keyframe(track)
                relay.stats()
                relay.remove_peer(peer)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=churn, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hammer.stop()
    assert not failures
    call.bob.drain()
    assert call.bob.rtp


def test_ipv4_and_ipv6_meet_on_one_port() -> None:
    relay = Relay()
    relay.start()
    four, six = Browser(relay, host="127.0.0.1"), Browser(relay, host="::1")
    try:
        call = Call(relay, four, six)
        back = relay.add_track(six.peer, "audio", "0", ssrcs=[7])
        relay.set_source(relay.add_subscription(four.peer, "audio", "1", 8), back)
        call.send(1, payload=b"to six")
        six.send(Rtp(AUDIO_PT, 1, 0, 7, b"to four"))
        assert six.receive().payload == b"to six"
        assert four.receive().payload == b"to four"
        for each in (four, six):
            each.send_raw(b"\x16\xfe\xff")
        addresses: set[tuple[str, int]] = set()
        while len(addresses) < 2:
            addresses |= {datagram.address[:2] for datagram in relay.poll()}
        assert addresses == {four.address, six.address}, "IPv4 is not shown as mapped"
    finally:
        relay.stop()
        four.close()
        six.close()


def test_an_ipv6_host_is_not_reached_over_ipv4() -> None:
    relay = Relay("::1")
    relay.start()
    six = Browser(relay, host="::1")
    try:
        call = Call(relay, six, Browser(relay, host="::1"))
        call.send(1)
        call.bob.receive()
        call.bob.close()
    finally:
        relay.stop()
        six.close()


def test_a_port_that_is_taken_is_an_os_error(relay: Relay) -> None:
    with pytest.raises(OSError, match="in use"):
        Relay("127.0.0.1", relay.port)


def test_stop_ends_everything_and_may_be_said_twice(relay: Relay, browser: Browsers) -> None:
    call = Call(relay, browser(), browser())
    relay.stop()
    relay.stop()
    relay.send(call.bob.address, b"goes nowhere")
    relay.remove_peer(call.alice.peer)
    assert not any(thread.name == "relay" for thread in threading.enumerate())
    again = Relay("127.0.0.1", relay.port)
    again.stop()


def test_a_relay_is_started_once(relay: Relay) -> None:
    with pytest.raises(RuntimeError):
        relay.start()


def test_a_child_process_is_refused(relay: Relay) -> None:
    child = os.fork()
    if child == 0:
        try:
            relay.stats()
        except RelayError as error:
            os._exit(0 if error.code == "relay.forked" else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


async def test_new_keys_replace_the_old(call: Call) -> None:
    call.send(1)
    call.bob.receive()
    call.relay.set_keys(call.alice.peer, GCM, os.urandom(28), os.urandom(28))
    call.send(2)
    await eventually(lambda: call.relay.stats()["dropped_authentication"] == 1)


def test_what_is_removed_is_held_no_more(call: Call) -> None:
    relay = call.relay
    assert relay.objects() == {"peers": 2, "tracks": 1, "subscriptions": 1}
    relay.remove_subscription(call.slot)
    assert relay.objects() == {"peers": 2, "tracks": 1, "subscriptions": 0}
    relay.remove_peer(call.alice.peer)
    assert relay.objects() == {"peers": 1, "tracks": 0, "subscriptions": 0}
    relay.remove_peer(call.bob.peer)
    assert relay.objects() == {"peers": 0, "tracks": 0, "subscriptions": 0}
