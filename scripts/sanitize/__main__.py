"""`python -m scripts.sanitize`: the relay's tests under ASAN and UBSAN.

First the sanitizers have to find what is planted for them. Words behind the command are
pytest's, in place of the whole suite.
"""

import subprocess
import sys
from typing import Final

from scripts.sanitize.builds import ASAN, ROOT, gcc_runtimes
from scripts.sanitize.finding import check_planted

SUITE: Final = "tests/unit/media/relay"


def main() -> None:
    environment = ASAN.environment(gcc_runtimes())
    print("· Compiling the relay with sanitizers", flush=True)
    ASAN.make()
    print("· Finding what is planted", flush=True)
    check_planted(ASAN, environment)
    print("· Testing the relay under ASAN and UBSAN", flush=True)
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        *("-p", "scripts.sanitize.guard", "-m", "not unsanitized"),
        *("--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")),
        # Not the file descriptors: a report that ends the process would end with them.
        "--capture=sys",
    ]
    for word in sys.argv[1:] or [SUITE]:
        command.append(word if word.startswith("-") else str(ROOT / word))
    done = subprocess.run(command, cwd=ASAN.folder, env=environment, check=False)
    sys.exit(done.returncode)


main()
