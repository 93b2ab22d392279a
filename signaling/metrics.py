"""Figures for Prometheus. docs/metrics.md lists them; label values come from our own tables only.

What happens at this edge is counted here. Whoever else counts owns its counters; what there is
now is asked of its owner when somebody asks us.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from media.census import Census
from rooms.db.engine import StorageFailed
from rooms.outbox import Backlog
from rooms.ports import Clock
from signaling.lag import Lag
from signaling.overload import REASONS, Overload

CONTENT_TYPE = CONTENT_TYPE_LATEST

# When each series began is known to Prometheus, which saw it begin.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no type for it

# An ack that changes nothing takes less than a millisecond, one that is stored about ten.
_ACK_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5)


class Metrics:
    """One registry a server, so that two in one process do not count into each other."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._looks: list[Callable[[], Awaitable[None]]] = []
        # The process itself: process_cpu_seconds_total, process_resident_memory_bytes, …
        ProcessCollector(registry=self._registry)
        self.events = Counter(
            "plumm_signaling_events",
            "Events from clients by name and outcome (ok, or an error code).",
            ["event", "outcome"],
            registry=self._registry,
        )
        self.acks = Histogram(
            "plumm_signaling_ack_seconds",
            "From an event's arrival to its ack, by name.",
            ["event"],
            buckets=_ACK_S,
            registry=self._registry,
        )
        self.refused_connections = Counter(
            "plumm_signaling_refused_connections",
            "Socket connections refused, by error code.",
            ["code"],
            registry=self._registry,
        )
        self.refused_requests = Counter(
            "plumm_http_refused_requests",
            "HTTP requests refused, by error code.",
            ["code"],
            registry=self._registry,
        )
        self.dropped_sockets = Counter(
            "plumm_signaling_dropped_sockets",
            "Sockets the server cut off, by reason: an error code, slow_consumer or idle.",
            ["reason"],
            registry=self._registry,
        )
        self.sockets = Gauge("plumm_signaling_sockets", "Open sockets.", registry=self._registry)

    def watch(self, *collectors: Collector) -> None:
        """Show what others count, too."""
        for collector in collectors:
            self._registry.register(collector)

    def watch_outbox(self, backlog: Callable[[], Awaitable[Backlog]], clock: Clock) -> None:
        """Show what is not delivered yet; nothing of it while the database does not answer."""
        outbox = _Outbox(backlog, clock)
        self._looks.append(outbox.look)
        self.watch(outbox)

    def value(self, name: str, **labels: str) -> float:
        """One sample's present value; 0 when it was never counted."""
        return self._registry.get_sample_value(name, labels) or 0.0

    async def exposition(self) -> bytes:
        """All samples in Prometheus' text format."""
        for look in self._looks:
            await look()
        return generate_latest(self._registry)


class RelayTotals(Collector):
    """What the relay counted: plumm_relay_packets_out_total and so on."""

    def __init__(self, stats: Callable[[], Mapping[str, int]]) -> None:
        self._stats = stats

    def collect(self) -> Iterable[Metric]:
        for name, total in self._stats().items():
            yield CounterMetricFamily(
                f"plumm_relay_{name}", "See stats() in media/relay/core.pyi.", value=total
            )


class MediaCensus(Collector):
    """What there is in the media plane."""

    def __init__(self, census: Callable[[], Census]) -> None:
        self._census = census

    def collect(self) -> Iterable[Metric]:
        now = self._census()
        yield _gauge("plumm_media_rooms", "Rooms with somebody in them.", now.rooms)
        yield _gauge("plumm_media_tracks", "Tracks that browsers send.", now.tracks)
        yield _gauge(
            "plumm_media_layers", "Their layers: one of a track that has none.", now.layers
        )
        yield _gauge("plumm_media_subscriptions", "Slots that receive.", now.subscriptions)
        participants = GaugeMetricFamily(
            "plumm_media_participants",
            "Participants by the state of their connection.",
            labels=["connection"],
        )
        for connection in ("none", "connecting", "connected", "lost"):
            participants.add_metric([connection], now.connections.get(connection, 0))
        yield participants
        qualities = GaugeMetricFamily(
            "plumm_media_connections",
            "Connections by how good they are, as participants see it.",
            labels=["quality"],
        )
        for quality in ("good", "fair", "poor"):
            qualities.add_metric([quality], now.qualities.get(quality, 0))
        yield qualities


class EventLoopLag(Collector):
    """How late the event loop was in the last ten seconds."""

    def __init__(self, lag: Callable[[], Lag]) -> None:
        self._lag = lag

    def collect(self) -> Iterable[Metric]:
        lag = self._lag()
        late = GaugeMetricFamily(
            "plumm_event_loop_lag_seconds",
            "How late the event loop was in the last ten seconds.",
            labels=["rank"],
        )
        for rank, seconds in (("p50", lag.p50_s), ("p99", lag.p99_s), ("max", lag.max_s)):
            late.add_metric([rank], seconds)
        yield late


class TooMuch(Collector):
    """How busy the relay is, and why newcomers are refused."""

    def __init__(self, overload: Overload, relay_busy_s: Callable[[], float]) -> None:
        self._overload = overload
        self._relay_busy_s = relay_busy_s

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(
            "plumm_relay_busy_seconds",
            "How long the relay's thread was at work.",
            value=self._relay_busy_s(),
        )
        refusing = GaugeMetricFamily(
            "plumm_overload",
            "1 while newcomers are refused for this reason, else 0.",
            labels=["reason"],
        )
        for reason in REASONS:
            refusing.add_metric([reason], reason in self._overload.reasons)
        yield refusing


class _Outbox(Collector):
    """What `look` found last."""

    def __init__(self, backlog: Callable[[], Awaitable[Backlog]], clock: Clock) -> None:
        self._ask = backlog
        self._clock = clock
        self._found: Backlog | None = None

    async def look(self) -> None:
        """Ask the database."""
        self._found = None
        # A failure is counted, and whoever cannot work for it says so.
        with suppress(StorageFailed):
            self._found = await self._ask()

    def collect(self) -> Iterable[Metric]:
        pending = GaugeMetricFamily("plumm_outbox_pending", "Deliveries that are to be tried.")
        oldest = GaugeMetricFamily(
            "plumm_outbox_oldest_pending_seconds",
            "How long ago the event of the oldest of them happened; 0 while there is none.",
        )
        parked = GaugeMetricFamily(
            "plumm_outbox_parked", "Deliveries that were given up, by hook.", labels=["hook"]
        )
        if self._found is not None:
            pending.add_metric([], self._found.pending)
            oldest.add_metric([], self._found.oldest_s(self._clock.now()) or 0.0)
            for hook, number in self._found.parked.items():
                parked.add_metric([hook], number)
        yield from (pending, oldest, parked)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)
