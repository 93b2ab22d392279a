"""What a load test found, as JSON (README.md says what is in it). Pure."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any, Final

from scripts.load.record import DOINGS, Doing, Record, Sample
from scripts.load.run import Outcome
from scripts.load.scenario import Scenario
from scripts.pump import Figures

PERCENTILES: Final = (50, 95, 99)

Json = dict[str, Any]


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` (0..100) of the values do not pass. Source: nearest rank.

    Raises IndexError for no values.
    """
    rank = max(1, -(-len(values) * percent // 100))
    return sorted(values)[int(rank) - 1]


def waits_ms(record: Record, doing: Doing) -> list[tuple[float, float]]:
    """(seconds since the test's begin, ms it took), of each that went well, by their begins."""
    return sorted(
        (done.at_s, done.took_s * 1000)
        for done in record.done
        if done.doing == doing and done.took_s is not None
    )


def busy_cores(samples: Sequence[Sample]) -> list[tuple[float, float]]:
    """(seconds since the begin, cores that the server used until then from the look before)."""
    looks = [(sample.at_s, sample.usage) for sample in samples if sample.usage is not None]
    return [
        (at, (now.cpu_s - before.cpu_s) / (at - since))
        for (since, before), (at, now) in pairwise(looks)
    ]


def rss_mib(samples: Sequence[Sample]) -> list[tuple[float, float]]:
    """(seconds since the begin, the server's memory)."""
    return [
        (sample.at_s, sample.usage.rss_bytes / 2**20)
        for sample in samples
        if sample.usage is not None
    ]


def summary(outcome: Outcome) -> Json:
    """The report; a figure that was not measured is null."""
    record = outcome.record
    return {
        "scenario": _scenario(outcome.scenario),
        "clients": outcome.clients,
        "interrupted": outcome.interrupted,
        "lasted_s": round(outcome.lasted_s, 1),
        "failed": record.failed,
        "actions": {doing: _action(record, doing) for doing in DOINGS},
        "late_ms": _spread([late_s * 1000 for late_s in record.late_s]),
        "media": _media(outcome.media),
        "generator": _generator(outcome.media),
        "server": _server(record.samples),
        "over_time": [_sample(sample) for sample in record.samples],
    }


def as_json(report: Json) -> str:
    return json.dumps(report, indent=2) + "\n"


def _scenario(scenario: Scenario) -> Json:
    counts = zip(scenario.kinds, scenario.rooms_of_kinds, strict=True)
    return {
        "about": scenario.about,
        "rooms": scenario.rooms,
        "people": scenario.participants,
        "duration_s": scenario.duration_s,
        "ramp": scenario.ramp,
        "seed": scenario.seed,
        "kinds": [asdict(kind) | {"rooms": count} for kind, count in counts],
    }


def _action(record: Record, doing: Doing) -> Json:
    failures = [done.failure for done in record.done if done.doing == doing and done.failure]
    took_ms = [ms for _, ms in waits_ms(record, doing)]
    return {
        "count": len(took_ms) + len(failures),
        "failures": dict(sorted(Counter(failures).items())),
        "ms": _spread(took_ms),
    }


def _spread(values: Sequence[float]) -> Json | None:
    if not values:
        return None
    spread = {f"p{percent}": round(percentile(values, percent), 1) for percent in PERCENTILES}
    return spread | {"max": round(max(values), 1)}


def _media(total: Figures) -> Json:
    delivered = total.delivered()
    return {
        "delay_ms": dict(_delays(total)),
        "delivered": None if delivered is None else round(delivered, 6),
        "loss": round(total.missing_share(), 6) if total.received else None,
        "packets": {
            "sent": total.sent,
            "received": total.received,
            "not_authentic": total.refused,
        },
    }


def _generator(total: Figures) -> Json | None:
    """Of the pump, the one that times packets."""
    if not any(total.delays):
        return None
    return {"late_ms": round(total.slipped_us / 1000, 1), "unsent": total.unsent}


def _delays(total: Figures) -> Iterator[tuple[str, float | None]]:
    for percent in PERCENTILES:
        delay_us = total.delay_us(percent)
        yield f"p{percent}", None if delay_us is None else delay_us / 1000


def _server(samples: Sequence[Sample]) -> Json | None:
    busy = [cores for _, cores in busy_cores(samples)]
    if not busy:
        return None
    return {
        "cpu_cores_mean": round(sum(busy) / len(busy), 3),
        "cpu_cores_max": round(max(busy), 3),
        "rss_mib_max": round(max(mib for _, mib in rss_mib(samples)), 1),
    }


def _sample(sample: Sample) -> Json:
    usage = sample.usage
    return {
        "at_s": round(sample.at_s, 2),
        "rooms": sample.rooms,
        "people": sample.people,
        "sent": sample.sent,
        "received": sample.received,
        "missing": sample.missing,
        "delay_p99_ms": sample.p99_ms,
        "cpu_s": None if usage is None else round(usage.cpu_s, 3),
        "rss_mib": None if usage is None else round(usage.rss_bytes / 2**20, 1),
    }
