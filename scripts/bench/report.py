"""The benchmark's result: flat figures, as a table and as a file. Pure but for the file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

Figures = Mapping[str, float]

LATEST: Final = Path(".bench/latest.json")

# What we hold ourselves to, as the most a figure may be.
GOALS: Final[Figures] = {
    "relay.saturated.ratio_to_bare_loop": 1.2,
    "relay.saturated.ratio_to_asyncio_loop": 0.2,
    "relay.at_20000.ratio_to_bare_loop": 0.75,
    "setup.cpu_ms_per_connection": 3.0,
    "join.first_frame_p95_ms": 600.0,
}

_LOADS: Final = {"saturated": "saturated", "at_20000": "20,000/s", "at_60000": "60,000/s"}
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
    "setup.cpu_ms_per_connection": ("Server CPU per connection: offer, ICE, DTLS", "{:.2f} ms"),
    "setup.cpu_ms_per_joining": ("… per joining: token, socket, room:join", "{:.2f} ms"),
    "setup.cpu_ms_per_participant": ("… both", "{:.2f} ms"),
    "setup.cpu_ms_per_participant_in_parallel": ("… both, ten rooms at once", "{:.2f} ms"),
    "rooms.rss_mib_empty": ("RSS of an empty server", "{:.0f} MiB"),
    "rooms.rss_mib_for_50_idle": ("RSS with 50 idle two-person rooms", "{:.0f} MiB"),
    "rooms.rss_kib_per_room": ("… each room", "{:.0f} KiB"),
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
        console.print(_forwarding(figures))
    rows = {key: row for key, row in _OTHERS.items() if key in figures}
    if rows:
        table = Table("", "value", "goal")
        if earlier is not None:
            table.add_column("before")
        for key, (label, form) in rows.items():
            cells = [label, form.format(figures[key]), _goal(key, form, figures[key])]
            if earlier is not None:
                cells.append(form.format(earlier[key]) if key in earlier else "")
            table.add_row(*cells)
        console.print(table)
    spoilt = max((value for key, value in figures.items() if key.endswith(".foreign")), default=0.0)
    if spoilt > 0.1:
        console.print(f"Other work used {spoilt:.0%} of a core meanwhile: run it again.")


def _forwarding(figures: Figures) -> Table:
    table = Table("", "", title="A forwarded packet: the server's CPU, and the delay")
    for title, _, _ in _COLUMNS.values():
        table.add_column(title, justify="right", no_wrap=True)
    for load, load_label in _LOADS.items():
        for server, server_label in _SERVERS.items():
            if f"{server}.{load}.us_per_packet" not in figures:
                continue
            cells = [
                form.format(figures[f"{server}.{load}.{field}"] / unit)
                for field, (_, form, unit) in _COLUMNS.items()
            ]
            table.add_row(load_label, server_label, *cells)
        table.add_section()
    return table


def _goal(key: str, form: str, value: float) -> str:
    if key not in GOALS:
        return ""
    return f"≤ {form.format(GOALS[key])} {'✓' if value <= GOALS[key] else '✗'}"
