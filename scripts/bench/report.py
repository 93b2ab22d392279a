"""The benchmark's result: flat figures, as a table and as a file. Pure but for the file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from scripts.bench.ratios import GROWTH, TO_BARE

Figures = Mapping[str, float]

LATEST: Final = Path(".bench/latest.json")


@dataclass(frozen=True, slots=True)
class Goal:
    """The most, or the least, that a figure may be."""

    limit: float
    at_least: bool = False

    def met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


# What we hold ourselves to.
GOALS: Final[Mapping[str, Goal]] = {
    "relay.saturated.ratio_to_bare_loop": Goal(1.2),
    "relay.saturated.ratio_to_asyncio_loop": Goal(0.2),
    "relay.at_20000.ratio_to_bare_loop": Goal(0.75),
    "relay.saturated.packets_per_second": Goal(150_000, at_least=True),
    "relay.saturated.loss": Goal(0.001),
    "relay.at_75000.delay_p50_us": Goal(150),
    "relay.at_75000.delay_p99_us": Goal(2000),
    "setup.cpu_ms_per_connection": Goal(3.0),
    "rush.per_second": Goal(40, at_least=True),
    "rush.call_delay_p99_ms": Goal(20),
    "signaling.sockets": Goal(5000, at_least=True),
    "signaling.rss_kib_per_socket": Goal(60),
    "end.p99_ms": Goal(200),
    "join.first_frame_p95_ms": Goal(600),
}

_LOADS: Final = {
    "saturated": "saturated",
    "at_20000": "20,000/s",
    "at_60000": "60,000/s",
    "at_75000": "75,000/s",
}
_SERVERS: Final = {"relay": "Plumm", "bare_loop": "bare loop", "asyncio_loop": "asyncio"}
# Field: title, format, and what it is divided by. Fits 80 characters.
_COLUMNS: Final = {
    "us_per_packet": ("CPU µs", "{:.2f}", 1),
    "packets_per_second": ("packets/s", "{:,.0f}", 1),
    "busy": ("busy", "{:.0%}", 1),
    "loss": ("loss", "{:.2%}", 1),
    "delay_p50_us": ("p50 ms", "{:.2f}", 1000),
    "delay_p99_us": ("p99 ms", "{:.1f}", 1000),
}
_OTHERS: Final = {
    "relay.saturated.ratio_to_bare_loop": ("Plumm to the bare loop, saturated", "{:.2f}"),
    "relay.at_20000.ratio_to_bare_loop": ("… at 20,000 pps", "{:.2f}"),
    "relay.at_60000.ratio_to_bare_loop": ("… at 60,000 pps", "{:.2f}"),
    "relay.saturated.ratio_to_asyncio_loop": ("Plumm to the asyncio loop, saturated", "{:.3f}"),
    "relay.at_60000.us_per_packet": ("CPU a packet at 60,000 pps", "{:.2f} µs"),
    "relay.saturated.packets_per_second": ("Packets a second, saturated", "{:,.0f}"),
    "relay.saturated.loss": ("… lost of them", "{:.2%}"),
    "relay.at_75000.delay_p50_us": ("Delay at 75,000 pps, p50", "{:.0f} µs"),
    "relay.at_75000.delay_p99_us": ("… p99", "{:.0f} µs"),
    "setup.cpu_ms_per_connection": ("CPU a connection: offer, ICE, DTLS", "{:.2f} ms"),
    "setup.cpu_ms_per_joining": ("… a joining: token, socket, room:join", "{:.2f} ms"),
    "rush.per_second": ("Set-ups a second, ten rooms at once", "{:.0f}"),
    "rush.cpu_ms": ("… CPU each", "{:.2f} ms"),
    "rush.busy": ("… share of the server's core", "{:.0%}"),
    "rush.call_delay_p99_ms": ("… delay in a call meanwhile, p99", "{:.1f} ms"),
    "rush.stall_p99_ms": ("… an event's ack meanwhile, p99", "{:.1f} ms"),
    "signaling.sockets": ("Sockets in rooms", "{:,.0f}"),
    "signaling.rss_kib_per_socket": ("… memory each, half a room", "{:.0f} KiB"),
    "signaling.idle_share": ("… idle, share of a core", "{:.1%}"),
    "signaling.events_per_second": ("… events a second, at most", "{:,.0f}"),
    "signaling.ack_p50_ms": ("… ack at 200 a second, p50", "{:.2f} ms"),
    "signaling.ack_p99_ms": ("… p99", "{:.2f} ms"),
    "end.rooms": ("Rooms with media while others end", "{:,.0f}"),
    "end.p50_ms": ("… End to the last page, p50", "{:.1f} ms"),
    "end.p99_ms": ("… p99", "{:.1f} ms"),
    "rooms.rss_mib_empty": ("Memory of an empty server", "{:.0f} MiB"),
    "rooms.rss_mib_full": ("… with 200 idle rooms", "{:.0f} MiB"),
    "rooms.rss_kib_per_room": ("… each room of two", "{:.0f} KiB"),
    "rooms.cpu_ms_per_room_second": ("CPU of an idle room, in a second", "{:.2f} ms"),
    "join.first_frame_p50_ms": ("Join to first frame in Chromium, p50", "{:.0f} ms"),
    "join.first_frame_p95_ms": ("… p95", "{:.0f} ms"),
}


def write(figures: Figures, path: Path = LATEST) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_json(figures))


def as_json(figures: Figures) -> str:
    """Keys such as relay.saturated.us_per_packet, sorted."""
    rounded = {key: round(value, 4) for key, value in figures.items()}
    return json.dumps(rounded, indent=2, sort_keys=True) + "\n"


def read(path: Path) -> dict[str, float]:
    """Figures written before. Raises OSError, or ValueError where the file is another one's."""
    figures = json.loads(path.read_text())
    if not isinstance(figures, dict):
        raise ValueError(f"{path} is not a benchmark's result")
    return {str(key): float(value) for key, value in figures.items()}


def update(path: Path, figures: Figures) -> dict[str, float]:
    """`figures`, and what the file at `path` has of the parts that they are not about."""
    measured = {key.split(".")[0] for key in figures}
    kept = read(path) if path.exists() else {}
    return {key: kept[key] for key in kept if key.split(".")[0] not in measured} | dict(figures)


def show(console: Console, figures: Figures, earlier: Figures | None = None) -> None:
    """Print what was measured; with what it was in `earlier`, where that has it."""
    if any(f"{server}.{load}.us_per_packet" in figures for server in _SERVERS for load in _LOADS):
        console.print(_forwarding(figures, earlier))
    rows = {key: row for key, row in _OTHERS.items() if key in figures}
    if rows:
        table = Table("", "value", "to bare", "at 10x", "goal")
        if earlier is not None:
            table.add_column("before")
        for key, (label, form) in rows.items():
            cells = [
                label,
                form.format(figures[key]),
                _ratio(figures, f"{key}.{TO_BARE}"),
                _ratio(figures, f"{key}.{GROWTH}"),
                _goal(key, form, figures[key]),
            ]
            if earlier is not None:
                cells.append(_before(key, form, figures[key], earlier))
            table.add_row(*cells)
        console.print(table)
    spoilt = max((value for key, value in figures.items() if key.endswith(".foreign")), default=0.0)
    if spoilt > 0.1:
        console.print(f"Other work used {spoilt:.0%} of a core meanwhile: run it again.")


def _forwarding(figures: Figures, earlier: Figures | None) -> Table:
    table = Table("", "", title="A forwarded packet: the server's CPU, and the delay")
    for title, _, _ in _COLUMNS.values():
        table.add_column(title, justify="right", no_wrap=True)
    if earlier is not None:
        table.add_column("CPU µs before", justify="right")
    for load, load_label in _LOADS.items():
        for server, server_label in _SERVERS.items():
            if f"{server}.{load}.us_per_packet" not in figures:
                continue
            cells = [
                form.format(figures[f"{server}.{load}.{field}"] / unit)
                for field, (_, form, unit) in _COLUMNS.items()
            ]
            if earlier is not None:
                cost = f"{server}.{load}.us_per_packet"
                cells.append(_before(cost, "{:.2f}", figures[cost], earlier))
            table.add_row(load_label, server_label, *cells)
        table.add_section()
    return table


def _ratio(figures: Figures, key: str) -> str:
    return f"{figures[key]:.2f} x" if key in figures else ""


def _before(key: str, form: str, value: float, earlier: Figures) -> str:
    """What it was, and by how much it is more or less now."""
    if key not in earlier:
        return ""
    was = form.format(earlier[key])
    return f"{was} ({value / earlier[key] - 1:+.0%})" if earlier[key] else was


def _goal(key: str, form: str, value: float) -> str:
    if key not in GOALS:
        return ""
    goal = GOALS[key]
    bound = "≥" if goal.at_least else "≤"
    return f"{bound} {form.format(goal.limit)} {'✓' if goal.met(value) else '✗'}"
