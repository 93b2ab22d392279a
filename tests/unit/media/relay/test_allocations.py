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

from media.relay import Relay
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

HERE = Path(__file__).parent
ROUNDS = 4000


def measure(profile: str) -> dict[str, int]:
    """Calls of the allocator on the relay thread, warming up and then over ROUNDS packets."""
    allocations = ctypes.CDLL(None).allocations
    allocations.restype = ctypes.c_long
    relay = Relay("127.0.0.1")
    relay.start()
    (thread,) = (each for each in threading.enumerate() if each.name == "relay")
    alice, bob, carol = (Browser(relay, profile=profile) for _ in range(3))
    call = Call(relay, alice, bob, "video")
    relay.set_source(relay.add_subscription(carol.peer, "video", "5", SLOT), call.track)
    done = 0
    lost: list[tuple[int, bytes]] = []

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
            carol.receive_many(1 + len(lost))
            newest = bob.receive_many(1 + len(lost))[0]
            lost.clear()
            if number % 5 == 0:
                bob.send_rtcp(nack(1, SLOT, (newest.sequence, 0)))
                assert bob.receive().ssrc == SLOT_RTX
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
        assert figures["forwarded"] > 1.9 * ROUNDS
        assert figures["nacks"] > ROUNDS // 100
        assert figures["repaired"] > ROUNDS // 10
        assert figures["resent"] > ROUNDS // 10
        assert figures["measured"] == 0, figures


def main() -> None:
    profiles = (GCM, "SRTP_AES128_CM_SHA1_80")
    sys.stdout.write(json.dumps([measure(profile) for profile in profiles]))
