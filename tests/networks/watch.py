"""What one page saw and heard over a while, by the browser's own statistics."""

from dataclasses import dataclass
from statistics import median
from typing import Final

from tests.browser.room import Room

# A picture that stands this long has stopped; less is an encoder that is slow to get going again.
STANDS_MS: Final = 500.0
# What stops so soon after it began to move has not moved yet.
SETTLES_MS: Final = 2_000.0

# Before the page's own scripts: connections and their states, and the frames of whatever element
# shows the other's picture, each with when it was.
WATCH: Final = """
(() => {
  const now = () => performance.timeOrigin + performance.now();
  window.seen = {frames: [], events: [], lips: []};
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(...args) {
      super(...args);
      seen.events.push([now(), 'made']);
      this.addEventListener('connectionstatechange', () => {
        seen.events.push([now(), this.connectionState]);
      });
    }
  };
  const watched = new WeakSet();
  const watchPicture = video => {
    if (watched.has(video)) return;
    watched.add(video);
    const note = (_, frame) => {
      if (video.dataset.local === undefined) seen.frames.push([now(), frame.height]);
      video.requestVideoFrameCallback(note);
    };
    video.requestVideoFrameCallback(note);
  };
  const source = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, 'srcObject');
  Object.defineProperty(HTMLMediaElement.prototype, 'srcObject', {
    ...source,
    set(stream) {
      source.set.call(this, stream);
      if (this instanceof HTMLVideoElement) watchPicture(this);
    },
  });
  setInterval(async () => {
    const played = {};
    for (const report of (await window.connections.at(-1)?.getStats())?.values() ?? [])
      if (report.type === 'inbound-rtp' && report.estimatedPlayoutTimestamp)
        played[report.kind] = report.estimatedPlayoutTimestamp;
    if (played.audio && played.video) seen.lips.push([now(), played.audio - played.video]);
  }, 250);
})();
"""

_SEEN = """
async () => {
  const totals = {};
  for (const report of (await window.connections.at(-1).getStats()).values()) {
    if (report.type !== 'inbound-rtp') continue;
    for (const name of ['totalFreezesDuration', 'concealedSamples', 'silentConcealedSamples',
                        'totalSamplesReceived', 'nackCount', 'pliCount', 'fecPacketsReceived',
                        'retransmittedPacketsReceived', 'keyFramesDecoded', 'packetsLost'])
      if (report[name] !== undefined) totals[`${report.kind}.${name}`] = report[name];
  }
  return {...window.seen, totals, at: performance.timeOrigin + performance.now()};
}
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Times are ms since the epoch, as the system's clock has them."""

    at: float
    frames: list[tuple[float, int]]
    """When each was shown, and its height."""
    events: list[tuple[float, str]]
    lips: list[tuple[float, float]]
    """How far the sound that is played is ahead of the picture that is shown, ms."""
    totals: dict[str, float]


async def snapshot(room: Room) -> Snapshot:
    """What a page saw since it was opened, with the script WATCH."""
    return Snapshot(**await room.page.evaluate(_SEEN))


@dataclass(frozen=True, slots=True)
class Span:
    """What happened between two snapshots of one page."""

    before: Snapshot
    after: Snapshot

    @property
    def seconds(self) -> float:
        return (self.after.at - self.before.at) / 1000

    @property
    def disconnects(self) -> int:
        """How often the browser called the connection lost, or another one was made."""
        lost = ("made", "disconnected", "failed")
        return sum(at > self.before.at and what in lost for at, what in self.after.events)

    @property
    def frozen_share(self) -> float:
        """Of the time, by totalFreezesDuration of inbound-rtp."""
        return self.grown("video.totalFreezesDuration") / self.seconds

    @property
    def concealed_share(self) -> float:
        """Of what was played: concealedSamples - silentConcealedSamples, which are of pauses."""
        concealed = self.grown("audio.concealedSamples")
        silent = self.grown("audio.silentConcealedSamples")
        return (concealed - silent) / max(1.0, self.grown("audio.totalSamplesReceived"))

    @property
    def longest_gap_ms(self) -> float:
        """Between two frames that were shown."""
        return max((end - start for start, end in self.gaps()), default=float("inf"))

    @property
    def lip_sync_ms(self) -> float:
        """Median of how far apart sound and picture are, either way."""
        apart = [abs(ahead) for at, ahead in self.after.lips if at > self.before.at]
        return median(apart) if apart else float("inf")

    def grown(self, total: str) -> float:
        return self.after.totals.get(total, 0.0) - self.before.totals.get(total, 0.0)

    def gaps(self) -> list[tuple[float, float]]:
        times = [at for at, _ in self.after.frames if at > self.before.at] + [self.after.at]
        return list(zip([self.before.at, *times], times, strict=False))

    def moving_after(self, at: float) -> float:
        """ms from `at` until pictures move again, and do not soon stop; 0: they never stopped."""
        ends = [
            end
            for start, end in self.gaps()
            if end > at and start < at + SETTLES_MS and end - start > STANDS_MS
        ]
        return max((end - at for end in ends), default=0.0)

    def next_frame_after(self, at: float) -> float:
        """ms from `at` to the next frame."""
        return min(
            (shown - at for shown, _ in self.after.frames if shown >= at), default=float("inf")
        )
