"""What the process holds while somebody is there, and must hold no more once nobody is.

A soak (`make soak`) compares it before and after: what only grows is a leak.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class Holdings(Collector):
    """relay: how many objects the relay holds, by kind. To be asked from the event loop."""

    def __init__(self, relay: Callable[[], Mapping[str, int]]) -> None:
        self._relay = relay

    def collect(self) -> Iterable[Metric]:
        held = GaugeMetricFamily(
            "plumm_held", "What is held as long as somebody is there, by kind.", labels=["kind"]
        )
        held.add_metric(["tasks"], len(asyncio.all_tasks()))
        for kind, number in self._relay().items():
            held.add_metric([f"relay_{kind}"], number)
        yield held
