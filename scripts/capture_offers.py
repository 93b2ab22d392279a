"""Capture real browsers' offers for the answerer's tests, one file for each offer.

    .venv/bin/python -m scripts.capture_offers BROWSER [SCENARIO ...]

Runs the scenarios below in the system's Chromium or Firefox, headless, and writes what it offers
at each step to tests/data/offers/BROWSER/SCENARIO/N-STEP.offer. Between steps our own answerer
answers, so that the next offer is one that follows a real negotiation; no media flows. What to do
with new offers is in tests/data/offers/README.md.
"""

import argparse
import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, Page, Playwright, Route, async_playwright

from media.answerer import ServerDescription, Slot, make_answer
from media.offer import parse_offer
from scripts.chromium import launch_chromium
from scripts.firefox import launched_firefox

OFFERS: Final = Path(__file__).parents[1] / "tests" / "data" / "offers"

# A secure context without a server: Playwright answers for this origin.
ORIGIN: Final = "https://capture.test/"
PAGE: Final = """<!doctype html><title>Offers</title><script>
let pc;
const streams = {};  // by mid, the ids that ontrack told
function connect(configuration) {
  pc = new RTCPeerConnection(configuration);
  pc.ontrack = (event) => { streams[event.transceiver.mid] = event.streams.map(({id}) => id); };
}
connect({bundlePolicy: "max-bundle"});
async function publish(encodings) {
  const stream = await navigator.mediaDevices.getUserMedia({audio: true, video: true});
  const [audio, video] = [...stream.getAudioTracks(), ...stream.getVideoTracks()];
  pc.addTransceiver(audio, {direction: "sendonly", streams: [stream]});
  pc.addTransceiver(video, {
    direction: "sendonly", streams: [stream], sendEncodings: encodings ?? [{}],
  });
}
function drawing() {
  const canvas = document.createElement("canvas");
  canvas.getContext("2d").fillRect(0, 0, 9, 9);
  return canvas.captureStream(5);
}
async function share() {
  // A headless Firefox has no screen; an offer does not tell the difference.
  const stream = await navigator.mediaDevices.getDisplayMedia({video: true}).catch(drawing);
  pc.addTransceiver(stream.getVideoTracks()[0], {direction: "sendonly", streams: [stream]});
}
function receive(pairs) {
  for (let pair = 0; pair < pairs; pair++)
    for (const kind of ["audio", "video"]) pc.addTransceiver(kind, {direction: "recvonly"});
}
function transceiver(mid) { return pc.getTransceivers().find((each) => each.mid === mid); }
async function offer() { await pc.setLocalDescription(); return pc.localDescription.sdp; }
async function accept(sdp) { await pc.setRemoteDescription({type: "answer", sdp}); }
</script>"""

# Scenario -> step -> what the page does before it offers.
SCENARIOS: Final[Mapping[str, Mapping[str, str]]] = {
    "audio-video": {"publish": "publish()"},
    "receive": {
        "publish": "publish()",
        "two-more-people": "receive(2)",
    },
    "receive-first": {
        "one-more-person": "receive(1)",
        "publish": "publish()",
    },
    "simulcast": {
        "publish": """publish([
            {rid: "q", scaleResolutionDownBy: 4},
            {rid: "h", scaleResolutionDownBy: 2},
            {rid: "f"},
        ])""",
        "one-more-person": "receive(1)",
    },
    "scalable-video": {"publish": "publish([{scalabilityMode: 'L1T3'}])"},
    "screen-share": {
        "publish": "publish()",
        "share": "share()",
        "stop-sharing": "transceiver('2').stop()",
    },
    "reused-section": {
        "publish-and-receive": "publish().then(() => receive(1))",
        "stop-camera": "transceiver('1').stop()",
        "an-audio-in-its-place": "pc.addTransceiver('audio', {direction: 'recvonly'})",
        "stop-the-first-section": "transceiver('0').stop()",
        "a-screen-in-its-place": "share()",
    },
    "inactive": {
        "publish-and-receive": "publish().then(() => receive(1))",
        "pause": "['1', '3'].forEach((mid) => { transceiver(mid).direction = 'inactive'; })",
        "resume": """(transceiver('1').direction = 'sendonly',
                      transceiver('3').direction = 'recvonly')""",
    },
    "ice-restart": {
        "publish-and-receive": "publish().then(() => receive(1))",
        "restart": "pc.restartIce()",
        "restart-again": "pc.restartIce()",
    },
    "data-channel": {
        "channel-first": "pc.createDataChannel('chat')",
        "publish": "publish()",
    },
    "unbundled": {
        "publish": "(connect(), publish())",
        "one-more-person": "receive(1)",
        "restart": "pc.restartIce()",
    },
    "both-directions": {
        "publish": "publish().then(() => pc.getTransceivers().forEach("
        "(each) => { each.direction = 'sendrecv'; }))",
    },
}
# The scenarios of one browser alone: the other does not know what they use, or does not care.
ONLY_IN: Final[Mapping[str, str]] = {"scalable-video": "chromium", "unbundled": "firefox"}
BROWSERS: Final = ("chromium", "firefox")


def scenarios_of(browser: str) -> list[str]:
    return [name for name in SCENARIOS if ONLY_IN.get(name, browser) == browser]


class Server:
    """Our side of one page's connection: an answer for each of its offers."""

    def __init__(self) -> None:
        self._ufrags: dict[str, int] = {}
        self._answers = 0

    def answer(self, sdp: str) -> str:
        """Feed every recvonly section; new credentials for new ones of the browser."""
        offer = parse_offer(sdp)
        generation = self._ufrags.setdefault(offer.ice_ufrag, len(self._ufrags))
        self._answers += 1
        ours = ServerDescription(
            session_id=1,
            version=self._answers,
            ufrag=f"server{generation:02}",
            pwd=f"{generation:022}",
            fingerprint=":".join(["AB"] * 32),
            candidates=(("127.0.0.1", 9), ("::1", 9)),  # 9: discard; nothing is sent there
        )
        slots = {
            section.mid: Slot(
                1000 + section.index,
                2000 + section.index if section.kind == "video" else 0,
                f"stream{section.mid}",
                "track",
                "server",
            )
            for section in offer.sections
            if section.acceptable and section.direction == "recvonly"
        }
        return make_answer(offer, ours, slots)[0]


async def open_page(browser: Browser) -> Page:
    """A page with the functions of PAGE, each time it goes to ORIGIN."""

    async def fulfill(route: Route) -> None:
        await route.fulfill(body=PAGE, content_type="text/html")

    page = await browser.new_page()
    await page.route(f"{ORIGIN}**", fulfill)
    return page


async def negotiations(page: Page, scenario: str) -> AsyncIterator[tuple[str, str, str]]:
    """Play one scenario on a fresh document: (step, offer, answer) once it took the answer.

    Raises playwright.async_api.Error where it does not take it.
    """
    await page.goto(ORIGIN)
    server = Server()
    for step, action in SCENARIOS[scenario].items():
        await page.evaluate(f"async () => {{ await {action}; }}")
        sdp: str = await page.evaluate("offer()")
        answer = server.answer(sdp)
        await page.evaluate("(sdp) => accept(sdp)", answer)
        yield step, sdp, answer


@asynccontextmanager
async def launched(playwright: Playwright, name: str) -> AsyncIterator[Browser]:
    """One of BROWSERS."""
    if name == "firefox":
        async with launched_firefox(playwright) as browser:
            yield browser
    else:
        browser = await launch_chromium(playwright)
        yield browser
        await browser.close()


async def capture(name: str, scenarios: Sequence[str]) -> None:
    async with async_playwright() as playwright, launched(playwright, name) as browser:
        page = await open_page(browser)
        for scenario in scenarios:
            folder = OFFERS / name / scenario
            folder.mkdir(parents=True, exist_ok=True)
            for old in folder.glob("*.offer"):
                old.unlink()
            number = 0
            async for step, sdp, _ in negotiations(page, scenario):
                number += 1
                path = folder / f"{number}-{step}.offer"
                path.write_text(_anonymous(sdp), newline="\n")
                print(path.relative_to(OFFERS), len(sdp))


def _anonymous(sdp: str) -> str:
    """The offer without the addresses of the machine it was captured on, line ends as "\\n"."""
    sdp = re.sub(r"^(a=candidate:(?:\S+ ){4})\S*:\S*", r"\g<1>2001:db8::2", sdp, flags=re.M)
    sdp = re.sub(r"^(a=candidate:(?:\S+ ){4})[\d.]+ ", r"\g<1>192.0.2.2 ", sdp, flags=re.M)
    sdp = re.sub(r"^c=IN IP4 (?!0\.0\.0\.0)\S+", "c=IN IP4 192.0.2.2", sdp, flags=re.M)
    sdp = re.sub(r"^c=IN IP6 (?!::\s)\S+", "c=IN IP6 2001:db8::2", sdp, flags=re.M)
    return sdp.replace("\r\n", "\n")


def main() -> None:
    arguments = argparse.ArgumentParser(description="Capture a browser's offers for the tests.")
    arguments.add_argument("browser", choices=BROWSERS)
    arguments.add_argument("scenario", nargs="*", help=f"of {', '.join(SCENARIOS)}; default: all")
    parsed = arguments.parse_args()
    known = scenarios_of(parsed.browser)
    if unknown := set(parsed.scenario) - set(known):
        arguments.error(f"no such scenario: {', '.join(sorted(unknown))}")
    asyncio.run(capture(parsed.browser, parsed.scenario or known))


if __name__ == "__main__":
    main()
