"""`plumm-load URL`, or `python -m scripts.load URL`: a load test, and its report.

Exit status: 0 done, 1 the server is not to be loaded or something failed, 2 used wrongly,
130 interrupted.
"""

import asyncio
import os
import resource
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NoReturn

import click
from rich.console import Console
from rich.status import Status

from scripts.client.crowd import Crowd, PumpCrowd
from scripts.load import report
from scripts.load.page import page
from scripts.load.record import Sample
from scripts.load.run import Outcome, Run
from scripts.load.scenario import (
    MOST_ACTIONS,
    MOST_KBIT,
    MOST_MBIT,
    MOST_PARTICIPANTS,
    MOST_PEOPLE,
    MOST_RAMP,
    MOST_ROOMS,
    MOST_SECONDS,
    BadScenario,
    RoomKind,
    Scenario,
    find_scenario,
    kept,
)
from scripts.load.target import NoTarget, Target

KEY_VARIABLE: Final = "PLUMM_LOAD_KEY"
_INTERRUPTED: Final = 130
# Of the script itself; and of a participant: media, a socket, another while reconnecting, a
# request for its token.
_FILES: Final = 64
_FILES_OF_ONE: Final = 4

_LIMITS: Final = (
    f"No test has more than {MOST_ROOMS} rooms, {MOST_PEOPLE} people in one, {MOST_PARTICIPANTS} "
    f"in all, {MOST_SECONDS} seconds, {MOST_RAMP:g} new rooms a second, {MOST_ACTIONS:,} actions "
    f"or {MOST_MBIT} Mbit/s of video from the server."
)


def _print_kept(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        scenarios = kept()
        width = max(map(len, scenarios))
        for name, scenario in scenarios.items():
            click.echo(f"{name:{width}}  {scenario.about}")
        context.exit()


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, epilog=_LIMITS)
@click.argument("url")
@click.option("--scenarios", is_flag=True, is_eager=True, expose_value=False,
              callback=_print_kept, help="Print the scenarios that come with it.")  # fmt: skip
@click.option("--scenario", "named", metavar="NAME|FILE",
              help="What happens: one of --scenarios, or a TOML file.")  # fmt: skip
@click.option("--clients", type=click.Choice(["pump", "wrtc"]), default="pump", show_default=True,
              help="What makes the media on real connections: native code that sends a recording, "
                   "for hundreds, or libwebrtc's encoders, for tens.")  # fmt: skip
@click.option("--rooms", type=click.IntRange(1, MOST_ROOMS), help="At a time.  [default: 5]")
@click.option("--people", type=click.IntRange(2, MOST_PEOPLE),
              help="Participants of each room, without --scenario.  [default: 2]")  # fmt: skip
@click.option("--duration", type=click.IntRange(1, MOST_SECONDS),
              help="Seconds that each room lasts.  [default: 30]")  # fmt: skip
@click.option("--ramp", type=click.FloatRange(0.1, MOST_RAMP),
              help="Rooms that begin in a second.  [default: 2]")  # fmt: skip
@click.option("--bitrate", type=click.IntRange(50, MOST_KBIT),
              help="kbit/s of each participant's video, without --scenario."
                   "  [default: 1500]")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**31 - 1),
              help="The same seed, the same things at the same times.  [default: 1]")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--report", "file", type=click.Path(dir_okay=False, writable=True, path_type=Path),
              help="Write it, with plots, as an HTML page.")  # fmt: skip
def main(
    *,
    url: str,
    named: str | None,
    clients: str,
    rooms: int | None,
    people: int | None,
    duration: int | None,
    ramp: float | None,
    bitrate: int | None,
    seed: int | None,
    as_json: bool,
    file: Path | None,
) -> None:
    """Load the Plumm server at URL with rooms full of people.

    The server must have a PLUMM_LOAD_KEY, and this command the same one in its environment.
    Ctrl+C ends the sessions that it made, and reports of what was.
    """
    kind = _given(people=people, bitrate_kbit=bitrate)
    if named is not None and kind:
        raise click.UsageError("--people and --bitrate are the scenario's to say")
    try:
        base = Scenario(kinds=(replace(RoomKind(), **kind),)) if named is None else None
        scenario = replace(
            base or find_scenario(str(named)),
            **_given(rooms=rooms, duration_s=duration, ramp=ramp, seed=seed),
        )
    except BadScenario as error:
        raise click.UsageError(str(error)) from None
    key = os.environ.get(KEY_VARIABLE, "")
    if not key:
        raise click.UsageError(f"{KEY_VARIABLE} is not set: the server's load-test key")
    _allow_files(scenario)
    crowd = PumpCrowd() if clients == "pump" else _libwebrtc(scenario)
    try:
        with Console(stderr=True).status("Asking the server") as status:
            outcome = asyncio.run(_run(url, key, scenario, crowd, status))
    except NoTarget as error:
        _fail(str(error))
    _tell(outcome, as_json=as_json, file=file)


def _libwebrtc(scenario: Scenario) -> Crowd:
    """Loaded only where it is asked for: it is large, and optional."""
    try:
        from scripts.client.libwebrtc import MOST_PEOPLE, WrtcCrowd
    except ModuleNotFoundError as error:
        if error.name != "webrtc":
            raise
        raise click.UsageError(
            "--clients wrtc needs libwebrtc: pip install 'plumm[load]'"
        ) from None
    if scenario.participants > MOST_PEOPLE:
        raise click.UsageError(
            f"{scenario.participants} participants: {MOST_PEOPLE} are the most with --clients wrtc"
        )
    return WrtcCrowd()


def _given(**options: float | None) -> dict[str, Any]:
    """The options that were used."""
    return {name: value for name, value in options.items() if value is not None}


def _allow_files(scenario: Scenario) -> None:
    """Raise the limit of open files to what the test needs, as far as we may."""
    needed = _FILES + _FILES_OF_ONE * scenario.participants
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed < needed <= most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, most))
    elif allowed < needed:
        raise click.UsageError(
            f"{scenario.participants} people need {needed} open files: {most} are allowed here"
        )


async def _run(url: str, key: str, scenario: Scenario, crowd: Crowd, status: Status) -> Outcome:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        status.update("Ending the sessions; once more to leave them")
        stop.set()
        # The next one is Python's own: it does not wait.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    run = Run(await Target.prove(url, key), scenario, crowd)

    def tell(now: Sample) -> None:
        if not stop.is_set():
            status.update(
                f"{now.at_s:.0f} of {scenario.length_s:.0f} s: {now.rooms} rooms, {now.people} "
                f"people, {len(run.record.done)} actions, {run.record.failed} failed"
            )

    return await run.run(stop, tell)


def _tell(outcome: Outcome, *, as_json: bool, file: Path | None) -> None:
    """Print and write the report; leave by its exit status."""
    if file is not None:
        try:
            file.write_text(page(outcome))
        except OSError as error:
            _fail(f"cannot write {file}: {error.strerror}")
    found = report.summary(outcome)
    if as_json:
        sys.stdout.write(report.as_json(found))
    else:
        Console().print({name: part for name, part in found.items() if name != "over_time"})
    if outcome.interrupted:
        sys.exit(_INTERRUPTED)
    if outcome.record.failed:
        _fail(f"{outcome.record.failed} of {len(outcome.record.done)} actions failed")


def _fail(message: str) -> NoReturn:
    click.echo(f"plumm-load: {message}", err=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
