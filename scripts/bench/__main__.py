"""`python -m scripts.bench`: measure, print a table, write .bench/latest.json.

The server runs on core 0, the load on core 1.
"""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import click
import uvloop
from rich.console import Console

from scripts.bench import report
from scripts.bench.connecting import connection_cost
from scripts.bench.cores import LOAD_CORE, SERVER_CORE, OtherWork, on_core
from scripts.bench.ending import end_fanout
from scripts.bench.first_frame import first_frames
from scripts.bench.forwarding import compare
from scripts.bench.signaling import signaling
from scripts.bench.upkeep import room_upkeep
from signaling.server import allow_all_descriptors

Part = Callable[[Callable[[str], None]], Awaitable[dict[str, float]]]

PARTS: Final[Mapping[str, Part]] = {
    "relay": compare,
    "setup": connection_cost,
    "signaling": signaling,
    "end": end_fanout,
    "rooms": room_upkeep,
    "join": first_frames,
}
# Four times what the longest takes on a quiet machine.
_PART_WITHIN_S: Final = 480.0
# Browsers need both cores; so do we, to drive them.
_UNPINNED: Final = {"join"}


def _chosen(_context: click.Context, _option: click.Parameter, value: str) -> list[str]:
    names = [name.strip() for name in value.split(",")]
    unknown = sorted(set(names) - set(PARTS))
    if unknown:
        raise click.BadParameter(f"{unknown[0]} is none of {', '.join(PARTS)}")
    return names


def _earlier(
    _context: click.Context, _option: click.Parameter, value: Path | None
) -> dict[str, float] | None:
    try:
        return None if value is None else report.read(value)
    except (OSError, ValueError) as error:
        raise click.BadParameter(str(error)) from error


async def _measure(names: list[str], tell: Callable[[str], None]) -> dict[str, float]:
    """Raises ClickException where a part takes far longer than it should."""
    figures: dict[str, float] = {}
    for name in names:
        others = OtherWork()
        try:
            with nullcontext() if name in _UNPINNED else on_core(LOAD_CORE):
                figures |= await asyncio.wait_for(PARTS[name](tell), _PART_WITHIN_S)
        except TimeoutError as late:
            raise click.ClickException(
                f"{name} did not end within {_PART_WITHIN_S:.0f} s"
            ) from late
        # The relay's samples are each watched by themselves; browsers leave children behind.
        if name not in _UNPINNED | {"relay"}:
            figures[f"{name}.foreign"] = others.share()
        report.write(report.update(report.LATEST, figures))  # kept where a later part fails
    return figures


@click.command()
@click.option("--only", "names", callback=_chosen, default=",".join(PARTS), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON, not as a table.")
@click.option(
    "--compare", "earlier", callback=_earlier, type=click.Path(path_type=Path),
    help="A result to set this one beside.",
)  # fmt: skip
def main(names: list[str], as_json: bool, earlier: dict[str, float] | None) -> None:
    """Measure the server against yardsticks, in about six minutes on a quiet machine."""
    if not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        raise click.ClickException("this needs cores 0 and 1: one for the server, one for the load")
    allow_all_descriptors()
    progress = Console(stderr=True)
    with progress.status("Starting") as status:
        began = time.monotonic()
        figures = uvloop.run(_measure(names, lambda text: status.update(text)))
        took_s = time.monotonic() - began
    if as_json:
        sys.stdout.write(report.as_json(figures))
    else:
        report.show(Console(), figures, earlier)
        print(f"Measured in {took_s / 60:.1f} minutes.")


if __name__ == "__main__":
    main()
