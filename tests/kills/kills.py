"""Kills a process again and again while it ends sessions, and looks at what is left each time.

The process is the service alone (`life`), so that a thousand take minutes; `served` kills all
of the server.

Half of the kills are at the named failpoints in turn, half at random moments between the click
and the last hook. After each, the next life must have finished what the one before promised.
"""

import asyncio
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Final

from rooms.db.engine import Database
from rooms.db.migrate import migrate
from rooms.failpoints import FAILPOINTS
from rooms.session import Ended
from rooms.vocabulary import SessionId
from tests.kills.effects import OfTestHooks
from tests.kills.findings import Findings
from tests.kills.life import Acked, Clicked, Done, Life, Recovered, Step, live
from tests.support.effects import effects

_STEP_WITHIN_S: Final = 30.0
# session.ended goes to two hooks that store, and to one that sends.
_PASSES: Final = {"delivery.taken": 2, "delivery.effect_stored": 2, "delivery.committed": 2}
_UNHARMED: Final = ""
_AT_RANDOM: Final = "at random"


@dataclass(slots=True)
class Report:
    """killed: how often at each place. wrong: what should not have been.

    mails_repeated: how many a mail server was handed once more, which is allowed.
    """

    killed: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    mails_repeated: int = 0


@dataclass(frozen=True, slots=True)
class Death:
    """What was said before it. took_s: from the click to the last hook, 0 when killed between."""

    recovered: Recovered | None
    session: SessionId | None
    ended: Ended | None
    took_s: float


def run(database: str, directory: Path, kills: int, seed: int) -> Report:
    """Kill so many processes that work on one empty database."""
    (directory / "mails").mkdir()
    report, chance = Report(), random.Random(seed)
    findings = Findings(database, directory, OfTestHooks(directory / "mails"))
    with asyncio.Runner() as runner:
        runner.run(_prepare(database))
        before: Death | None = None
        window_s = 0.0
        # The first shows how long an end takes here; the last finishes for the one before it.
        places = chain([_UNHARMED], islice(_places(chance), kills), [_UNHARMED])
        for number, place in enumerate(places):
            unfinished = None if before is None or before.ended is not None else before.session
            failpoint = "" if place == _AT_RANDOM else place
            kill_after_s = chance.uniform(0, window_s) if place == _AT_RANDOM else None
            death = _one_life(
                Life(number, database, directory, failpoint, unfinished), kill_after_s
            )
            window_s = window_s or death.took_s
            if death.recovered is None or death.session is None:
                report.wrong.append(f"life {number} did not recover, or did not come to its click")
                return report
            if failpoint and death.took_s:
                report.wrong.append(f"life {number} passed {failpoint} and lived")
            if before is not None and before.session is not None:
                answer = before.ended or death.recovered.ended
                report.wrong += runner.run(findings.of_session(before.session, answer))
            if place:
                name = place.partition(":")[0]
                report.killed[f"{name}, {'after' if death.ended else 'before'} the ack"] += 1
            before = death
        report.wrong += runner.run(findings.of_all())
    return report


async def _prepare(url: str) -> None:
    """Make the tables, and that of the test hook's effects."""
    await migrate(url)
    database = await Database.open(url)
    async with database.transaction() as connection:
        await connection.run_sync(effects.create)
    await database.close()


def _places(chance: random.Random) -> Iterator[str]:
    while True:
        for name in FAILPOINTS:
            yield f"{name}:{chance.randint(1, _PASSES.get(name, 1))}"
            yield _AT_RANDOM


def _one_life(life: Life, kill_after_s: float | None) -> Death:
    # Forked from a process that has imported everything: a thousand starts in minutes.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.kills.life"])
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=live, args=(life, writer))
    process.start()
    writer.close()
    recovered: Recovered | None = None
    session: SessionId | None = None
    ended: Ended | None = None
    clicked_at = took_s = 0.0
    try:
        while reader.poll(_STEP_WITHIN_S):
            step: Step = reader.recv()
            match step:
                case Recovered():
                    recovered = step
                case Clicked(session):
                    clicked_at = time.monotonic()
                    if kill_after_s is not None:
                        time.sleep(kill_after_s)
                        process.kill()
                case Acked(ended):
                    pass
                case Done():
                    took_s = time.monotonic() - clicked_at
                    process.kill()
    except EOFError:
        pass  # it is dead, and this was its last word
    finally:
        process.kill()
        process.join()
        reader.close()
    return Death(recovered, session, ended, took_s)
