"""`python -m scripts.fuzz`: every target for a while, as many at once as there are cores.

What is found new goes to build/corpus, and to the kept corpus only with --keep. A crash is
kept in test-results/fuzz; `--input FILE` gives it to its target again.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from scripts.fuzz.fuzzer import CORPUS, FOUND, RESULTS, Fuzzed, check_tools, fuzz, keep, replay
from scripts.fuzz.targets import TARGETS
from scripts.sanitize.builds import FUZZ, ROOT


def _tell(fuzzed: Fuzzed) -> None:
    if fuzzed.good:
        print(f"  {fuzzed.target}: {fuzzed.inputs:,} inputs, {fuzzed.places:,} places reached")
        return
    print(f"{fuzzed.said[-6000:]}\nplumm: {fuzzed.target} failed; all it said: {fuzzed.log}")
    for crash in fuzzed.crashes:
        where = crash.relative_to(ROOT)
        print(f"  the input: {where}")
        print(f"  once more: python -m scripts.fuzz {fuzzed.target} --input {where}")


async def _fuzz_all(targets: Sequence[str], seconds: int) -> bool:
    turns = asyncio.Semaphore(os.cpu_count() or 1)

    async def one(target: str) -> bool:
        async with turns:
            fuzzed = await fuzz(target, seconds)
            _tell(fuzzed)
            sys.stdout.flush()
            return fuzzed.good

    return all(await asyncio.gather(*map(one, targets)))


@click.command()
@click.argument("targets", nargs=-1, type=click.Choice(list(TARGETS)))
@click.option("--seconds", default=20, show_default=True, help="For each target.")
@click.option("--keep", "keeping", is_flag=True, help="Add what is new to tests/data/corpus.")
@click.option(
    "--input", "given", type=click.Path(exists=True, path_type=Path),
    help="Give one target this file, and no other.",
)  # fmt: skip
def main(targets: Sequence[str], seconds: int, keeping: bool, given: Path | None) -> None:
    """Fuzz the parsers, on a build with sanitizers. All targets unless some are named."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    print("· Compiling the relay for fuzzing", flush=True)
    FUZZ.make()
    check_tools()
    chosen = targets or tuple(TARGETS)
    if given is not None:
        if len(targets) != 1:
            raise click.UsageError("name the one target of this input")
        fuzzed = asyncio.run(replay(targets[0], given.resolve()))
        print(fuzzed.said)
        sys.exit(not fuzzed.good)
    print(f"· Fuzzing {', '.join(chosen)}: {seconds} s each", flush=True)
    good = asyncio.run(_fuzz_all(chosen, seconds))
    if good and keeping:
        for target in chosen:
            count = keep(target)
            print(f"  {target}: {count} inputs kept in {CORPUS.relative_to(ROOT) / target}")
    elif good:
        print(f"  new inputs: {FOUND.relative_to(ROOT)} (--keep adds them to the corpus)")
    sys.exit(not good)


main()
