"""How busy the relay's thread is, and whether it lives."""

import socket
import time

from media.relay import Relay
from tests.support.eventually import eventually


def flood(relay: Relay, packets: int) -> None:
    """Junk: the thread looks at each and drops it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(packets):
            sender.sendto(b"\x00", ("127.0.0.1", relay.port))


async def test_a_thread_that_works_is_busy_for_no_longer_than_it_lives() -> None:
    began = time.monotonic()
    relay = Relay("127.0.0.1")
    relay.start()
    try:
        idle_us = relay.busy_us
        flood(relay, 5000)
        # Each packet is a system call's part at least.
        await eventually(lambda: relay.busy_us - idle_us > 1000, "it worked")
    finally:
        relay.stop()
    assert relay.busy_us <= (time.monotonic() - began) * 1_000_000


async def test_a_thread_that_waits_is_not_busy(relay: Relay) -> None:
    await eventually(lambda: relay.turns > 0, "it waits")
    before_us, began = relay.busy_us, time.monotonic()
    await eventually(lambda: time.monotonic() - began > 0.3, "time goes by")
    # Woken once, so that what it waited would be counted.
    turns = relay.wake()
    await eventually(lambda: relay.turns > turns, "a turn")
    assert relay.busy_us - before_us < 100_000


async def test_a_thread_that_is_woken_makes_a_turn(relay: Relay) -> None:
    for _ in range(3):
        turns = relay.wake()
        await eventually(lambda: relay.turns > turns, "a turn")  # noqa: B023


async def test_a_thread_that_ended_makes_no_turn() -> None:
    relay = Relay("127.0.0.1")
    relay.start()
    relay.stop()
    turns, began = relay.wake(), time.monotonic()
    await eventually(lambda: time.monotonic() - began > 0.1, "one that lives goes on in 2 ms")
    assert relay.turns == turns
