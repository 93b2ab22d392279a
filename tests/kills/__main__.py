"""`python -m tests.kills [COUNT [sqlite|postgresql [service|server]]]`: kills, and what they left.

service: a process with the service alone, six a second. server: all of `plumm serve`, with its
media and a mail server, one in a few seconds.
"""

import asyncio
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
from tests.kills import kills, served
from tests.support.mail_server import MailServer
from tests.support.postgres import Postgres

_SHOWN_MAX: Final = 20


def main(count: int, kind: str, process: str) -> int:
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
        if process == "service":
            report = kills.run(url, directory, count, seed)
        else:
            report = asyncio.run(_served(url, directory, count, seed))
    table = Table("killed", "times")
    for place, times in sorted(report.killed.items()):
        table.add_row(place, str(times))
    console = Console()
    console.print(table)
    took_s = time.monotonic() - begun
    console.print(
        f"{report.killed.total()} kills of a {process} on {kind} in {took_s:.0f} s, seed {seed}"
    )
    if process == "server":
        console.print(f"{report.mails_repeated} mails handed in once more, by the same Message-ID")
    console.print(f"{len(report.wrong)} wrong", *report.wrong[:_SHOWN_MAX], sep="\n  ")
    return 1 if report.wrong else 0


async def _served(url: str, directory: Path, count: int, seed: int) -> kills.Report:
    async with MailServer() as mails:
        return await served.run(url, directory, mails, count, seed)


if __name__ == "__main__":
    count, kind, process = (*sys.argv[1:], *("1000", "sqlite", "service")[len(sys.argv) - 1 :])
    sys.exit(main(int(count), kind, process))
