"""The exposition follows Prometheus' conventions, and docs/metrics.md lists what is in it."""

import re
from pathlib import Path
from typing import get_args

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from media.relay import Relay
from rooms.measures import Command
from rooms.vocabulary import EndCause, Status
from signaling.errors import ERRORS
from signaling.handlers import CLIENT_EVENTS
from signaling.metrics import RelayTotals
from signaling.overload import REASONS
from tests.support.eventually import eventually
from tests.unit.signaling.harness import Booking, Server

PAGE = (Path(__file__).parents[3] / "docs/metrics.md").read_text()

OUTCOMES = {"ok", "cancelled", *ERRORS}
VALUES = {
    "event": {"unknown", *CLIENT_EVENTS},
    "outcome": OUTCOMES | {"done", "failed", "parked"},
    "code": set(ERRORS),
    "reason": {"slow_consumer", "idle", *ERRORS, *REASONS},
    "command": set(get_args(Command)),
    "status": set(get_args(Status)),
    "cause": set(get_args(EndCause)),
    "hook": {"audit", "session_summary", "password_reset", "mail"},
    "verb": {"begin", "select", "insert", "update", "delete", "other"},
    "rank": {"p50", "p99", "max"},
    "state": {"in_use", "idle"},
    "connection": {"none", "connecting", "connected", "lost"},
    "quality": {"good", "fair", "poor"},
    "kind": {"tasks", "relay_peers", "relay_tracks", "relay_subscriptions"},
}


def full_name(family: Metric) -> str:
    """As it is written in expressions; the parser takes the ending off a counter's."""
    return f"{family.name}_total" if family.type == "counter" else family.name


async def families(server: Server) -> dict[str, Metric]:
    response = await server.http.get(f"{server.url}/metrics")
    assert response.status == 200
    found = list(text_string_to_metric_families(await response.text()))
    assert len(found) == len({full_name(one) for one in found})
    return {full_name(one): one for one in found}


async def live(booking: Booking) -> None:
    """Let happen what there are figures of."""
    therapist = await booking.join("Lena")
    client = await booking.join("Maya")
    await client.refused("session:end", {})
    await client.refused("no:such", {})
    await therapist.done("session:end", {})
    await booking.server.http.post(f"{booking.server.url}/api/join-token")

    async def delivered() -> bool:
        return (await booking.server.plumm.dispatcher.backlog()).pending == 0

    await eventually(delivered)


def relay_names() -> set[str]:
    relay = Relay("127.0.0.1", 0)
    try:
        return {full_name(one) for one in RelayTotals(relay.stats).collect()}
    finally:
        relay.stop()


async def test_the_page_lists_every_metric_and_no_other(server: Server) -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    listed = [name for row in rows for name in re.findall(r"`((?:plumm|process)_\w+)`", row)]
    assert len(listed) == len(set(listed))
    assert set(listed) == {*await families(server), *relay_names()}


async def test_the_page_gives_each_its_type_and_labels(booking: Booking) -> None:
    await live(booking)
    rows = re.findall(r"^\| (`plumm.+?`) \| (\w+) \| (.*?) \|", PAGE, re.M)
    typed = {name.strip("`"): (kind, set(re.findall(r"`(\w+)`", of))) for name, kind, of in rows}
    found = await families(booking.server)
    assert typed.keys() == {
        name for name in found if not name.startswith(("plumm_relay", "process"))
    }
    for name, (kind, labels) in typed.items():
        assert found[name].type == kind, name
        for sample in found[name].samples:
            assert sample.labels.keys() - {"le"} == labels, name


async def test_alerts_are_about_metrics_that_there_are(server: Server) -> None:
    alerts = PAGE.split("## To be told of")[1].split("\n## ")[0]
    named = set(re.findall(r"plumm_\w+", alerts))
    assert named
    known = {*await families(server), *relay_names()}
    assert {name.removesuffix("_bucket") for name in named} <= known


async def test_names_and_units_follow_the_conventions(booking: Booking) -> None:
    await live(booking)
    # https://prometheus.io/docs/practices/naming/: base units, and only a counter is a total.
    other_units = re.compile(
        r"_(ms|us|ns|milliseconds|minutes|kb|kilobytes|bits|percent|count|sum)$"
    )
    for name, family in (await families(booking.server)).items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert not other_units.search(name.removesuffix("_total")), name
        assert name.endswith("_total") == (family.type == "counter"), name
        assert family.type in ("counter", "gauge", "histogram"), name
        assert family.documentation, name
        if family.type == "histogram":
            assert name.endswith("_seconds"), name
            _has_whole_buckets(family)


def _has_whole_buckets(family: Metric) -> None:
    series: dict[tuple[tuple[str, str], ...], list[float]] = {}
    counts: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in family.samples:
        labels = tuple((k, v) for k, v in sample.labels.items() if k != "le")
        if sample.name.endswith("_bucket"):
            series.setdefault(labels, []).append(sample.value)
        elif sample.name.endswith("_count"):
            counts[labels] = sample.value
    assert counts
    for labels, buckets in series.items():
        assert buckets == sorted(buckets)
        assert buckets[-1] == counts[labels]


async def test_label_values_are_words_of_our_own_tables(booking: Booking) -> None:
    await live(booking)
    used: dict[str, set[str]] = {}
    for family in (await families(booking.server)).values():
        for sample in family.samples:
            for label, value in sample.labels.items():
                used.setdefault(label, set()).add(value)
    used.pop("le")
    for label, values in used.items():
        assert values <= VALUES[label], label


async def test_a_session_is_seen_from_its_join_to_what_follows_from_its_end(
    booking: Booking,
) -> None:
    value = booking.server.plumm.metrics.value
    await booking.join("Maya")
    assert value("plumm_rooms_sessions", status="open") == 1
    assert value("plumm_media_rooms") == 1
    assert value("plumm_media_participants", connection="none") == 1
    await live(booking)
    assert value("plumm_rooms_sessions", status="ended") == 1
    assert value("plumm_rooms_ends_total", cause="therapist") == 1
    assert value("plumm_rooms_commands_total", command="end", outcome="role.forbidden") == 1
    assert value("plumm_rooms_commands_total", command="end", outcome="ok") == 1
    assert value("plumm_signaling_ack_seconds_count", event="session:end") == 2
    assert value("plumm_outbox_deliveries_total", hook="audit", outcome="done") > 0
    assert value("plumm_database_transaction_seconds_count") > 0
    assert value("plumm_database_connections", state="idle") > 0
    assert value("plumm_database_statement_seconds_count", verb="insert") > 0


async def test_what_waits_in_the_outbox_is_told_with_its_age(server: Server) -> None:
    server.plumm.dispatcher.stop()
    await server.session()
    server.clock.advance(90)
    found = await families(server)
    (pending,) = found["plumm_outbox_pending"].samples
    (oldest,) = found["plumm_outbox_oldest_pending_seconds"].samples
    assert pending.value > 0
    assert oldest.value == 90


async def test_a_database_that_fails_is_counted_and_says_nothing_of_the_outbox(
    server: Server,
) -> None:
    async with server.plumm.database.transaction() as connection:
        await connection.execute(text("ALTER TABLE deliveries RENAME TO elsewhere"))
    found = await families(server)
    assert found["plumm_outbox_pending"].samples == []
    assert server.plumm.metrics.value("plumm_database_failures_total") > 0
