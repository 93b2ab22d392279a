"""The installed browsers take our answers to their own offers, at every step of every scenario.

The scenarios are those whose offers are stored for the unit tests; here the offers are fresh.
"""

from typing import Any

import pytest
from playwright.async_api import Browser

from media.offer import parse_offer
from scripts.capture_offers import SCENARIOS, negotiations, open_page, scenarios_of

STATE = """() => ({
    signaling: pc.signalingState,
    transceivers: pc.getTransceivers().map((each) => ({
        mid: each.mid,
        kind: each.receiver.track.kind,
        wanted: each.direction,
        current: each.currentDirection,
        codecs: each.sender.getParameters().codecs.map((codec) => codec.mimeType),
        // Firefox never tells them.
        extensions: navigator.userAgent.includes("Firefox") ? null
            : each.sender.getParameters().headerExtensions.map(({uri}) => uri),
        streams: streams[each.mid],
    })),
})"""


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("scenario", scenarios_of("chromium"))
async def test_chromium_takes_every_answer_and_settles_on_what_it_wanted(
    chromium: Browser, scenario: str
) -> None:
    await takes_every_answer(chromium, scenario)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("scenario", scenarios_of("firefox"))
async def test_firefox_takes_every_answer_and_settles_on_what_it_wanted(
    firefox: Browser, scenario: str
) -> None:
    await takes_every_answer(firefox, scenario)


async def takes_every_answer(browser: Browser, scenario: str) -> None:
    page = await open_page(browser)
    steps = []
    async for step, sdp, _ in negotiations(page, scenario):
        state: dict[str, Any] = await page.evaluate(STATE)
        live = {each.mid for each in parse_offer(sdp).sections if each.acceptable}
        assert state["signaling"] == "stable", step
        assert {each["mid"] for each in state["transceivers"]} == live, step
        for transceiver in state["transceivers"]:
            check(transceiver, f"{step}: {transceiver}")
        steps.append(step)
    assert steps == list(SCENARIOS[scenario])
    await page.close()


def check(transceiver: dict[str, Any], place: str) -> None:
    # Where it would also receive, it settles for sending: sections have one direction here.
    settled = "sendonly" if transceiver["wanted"] == "sendrecv" else transceiver["wanted"]
    assert transceiver["current"] == settled, place
    if settled == "sendonly":
        # Who has RED sends sound twice.
        sound = ["audio/red", "audio/opus"]
        first = sound if transceiver["kind"] == "audio" else ["video/VP8"]
        offered = [codec for codec in first if codec in transceiver["codecs"]]
        assert transceiver["codecs"][: len(offered)] == offered, place
        assert offered[-1:] == first[-1:], place
        if transceiver["extensions"] is not None:
            extensions = " ".join(transceiver["extensions"])
            assert "transport-wide-cc" in extensions, place
            assert "sdes:mid" in extensions, place
    if settled == "recvonly":
        assert transceiver["streams"] == [f"stream{transceiver['mid']}"], place
