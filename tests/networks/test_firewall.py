"""A firewall that drops every datagram: the call comes up over TCP, on the media port's number."""

from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import async_playwright

from tests.networks.call import call_over_a_link
from tests.networks.watch import Snapshot, snapshot
from tests.support.eventually import eventually
from tests.support.impairment import Impairment

BLOCKED: Final = Impairment(delay_ms=20, udp=False)
# 335 ms where this was first measured: UDP's checks, then TCP's and DTLS's trips of 40 ms each.
SOON_MS: Final = 2_000.0


def connected_after_ms(seen: Snapshot) -> float:
    """From the page's newest connection being made to its being connected."""
    made = max(at for at, what in seen.events if what == "made")
    return min(at for at, what in seen.events if what == "connected" and at > made) - made


@pytest.mark.asyncio
async def test_a_call_comes_up_behind_a_firewall_that_drops_udp_and_is_refreshed(
    tmp_path: Path,
) -> None:
    async with (
        async_playwright() as playwright,
        call_over_a_link(playwright, tmp_path, BLOCKED) as call,
    ):
        ways = [(await room.way())["protocol"] for room in (call.near, call.far)]
        assert ways == ["tcp", "udp"]
        assert connected_after_ms(await snapshot(call.near)) < SOON_MS
        # An ICE restart opens connections of its own.
        await call.near.press("Refresh")
        for room in (call.near, call.far):
            await room.sees()
            await room.hears()
        assert (await call.near.way())["protocol"] == "tcp"


@pytest.mark.asyncio
async def test_a_call_goes_over_to_tcp_when_a_firewall_begins_to_drop_udp(tmp_path: Path) -> None:
    async with (
        async_playwright() as playwright,
        call_over_a_link(playwright, tmp_path, Impairment(delay_ms=20)) as call,
    ):
        assert (await call.near.way())["protocol"] == "udp"
        call.link.become(both=BLOCKED)

        async def is_on_tcp() -> bool:
            protocol = (await call.near.way()).get("protocol")
            assert protocol == "tcp", protocol
            return True

        await eventually(is_on_tcp, "media over TCP", within=30)
        for room in (call.near, call.far):
            await room.sees()
            await room.hears()
