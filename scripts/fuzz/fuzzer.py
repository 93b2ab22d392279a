"""libFuzzer, through atheris, on one target in a process of its own."""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import atheris

from scripts.sanitize.builds import FUZZ, ROOT
from scripts.sanitize.finding import check_planted

CORPUS: Final = ROOT / "tests" / "data" / "corpus"
FOUND: Final = ROOT / "build" / "corpus"
RESULTS: Final = ROOT / "test-results" / "fuzz"

# What is a corpus already, beside the kept one.
STORED: Final = {"sdp": ROOT / "tests" / "data" / "offers"}

# Python alone: sanitizers would only make it slow.
PURE: Final = {"sdp"}

# Longer inputs only take longer. An offer is long; the largest are a test's of its own.
LENGTHS: Final = {"sdp": 8192, "rtp": 1500, "codecs": 1024, "stun": 600}
LENGTH: Final = 4096
# An input that takes 10 s hangs: most take less than a millisecond.
OPTIONS: Final = ("-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1")


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """places: edges of the code and values of its comparisons that some input reached."""

    target: str
    good: bool
    said: str
    inputs: int
    places: int
    crashes: tuple[Path, ...] = ()

    @property
    def log(self) -> Path:
        return _log(self.target)


def _log(target: str) -> Path:
    return RESULTS / f"{target}.log"


def _environment() -> dict[str, str]:
    runtime = Path(atheris.path()) / "asan_with_fuzzer.so"
    return dict(FUZZ.environment([runtime]))


def check_tools() -> None:
    """Raise SystemExit where the sanitizers of this build find nothing."""
    check_planted(FUZZ, _environment())


async def _run(target: str, words: Sequence[str]) -> Fuzzed:
    prefix = RESULTS / f"{target}-"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.fuzz.worker", target, *OPTIONS),
        *(f"-max_len={LENGTHS.get(target, LENGTH)}", f"-artifact_prefix={prefix}", *words),
        cwd=ROOT if target in PURE else FUZZ.folder,
        env=os.environ if target in PURE else _environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    said = output.decode(errors="replace")
    _log(target).write_text(said)

    def figure(pattern: str) -> int:
        found = re.findall(pattern, said)
        return int(found[-1]) if found else 0

    return Fuzzed(
        target,
        process.returncode == 0,
        "\n".join(line for line in said.splitlines() if not line.startswith("INFO:")),
        inputs=figure(r"number_of_executed_units: ([0-9]+)"),
        places=figure(r" ft: ([0-9]+)"),
        crashes=tuple(sorted(RESULTS.glob(f"{prefix.name}*"))),
    )


def kept(target: str) -> list[Path]:
    """The folders that fuzzing begins with."""
    return [CORPUS / target] + ([STORED[target]] if target in STORED else [])


def inputs(target: str) -> list[Path]:
    """Every kept input."""
    return sorted(path for folder in kept(target) for path in folder.rglob("*") if path.is_file())


async def fuzz(target: str, seconds: int) -> Fuzzed:
    """Begin with the kept corpus and what was found before."""
    found = FOUND / target
    found.mkdir(parents=True, exist_ok=True)
    for old in RESULTS.glob(f"{target}-*"):
        old.unlink()
    return await _run(target, [f"-max_total_time={seconds}", str(found), *map(str, kept(target))])


async def replay(target: str, given: Path) -> Fuzzed:
    """One input, once."""
    return await _run(target, [str(given)])


def keep(target: str) -> int:
    """Add the found inputs, each of which reached something new; how many the corpus has."""
    corpus, found = CORPUS / target, FOUND / target
    corpus.mkdir(parents=True, exist_ok=True)
    for path in found.iterdir():
        shutil.move(path, corpus / path.name)
    return sum(1 for _ in corpus.iterdir())
