"""The native modules with sanitizers in them, each set of flags in a folder of its own.

A build folder holds every Python package of ours too, so that a process that has it first on
its path and does not start in the source root cannot load the ordinary build by mistake.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]

# -fno-wrapv: Python's own flags would define what UBSAN is to find. Nothing recovers: UBSAN
# only prints otherwise, and nobody reads it.
_COMMON: Final = "-O1 -g -fno-omit-frame-pointer -fno-wrapv -fno-sanitize-recover=all"


class BuildFailed(Exception):
    """What the compiler said."""


@dataclass(frozen=True, slots=True)
class Build:
    """How to compile.  sanitizers: of -fsanitize=, and exceptions behind them."""

    name: str
    compiler: str
    sanitizers: str

    @property
    def folder(self) -> Path:
        """Other flags, another folder: setuptools does not compile again for them."""
        flags = f"{self.compiler} {self.sanitizers} {_COMMON}"
        digest = hashlib.sha256(flags.encode()).hexdigest()[:8]
        return ROOT / "build" / f"{self.name}-{digest}"

    @property
    def lib(self) -> Path:
        return self.folder / "lib"

    def make(self) -> None:
        """Compile what changed. Raises BuildFailed."""
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "scripts.sanitize.compiling", str(self.folder)],
            cwd=ROOT,
            env=os.environ
            | {
                # Not in CFLAGS, which the linker gets too: the runtimes are preloaded.
                "CC": f"{self.compiler} -fsanitize={self.sanitizers}",
                "LDSHARED": f"{self.compiler} -shared",
                "CFLAGS": _COMMON,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        # Compilers warn of much in what Cython writes: shown only where it matters.
        if done.returncode:
            raise BuildFailed(done.stdout + done.stderr)

    def environment(self, preload: Sequence[Path | str]) -> Mapping[str, str]:
        """For a process that runs in `folder`."""
        return os.environ | {
            "LD_PRELOAD": " ".join(map(str, preload)),
            # Python's own allocator would hide the end of every small block.
            "PYTHONMALLOC": "malloc",
            "PYTHONPATH": f"{self.lib}:{ROOT}",
            # CPython frees little of what it holds at its end.
            "ASAN_OPTIONS": "detect_leaks=0",
            "UBSAN_OPTIONS": "print_stacktrace=1",
        }


ASAN: Final = Build("asan", "gcc", "address,undefined")
# Clang counts NULL + 0 among what overflows; Cython writes that for calls without arguments.
FUZZ: Final = Build(
    "fuzz", "clang", "address,undefined,fuzzer-no-link -fno-sanitize=pointer-overflow"
)


def gcc_runtimes() -> list[str]:
    """The libraries that a process of ASAN's build preloads."""
    return [
        subprocess.run(
            ["gcc", f"-print-file-name={name}"], check=True, capture_output=True, text=True
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
