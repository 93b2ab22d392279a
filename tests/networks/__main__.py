"""`python -m tests.networks [WORDS]`: every row for a full minute, as a table and as JSON.

WORDS: only rows whose names contain them. The link is the same each time, the machine is not:
the first row, a clean link, says how much of the others is its own doing.
"""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

from playwright.async_api import async_playwright
from rich.console import Console
from rich.table import Table

from tests.networks.call import call_over_a_link
from tests.networks.rows import ROWS, Figures, Row, missed

_SECONDS: Final = 60.0
_RESULTS: Final = Path(".bench/networks.json")


async def _measured(row: Row) -> Figures:
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        async with (
            async_playwright() as playwright,
            call_over_a_link(playwright, directory) as call,
        ):
            return await row.play(call, _SECONDS)


def _shown(name: str, value: float) -> str:
    if name.endswith("_share"):
        return f"{value:.1%}"
    return f"{value:.0f} ms" if name.endswith("_ms") else f"{value:.0f}"


def _words(figures: Figures) -> str:
    return ", ".join(f"{name.rsplit('_', 1)[0]} {_shown(name, figures[name])}" for name in figures)


async def main(wanted: str) -> int:
    """0 where every row held."""
    table = Table("link", "measured over 60 s", "limits", "held", "load")
    results = {}
    for row in (row for row in ROWS if wanted in row.name):
        figures = await _measured(row)
        load = os.getloadavg()[0]
        over = missed(figures, row.limits)
        held = "no: " + ", ".join(over) if over else "yes"
        table.add_row(row.name, _words(figures), _words(row.limits), held, f"{load:.1f}")
        results[row.name] = {
            "figures": figures,
            "limits": row.limits,
            "missed": list(over),
            "load": load,
        }
        Console(stderr=True).print(row.name, _words(figures), held)
    Console().print(table)
    _RESULTS.parent.mkdir(exist_ok=True)
    _RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    return int(any(result["missed"] for result in results.values()))


if __name__ == "__main__":
    sys.exit(asyncio.run(main(" ".join(sys.argv[1:]))))
