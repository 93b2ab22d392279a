"""What a load test found, as JSON: percentiles of what participants waited for. Pure."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

from scripts.load.run import Outcome
from scripts.pump import Figures

PERCENTILES: Final = (50, 95, 99)

Json = dict[str, Any]


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` (0..100) of the values do not pass. Source: nearest rank.

    Raises IndexError for no values.
    """
    rank = max(1, -(-len(values) * percent // 100))
    return sorted(values)[int(rank) - 1]


def waits_ms(outcome: Outcome) -> dict[str, list[float]]:
    """What each participant waited for: `join`, `first_media`, `end_fanout`."""
    return {
        "join": [s * 1000 for room in outcome.rooms for s in room.joined],
        "first_media": [s * 1000 for room in outcome.rooms for s in room.first_media],
        "end_fanout": [s * 1000 for room in outcome.rooms for s in room.ended],
    }


def busy_cores(outcome: Outcome) -> list[tuple[float, float]]:
    """(seconds since the begin, cores that the server used until then from the look before)."""
    return [
        (at, (now.cpu_s - before.cpu_s) / (at - since))
        for (since, before), (at, now) in pairwise(outcome.usage)
    ]


def rss_mib(outcome: Outcome) -> list[tuple[float, float]]:
    """(seconds since the begin, the server's memory)."""
    return [(at, now.rss_bytes / 2**20) for at, now in outcome.usage]


def summary(outcome: Outcome) -> Json:
    """The report; a figure that was not measured is null."""
    scenario, total = outcome.scenario, outcome.media
    delivered = total.delivered()
    return {
        "scenario": {
            "clients": "pump",
            "rooms": scenario.rooms,
            "people": scenario.people,
            "duration_s": scenario.duration_s,
            "ramp_rooms_per_second": scenario.ramp,
            "bitrate_kbit": scenario.bitrate_kbit,
        },
        "rooms_failed": len(outcome.failures),
        "failures": dict(sorted(Counter(outcome.failures).items())),
        **{f"{name}_ms": _spread(values) for name, values in waits_ms(outcome).items()},
        "delay_ms": dict(_delays(total)) if total.sent else None,
        "delivered": None if delivered is None else round(delivered, 6),
        "loss": round(total.missing_share(), 6) if total.received else None,
        "packets": _packets(total) if total.sent else None,
        "generator": _generator(total) if total.sent else None,
        "server": _server(outcome),
    }


def as_json(report: Json) -> str:
    return json.dumps(report, indent=2) + "\n"


def _spread(values: Sequence[float]) -> Json | None:
    if not values:
        return None
    spread = {f"p{percent}": round(percentile(values, percent), 1) for percent in PERCENTILES}
    return spread | {"max": round(max(values), 1), "count": len(values)}


def _delays(total: Figures) -> Iterator[tuple[str, float | None]]:
    for percent in PERCENTILES:
        delay_us = total.delay_us(percent)
        yield f"p{percent}", None if delay_us is None else delay_us / 1000


def _packets(total: Figures) -> Json:
    return {"sent": total.sent, "received": total.received, "not_authentic": total.refused}


def _generator(total: Figures) -> Json:
    return {"late_ms": round(total.slipped_us / 1000, 1), "unsent": total.unsent}


def _server(outcome: Outcome) -> Json | None:
    busy = [cores for _, cores in busy_cores(outcome)]
    if not busy:
        return None
    return {
        "cpu_cores_mean": round(sum(busy) / len(busy), 3),
        "cpu_cores_max": round(max(busy), 3),
        "rss_mib_max": round(max(mib for _, mib in rss_mib(outcome)), 1),
    }
