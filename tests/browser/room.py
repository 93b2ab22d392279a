"""The room page as a person uses it, and what a person would see and hear there."""

from typing import Any

from playwright.async_api import BrowserContext, Locator, Page

from tests.support.eventually import eventually

# Keeps the page's connections where a test can read their statistics; changes nothing.
_RECORD = """
(() => {
  const Native = window.RTCPeerConnection;
  window.connections = [];
  window.RTCPeerConnection = class extends Native {
    constructor(...args) { super(...args); window.connections.push(this); }
  };
  const NativeSocket = window.WebSocket;
  window.sockets = [];
  window.WebSocket = class extends NativeSocket {
    constructor(...args) { super(...args); window.sockets.push(this); }
  };
})();
"""

_HASH = """
video => {
  const canvas = document.createElement('canvas');
  canvas.width = 64; canvas.height = 48;
  const pen = canvas.getContext('2d');
  pen.drawImage(video, 0, 0, 64, 48);
  let hash = 0;
  for (const byte of pen.getImageData(0, 0, 64, 48).data) hash = (hash * 31 + byte) | 0;
  return hash;
}
"""

_INBOUND = """
async kind => {
  const totals = {packets: 0, energy: 0, frames: 0};
  for (const pc of window.connections) {
    if (pc.connectionState === 'closed') continue;
    for (const report of (await pc.getStats()).values()) {
      if (report.type !== 'inbound-rtp' || report.kind !== kind) continue;
      totals.packets += report.packetsReceived;
      totals.energy += report.totalAudioEnergy || 0;
      totals.frames += report.framesDecoded || 0;
    }
  }
  return totals;
}
"""

_WAY = """
async () => {
  const report = await window.connections.at(-1).getStats();
  for (const {type, selectedCandidatePairId: id} of report.values()) {
    if (type !== 'transport' || id === undefined) continue;
    const local = report.get(report.get(id).localCandidateId);
    const remote = report.get(report.get(id).remoteCandidateId);
    return {
      local: local.candidateType,
      protocol: remote.protocol,
      relay_protocol: local.relayProtocol,
    };
  }
  return {};
}
"""

# What the newest connection receives: kind -> SSRC.
_SSRCS = """
async () => {
  const ssrcs = {};
  for (const report of (await window.connections.at(-1).getStats()).values())
    if (report.type === 'inbound-rtp' && report.packetsReceived > 0)
      ssrcs[report.kind] = report.ssrc;
  return ssrcs;
}
"""

# As the version of each offer's SDP tells.
_OFFERS = """
() => window.connections.map(pc => Number(pc.localDescription.sdp.match(/^o=\\S+ \\d+ (\\d+)/m)[1]))
"""


async def record_connections(context: BrowserContext) -> None:
    """Before any page opens: let `Room.inbound` see what the page receives."""
    await context.add_init_script(_RECORD)


class Room:
    """One participant's page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    async def join(self) -> None:
        await self.button("Join").click()

    async def press(self, name: str) -> None:
        await self.button(name).click()

    def remote_videos(self) -> Locator:
        return self.page.locator("video[data-participant]:not([data-local])")

    async def inbound(self, kind: str) -> dict[str, Any]:
        """Totals over the live connections: packets, energy (audio), frames (video)."""
        totals: dict[str, Any] = await self.page.evaluate(_INBOUND, kind)
        return totals

    async def way(self) -> dict[str, Any]:
        """How the newest connection's media goes: `local` candidate's type, `protocol` to the
        server, `relay_protocol` to a TURN server."""
        way: dict[str, Any] = await self.page.evaluate(_WAY)
        return way

    async def ssrcs(self) -> dict[str, int]:
        """Of what the newest connection receives, by kind."""
        ssrcs: dict[str, int] = await self.page.evaluate(_SSRCS)
        return ssrcs

    async def offers(self) -> list[int]:
        """How many each of its connections made."""
        offers: list[int] = await self.page.evaluate(_OFFERS)
        return offers

    async def sees(self, count: int = 1, *, within: float = 10.0) -> None:
        """`count` remote pictures are shown, and each moves."""
        await eventually(
            lambda: self._all_move(count), f"{count} moving remote pictures", within=within
        )

    async def _all_move(self, count: int) -> bool:
        videos = self.remote_videos()
        shown = await videos.count()
        assert shown == count, f"{shown} remote pictures"
        before = [await videos.nth(n).evaluate(_HASH) for n in range(count)]
        await self.page.wait_for_timeout(100)
        after = [await videos.nth(n).evaluate(_HASH) for n in range(count)]
        still = [n for n in range(count) if before[n] == after[n]]
        assert not still, f"pictures {still} stand still"
        return True

    async def hears(self, *, within: float = 10.0) -> None:
        """Sound with energy arrives: Chromium's fake microphone beeps once a second."""
        start = (await self.inbound("audio"))["energy"]

        async def louder() -> bool:
            energy = (await self.inbound("audio"))["energy"]
            # A beep adds 0.005 and more; comfort noise and fading concealment far less.
            assert energy > start + 0.001, f"energy went from {start} to {energy}"
            return True

        await eventually(louder, "audible sound", within=within)

    async def audio_packets(self) -> int:
        packets: int = (await self.inbound("audio"))["packets"]
        return packets
