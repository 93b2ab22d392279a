"""`python -m scripts.sanitize`: the relay's tests under ASAN and UBSAN.

First the sanitizers have to find what is planted for them. Words behind the command are
pytest's, in place of the whole suite.
"""

import subprocess
import sys
from typing import Final

from scripts.sanitize.builds import ASAN, ROOT, gcc_runtimes

SUITE: Final = "tests/unit/media/relay"
# What is planted, and what the report about it says.
PLANTED: Final = {
    "heap_write(16, 16)": "heap-buffer-overflow",
    "use_after_free(16)": "heap-use-after-free",
    "next_int(2**31 - 1)": "signed integer overflow",
}
HARMLESS: Final = "heap_write(16, 15)"


def run(*command: str, stderr: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run Python on the sanitized build."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=ASAN.folder,
        env=ASAN.environment(gcc_runtimes()),
        stderr=stderr,
        text=True,
        check=False,
    )


def check_planted() -> None:
    """Raise SystemExit unless each planted fault, and nothing else, ends its process."""
    start = "from scripts.sanitize.planted import *; "
    for call, report in PLANTED.items():
        done = run("-c", start + call, stderr=subprocess.PIPE)
        if done.returncode == 0 or report not in done.stderr:
            sys.exit(f"plumm: {call} went unnoticed; status {done.returncode}\n{done.stderr}")
    done = run("-c", start + HARMLESS, stderr=subprocess.PIPE)
    if done.returncode or done.stderr:
        sys.exit(f"plumm: {HARMLESS} is not harmless here; status {done.returncode}\n{done.stderr}")


def main() -> None:
    print("· Compiling the relay with sanitizers", flush=True)
    ASAN.make()
    print("· Finding what is planted", flush=True)
    check_planted()
    print("· Testing the relay under ASAN and UBSAN", flush=True)
    tests = sys.argv[1:] or [SUITE]
    done = run(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "scripts.sanitize.guard"),
        *("--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml"), "-m", "not unsanitized"),
        # Not the file descriptors: a report that ends the process would end with them.
        "--capture=sys",
        *(word if word.startswith("-") else str(ROOT / word) for word in tests),
    )
    sys.exit(done.returncode)


main()
