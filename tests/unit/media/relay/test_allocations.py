"""The relay thread allocates nothing per packet: the allocator's calls are counted by thread.

Runs in a process of its own, which preloads a counting allocator.
"""

import ctypes
import json
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from media.relay import OPUS, RED, VP9, Relay
from tests.unit.media.relay.acknowledgement import feedback, remb
from tests.unit.media.relay.browser import (
    EXTENSIONS,
    GCM,
    VP8_DELTA,
    VP8_KEY,
    Browser,
    nack,
    pli,
    sender_report,
)
from tests.unit.media.relay.call import ALICE, SLOT, SLOT_RTX, Call
from tests.unit.media.relay.rtp import Rtp
from tests.unit.media.relay.scalable import Scalable
from tests.unit.media.relay.simulcast import Simulcast
from tests.unit.media.relay.stream_browser import StreamBrowser

HERE = Path(__file__).parent
ROUNDS = 4000


def measure(profile: str, kind: type[Browser] = Browser) -> dict[str, int]:
    """Calls of the allocator on the relay thread, warming up and then over ROUNDS packets."""
    allocations = ctypes.CDLL(None).allocations
    allocations.restype = ctypes.c_long
    relay = Relay("127.0.0.1")
    relay.start()
    (thread,) = (each for each in threading.enumerate() if each.name == "relay")
    alice, bob, carol = (kind(relay, profile=profile) for _ in range(3))
    call = Call(relay, alice, bob, "video")
    slot = relay.add_subscription(carol.peer, "video", "5", SLOT, SLOT_RTX)
    relay.set_source(slot, call.track)
    camera = Simulcast(relay, lambda **options: Browser(relay, profile=profile, **options))
    scalable = Scalable(
        relay,
        lambda **options: Browser(relay, profile=profile, **options),
        VP9,
        described=True,
    )
    dave = Browser(relay, profile=profile)
    erin = Browser(relay, profile=profile, codecs=scalable.codecs)
    slots = camera.viewer(dave), scalable.viewer(erin)
    sound = Call(
        relay,
        Browser(relay, profile=profile, codecs={63: (RED, 9), 111: (OPUS, 1)}),
        Browser(relay, profile=profile),
    )

    def say(number: int) -> None:
        sound.send(number, payload_type=63, payload=b"\xef\x0f\0\3\x6fwasnow")
        assert sound.bob.receive().payload == b"now"
        sound.alice.drain()

    say(0)
    # A session's first RTCP costs libsrtp memory once, like its first RTP.
    sound.alice.receive_rtcp_of(201)
    done = 0
    lost: list[tuple[int, bytes]] = []

    def change_layers(number: int) -> None:
        """Both of another kind of layers get a few packets, and another layer now and then."""
        if number % 20 == 10:
            for slot in slots:
                relay.set_layer(slot, number // 20 % 4 - 1, number // 20 % 3)
        for layer in range(3):
            camera.send(layer, number, key=number % 20 == 0)
        scalable.picture(number, key=number % 20 == 0)
        for each in (dave, erin, camera.alice, scalable.alice):
            each.drain()
            each.rtp.clear()

    def play(count: int) -> int:
        nonlocal done
        for number in range(done, done + count):
            key = number % 400 == 0
            extensions = {
                EXTENSIONS["twcc"]: struct.pack("!H", number & 0xFFFF),
                EXTENSIONS["mid"]: b"0",
            }
            payload = VP8_KEY if key else VP8_DELTA
            if number % 50 == 25:
                continue  # asked for again and never sent
            if number % 7 == 3:
                lost.append((number, payload))
                continue
            call.send(number, number * 90, payload=payload, extensions=extensions)
            for missing, its_payload in lost:
                alice.send(Rtp(97, missing, 0, ALICE + 1, struct.pack("!H", missing) + its_payload))
            alice.send_raw(b"\x80" + bytes(60))
            if key:
                alice.send_rtcp(sender_report(ALICE, number << 32, number * 90))
                bob.send_rtcp(pli(1, SLOT))
            theirs = 0
            while theirs < 1 + len(lost):
                theirs += carol.receive().ssrc == SLOT  # the rest is a probe's
            newest = bob.receive_many(1 + len(lost))[0]
            lost.clear()
            say(number + 1)
            if number % 4 == 0:
                change_layers(number // 4)
            if number % 5 == 0:
                bob.send_rtcp(nack(1, SLOT, (newest.sequence, 0)))
                assert bob.receive().ssrc == SLOT_RTX
            if number % 10 == 0:
                told = struct.unpack("!H", newest.extensions[EXTENSIONS["twcc"]])[0]
                bob.send_rtcp(feedback(told - 10, [0, 5, None, *range(8, 16)]))
                bob.send_rtcp(remb(number, 3, SLOT))
            if number % 200 == 0:
                relay.set_playout_delay(call.slot, number % 1000)
                relay.probe(carol.peer, 20_000_000, 20)
                relay.cap(call.track, 500_000 + number)
            alice.drain()
        done += count
        return int(allocations(thread.native_id))

    warm = play(500)
    figures = {
        "warm_up": warm,
        "measured": play(ROUNDS) - warm,
        "forwarded": relay.stats()["packets_out"],
        "plis": relay.track_stats(call.track)["plis_sent"],
        "nacks": relay.track_stats(call.track)["nacks_sent"],
        "repaired": relay.stats()["retransmissions_received"],
        "resent": relay.stats()["retransmissions_sent"],
        "probes": relay.downlink(carol.peer).padding_bytes,
        "arrived": relay.downlink(bob.peer).arrived_packets,
        "layered": sum(relay.subscription_stats(slot)["packets"] for slot in slots),
    }
    relay.stop()
    return figures


# ASAN brings an allocator of its own: there is nothing to count, and no place to preload it.
@pytest.mark.unsanitized
def test_nothing_is_allocated_per_packet(tmp_path: Path) -> None:
    library = tmp_path / "count_allocations.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O1", "-o", library, HERE / "count_allocations.c"], check=True
    )
    run = subprocess.run(
        [sys.executable, "-c", f"import {__name__} as t; t.main()"],
        env=os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": str(HERE.parents[3])},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert run.returncode == 0, run.stderr
    for figures in json.loads(run.stdout):
        assert figures["warm_up"] > 0, "the counter does not count"
        assert figures["forwarded"] > 2.9 * ROUNDS
        assert figures["nacks"] > ROUNDS // 100
        assert figures["repaired"] > ROUNDS // 10
        assert figures["resent"] > ROUNDS // 10
        assert figures["probes"] > 1_000
        assert figures["arrived"] > ROUNDS // 2
        assert figures["layered"] > ROUNDS // 4
        assert figures["measured"] == 0, figures


def main() -> None:
    profiles = (GCM, "SRTP_AES128_CM_SHA1_80")
    figures = [measure(profile) for profile in profiles]
    sys.stdout.write(json.dumps([*figures, measure(GCM, StreamBrowser)]))
