"""One viewer behind a link, on a fake clock: what the relay would send, count and be told.

Sound and one picture in three layers go down; the picture follows the estimate by a rule of
thumb. The link is the one that browsers are tested with (tests.support.impairment).
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from media.bandwidth import Estimator
from media.probes import Cluster
from media.relay import Downlink
from tests.support.impairment import Impairment, Path

TICK_S: Final = 0.005
SAMPLE_S: Final = 0.2
FEEDBACK_S: Final = 0.0625
SOUND_BYTES: Final = 144  # on the wire, 50 a second: 58 kbit/s
PACKET_BYTES: Final = 1228
LAYERS: Final = (120_000, 450_000, 1_200_000)
SOUND: Final = 60_000
WANTED: Final = LAYERS[-1] + SOUND
# A keyframe is so many ordinary frames, and takes this long to come.
KEYFRAME: Final = 5
KEYFRAME_S: Final = 0.3

_NO_DOWNLINK: Final = Downlink(*[0] * len(Downlink._fields))


@dataclass
class _Sent:
    at: float
    size: int
    sound: bool
    fate: bool | None = None


@dataclass
class Moment:
    """What was seen at one sample."""

    at: float
    estimate: float
    layer: int


@dataclass
class Viewer:
    """`play` moves time; `moments` has what happened."""

    link: Impairment = field(default_factory=Impairment)
    feedback: bool = True
    up_delay_s: float = 0.01
    now: float = 1000.0
    estimator: Estimator = field(default_factory=Estimator)
    moments: list[Moment] = field(default_factory=list)
    queues_ms: list[float] = field(default_factory=list)
    sound_sent: int = 0
    sound_lost: int = 0
    fits: Callable[[float], int] = lambda estimate: max(
        (n for n, rate in enumerate(LAYERS) if rate + SOUND <= estimate), default=-1
    )

    def __post_init__(self) -> None:
        self._path = Path(seed=7)
        self._path.become(self.link, self.now)
        self._sent: list[_Sent] = []
        self._arrived: dict[int, float] = {}
        self._told = 0
        self._mailbox: list[tuple[float, int, dict[int, float]]] = []
        self._figures = dict.fromkeys(Downlink._fields, 0)
        self._origin: float | None = None
        self._last_arrival = 0.0
        self._layer, self._next_layer, self._switch_at = -1, -1, 0.0
        self._fell_at = -10.0
        self._owed = 0.0
        self._cluster: tuple[Cluster, float, int, int] | None = None
        self._closed: tuple[int, int] | None = None
        self._due = {"sound": self.now, "frame": self.now, "feedback": self.now, "sample": self.now}

    @property
    def estimate(self) -> float:
        return self.estimator.estimate

    @property
    def layer(self) -> int:
        return self._layer

    def become(self, link: Impairment) -> None:
        self.link = link
        self._path.become(link, self.now)

    def play(self, seconds: float, *, until: Callable[[], bool] = lambda: False) -> float:
        """Go on for so long, or until something holds; how long it took."""
        began = self.now
        while self.now < began + seconds and not until():
            self._tick()
        return self.now - began

    def _tick(self) -> None:
        self.now += TICK_S
        if self._every("sound", 0.02):
            self._send(SOUND_BYTES, sound=True)
        if self._every("frame", 1 / 30):
            self._send_frame()
        self._send_padding()
        for packet in self._path.due(self.now):
            (number,) = struct.unpack_from("!I", packet)
            self._arrived[number] = self.now
        if self._every("feedback", FEEDBACK_S) and self._arrived:
            self._mailbox.append((self.now + self.up_delay_s, len(self._sent), self._arrived))
            self._arrived = {}
        while self._mailbox and self._mailbox[0][0] <= self.now:
            self._take_feedback(self._mailbox.pop(0)[2])
        if self._every("sample", SAMPLE_S):
            self._sample()

    def _every(self, what: str, seconds: float) -> bool:
        if self.now < self._due[what]:
            return False
        self._due[what] += seconds
        return True

    def _send(self, size: int, *, sound: bool = False) -> None:
        self._figures["sent_bytes"] += size
        self.sound_sent += sound
        number = len(self._sent)
        self._sent.append(_Sent(self.now, size, sound))
        lost = self._path.lost
        self._path.take(struct.pack("!I", number) + bytes(size - 4), self.now)
        self.sound_lost += sound and self._path.lost > lost

    def _send_frame(self) -> None:
        scale = 1
        if self._next_layer != self._layer and self.now >= self._switch_at:
            self._layer, scale = self._next_layer, KEYFRAME
        if self._layer < 0:
            return
        left = LAYERS[self._layer] / 8 / 30 * scale
        while left > 0:
            self._send(max(200, min(PACKET_BYTES, int(left))))
            left -= PACKET_BYTES

    def _send_padding(self) -> None:
        if self._cluster is None:
            return
        cluster, began, first, before = self._cluster
        took = min(self.now - began, cluster.duration_ms / 1000)
        left = cluster.bits_per_second / 8 * took - (self._figures["sent_bytes"] - before)
        while left > 0:
            self._send(327)
            left -= 327
        if self.now - began >= cluster.duration_ms / 1000:
            self._cluster, self._closed = None, (first, len(self._sent) - 1)

    def _take_feedback(self, arrivals: dict[int, float]) -> None:
        figures = self._figures
        figures["feedbacks"] += 1
        for number in range(self._told, max(arrivals) + 1):
            if number not in arrivals and self._sent[number].fate is None:
                self._sent[number].fate = False
                figures["lost_packets"] += 1
        self._told = max(self._told, max(arrivals) + 1)
        for number, at in arrivals.items():
            sent = self._sent[number]
            figures["lost_packets"] -= sent.fate is False
            sent.fate = True
            delay = at - sent.at
            self._origin = delay if self._origin is None else self._origin
            figures["delay_us"] += round((delay - self._origin) * 1e6)
            figures["arrived_packets"] += 1
            figures["arrived_bytes"] += sent.size
            self.queues_ms.append(delay * 1000 - self.link.delay_ms)
        last = max(arrivals.values())
        if self._last_arrival:
            figures["arrival_us"] += round((last - self._last_arrival) * 1e6)
        self._last_arrival = last
        self._note_cluster(arrivals)

    def _note_cluster(self, arrivals: dict[int, float]) -> None:
        self._seen = getattr(self, "_seen", {}) | arrivals
        if self._closed is None or self._told <= self._closed[1]:
            return
        first, last = self._closed
        got = {n: at for n, at in self._seen.items() if first <= n <= last}
        self._closed, self._seen = None, {}
        self._figures["probes"] += 1
        if got:
            begun = min(got.values())
            bytes_ = sum(self._sent[n].size for n in got) - self._sent[min(got)].size
            took = max(max(got.values()) - begun, TICK_S)
            self._figures["probe_bits_per_second"] = round(bytes_ * 8 / took)
        else:
            self._figures["probe_bits_per_second"] = 0

    def _sample(self) -> None:
        seen = Downlink(**self._figures)
        if not self.feedback:
            seen = _NO_DOWNLINK._replace(sent_bytes=seen.sent_bytes)
        estimate = self.estimator.observe(self.now, seen)
        self._choose(estimate)
        cluster = self.estimator.probe(self.now, WANTED)
        if cluster is not None:
            self._closed, self._seen = None, {}
            self._cluster = (cluster, self.now, len(self._sent), self._figures["sent_bytes"])
        self.moments.append(Moment(self.now, estimate, self._layer))

    def _choose(self, estimate: float) -> None:
        layer = self.fits(estimate)
        if layer == self._next_layer:
            return
        if layer > self._next_layer:
            layer = min(layer, self.fits(estimate / 1.15))
            if layer <= self._next_layer or (layer > 0 and self.now - self._fell_at < 3):
                return
        else:
            self._fell_at = self.now
            self._layer = -1  # what does not fit stops at once
        self._next_layer, self._switch_at = layer, self.now + KEYFRAME_S
