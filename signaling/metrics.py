"""Counters and gauges for Prometheus. Label values come from our own tables only."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST


class _RelayTotals(Collector):
    """The relay counts for itself; what it has counted is read when somebody asks."""

    def __init__(self, stats: Callable[[], Mapping[str, int]]) -> None:
        self._stats = stats

    def collect(self) -> Iterable[Metric]:
        for name, total in self._stats().items():
            yield CounterMetricFamily(
                f"plumm_relay_{name}", "See stats() in media/relay/core.pyi.", value=total
            )


class Metrics:
    """One registry a server, so that two in one process do not count into each other."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        # The process itself: process_cpu_seconds_total, process_resident_memory_bytes, …
        ProcessCollector(registry=self._registry)
        self.events = Counter(
            "plumm_signaling_events",
            "Events from clients by name and outcome (ok, or an error code).",
            ["event", "outcome"],
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

    def watch_relay(self, stats: Callable[[], Mapping[str, int]]) -> None:
        """Show the relay's totals, too: plumm_relay_packets_out_total and so on."""
        self._registry.register(_RelayTotals(stats))

    def value(self, name: str, **labels: str) -> float:
        """One sample's present value; 0 when it was never counted."""
        return self._registry.get_sample_value(name, labels) or 0.0

    def exposition(self) -> bytes:
        """All samples in Prometheus' text format."""
        return generate_latest(self._registry)
