"""Whether a sanitized build finds what it is there to find."""

import subprocess
import sys
from collections.abc import Mapping
from typing import Final

from scripts.sanitize.builds import Build

# What is planted, and what the report about it says.
PLANTED: Final = {
    "heap_write(16, 16)": "heap-buffer-overflow",
    "use_after_free(16)": "heap-use-after-free",
    "next_int(2**31 - 1)": "signed integer overflow",
}
HARMLESS: Final = "heap_write(16, 15)"


def check_planted(build: Build, environment: Mapping[str, str]) -> None:
    """Raise SystemExit unless each planted fault, and nothing else, ends its process."""
    for call, report in {**PLANTED, HARMLESS: ""}.items():
        done = subprocess.run(
            [sys.executable, "-c", f"from scripts.sanitize.planted import *; {call}"],
            cwd=build.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        found = done.returncode != 0 and report in done.stderr
        silent = done.returncode == 0 and not done.stderr
        if not (found if report else silent):
            sys.exit(f"plumm: {call} in {build.name}: status {done.returncode}\n{done.stderr}")
