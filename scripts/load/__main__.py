"""`plumm-load URL`, or `python -m scripts.load URL`: a load test, and its report.

Exit status: 0 done, 1 the server is not to be loaded or a room failed, 2 used wrongly.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import NoReturn

import click
from rich.console import Console
from rich.status import Status

from scripts.load import report
from scripts.load.page import page
from scripts.load.run import Outcome, Progress, run
from scripts.load.scenario import (
    MOST_PEOPLE,
    MOST_RAMP,
    MOST_ROOMS,
    MOST_SECONDS,
    BadScenario,
    Scenario,
)
from scripts.load.target import NoTarget, Target

KEY_VARIABLE = "PLUMM_LOAD_KEY"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("url")
@click.option(
    "--clients", type=click.Choice(["pump"]), default="pump", show_default=True, expose_value=False,
    help="Who takes part: real connections, with media made by native code.",
)  # fmt: skip
@click.option("--rooms", type=click.IntRange(1, MOST_ROOMS), default=5, show_default=True)
@click.option("--people", type=click.IntRange(2, MOST_PEOPLE), default=2, show_default=True,
              help="Participants of each room.")  # fmt: skip
@click.option("--duration", type=click.IntRange(1, MOST_SECONDS), default=30, show_default=True,
              help="Seconds that each room sends.")  # fmt: skip
@click.option("--ramp", type=click.FloatRange(0.1, MOST_RAMP), default=2.0, show_default=True,
              help="Rooms that begin in a second.")  # fmt: skip
@click.option("--bitrate", type=click.IntRange(50, 5000), default=1500, show_default=True,
              help="kbit/s of each participant's video.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--report", "file", type=click.Path(dir_okay=False, writable=True, path_type=Path),
              help="Write it, with plots, as an HTML page.")  # fmt: skip
def main(
    *,
    url: str,
    rooms: int,
    people: int,
    duration: int,
    ramp: float,
    bitrate: int,
    as_json: bool,
    file: Path | None,
) -> None:
    """Load the Plumm server at URL with rooms full of people.

    The server must have a PLUMM_LOAD_KEY, and this command the same one in its environment.
    """
    try:
        scenario = Scenario(rooms, people, duration, ramp, bitrate)
    except BadScenario as error:
        raise click.UsageError(str(error)) from None
    key = os.environ.get(KEY_VARIABLE, "")
    if not key:
        raise click.UsageError(f"{KEY_VARIABLE} is not set: the server's load-test key")
    try:
        with Console(stderr=True).status("Asking the server") as status:
            outcome = asyncio.run(_run(url, key, scenario, status))
    except NoTarget as error:
        _fail(str(error))
    found = report.summary(outcome)
    if file is not None:
        try:
            file.write_text(page(outcome))
        except OSError as error:
            _fail(f"cannot write {file}: {error.strerror}")
    if as_json:
        sys.stdout.write(report.as_json(found))
    else:
        Console().print(found)
    if outcome.failures:
        _fail(f"{len(outcome.failures)} of {scenario.rooms} rooms failed")


async def _run(url: str, key: str, scenario: Scenario, status: Status) -> Outcome:
    def tell(now: Progress) -> None:
        status.update(
            f"Rooms: {now.begun} of {scenario.rooms} begun, {now.full} were full, "
            f"{now.over} over, {now.failed} failed"
        )

    return await run(await Target.prove(url, key), scenario, tell)


def _fail(message: str) -> NoReturn:
    click.echo(f"plumm-load: {message}", err=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
