"""`python -m scripts.soak`: rooms come and go for as long as asked; is anything left behind?

Exit status: 0 nothing is, 1 something is or a room failed, 2 used wrongly.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click
import uvloop

from scripts.bench.server import SERVE, running_server
from scripts.client.crowd import PumpCrowd
from scripts.soak.run import Pace, Soak
from scripts.soak.verdict import Rest, Verdict, judge

# Of the whole: pools and caches fill, and as many rooms are kept at hand as will be.
_WARM_UP_SHARE: Final = 0.5
_WARM_UP_MOST_S: Final = 600.0


async def soak(
    seconds: float,
    *,
    pace: Pace = Pace(),  # noqa: B008 - frozen
    command: Sequence[str | Path] = SERVE,
    tell: Callable[[Soak, Rest], None] = lambda _run, _rest: None,
) -> tuple[Verdict, Soak]:
    """Soak a server of this run's own, started by `command`; `tell` hears of each rest.

    Raises ExceptionGroup where a room fails.
    """
    async with running_server(core=None, command=command) as server, PumpCrowd() as crowd:
        run = Soak(server, crowd, pace)
        warm_up_s = min(_WARM_UP_SHARE * seconds, _WARM_UP_MOST_S)
        await run.run(seconds, warm_up_s, lambda rest: tell(run, rest))
    return judge(run.rests), run


def _show(run: Soak, rest: Rest) -> None:
    counts = ", ".join(f"{name} {count:.0f}" for name, count in rest.counts.items())
    print(
        f"{rest.at_s:6.0f} s  {run.rooms} rooms  {rest.rss_bytes / 1e6:.2f} MB  {counts}",
        file=sys.stderr,
        flush=True,
    )


def _result(verdict: Verdict, run: Soak) -> dict[str, object]:
    return {
        "rooms": run.rooms,
        "mb_per_hour": asdict(verdict.mb_per_hour),
        "tells_mb_per_hour": verdict.tells_mb_per_hour,
        "faults": list(verdict.faults),
        "rests": [
            {"at_s": round(rest.at_s, 1), "rss_bytes": rest.rss_bytes, **rest.counts}
            for rest in run.rests
        ],
    }


@click.command()
@click.option("--minutes", type=click.FloatRange(1, 24 * 60), default=5.0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def main(minutes: float, as_json: bool) -> None:
    """Let rooms come and go, and see whether the server is afterwards what it was."""
    verdict, run = uvloop.run(soak(minutes * 60, tell=_show))
    if as_json:
        print(json.dumps(_result(verdict, run), indent=2))
    else:
        grown = verdict.mb_per_hour
        print(
            f"{run.rooms} rooms. Memory: {grown.value:+.1f} MB/h, {grown.low:+.1f} to "
            f"{grown.high:+.1f} with 95 % confidence, from {len(run.rests)} rests; a leak of "
            f"{verdict.tells_mb_per_hour:.0f} MB/h would have been told."
        )
        print("\n".join(verdict.faults) or "Everything was given back.")
    sys.exit(1 if verdict.faults else 0)


if __name__ == "__main__":
    main()
