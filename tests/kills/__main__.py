"""`python -m tests.kills [COUNT [sqlite|postgresql]]`: a thousand kills, and what they left."""

import random
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from rooms.db.engine import sqlite_url
from tests.kills.kills import run
from tests.support.postgres import Postgres

_SHOWN_MAX: Final = 20


def main(count: int, kind: str) -> int:
    """0 where nothing was lost and nothing happened twice."""
    with ExitStack() as stack:
        # PostgreSQL runs as a user of its own: its directory is one that others may pass.
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if kind == "sqlite":
            url = sqlite_url(directory / "plumm.sqlite3")
        else:
            url = stack.enter_context(Postgres()).new_database()
        seed = random.SystemRandom().randrange(1 << 32)
        begun = time.monotonic()
        report = run(url, directory, count, seed)
    table = Table("killed", "times")
    for place, times in sorted(report.killed.items()):
        table.add_row(place, str(times))
    console = Console()
    console.print(table)
    took_s = time.monotonic() - begun
    console.print(f"{report.killed.total()} kills on {kind} in {took_s:.0f} s, seed {seed}")
    console.print(f"{len(report.wrong)} wrong", *report.wrong[:_SHOWN_MAX], sep="\n  ")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    count, kind = (*sys.argv[1:], *("1000", "sqlite")[len(sys.argv) - 1 :])
    sys.exit(main(int(count), kind))
