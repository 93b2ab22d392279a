"""A real PostgreSQL of the tests' own, on a socket in its directory; none of its data is kept."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self
from urllib.parse import quote

_DEBIAN: Final = Path("/usr/lib/postgresql")
_STARTS_WITHIN_S: Final = "20"


def _program(name: str) -> str:
    """PostgreSQL's own program; Debian keeps them off the path."""
    newest = sorted(_DEBIAN.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    found = shutil.which(name) or (str(newest[-1]) if newest else None)
    assert found, f"{name} is missing; scripts/test_tools.sh installs PostgreSQL"
    return found


def _runs(process: int) -> bool:
    """Whether it is there and no zombie."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


class Postgres:
    """Use as a context manager. PostgreSQL refuses to run as root: then it runs as `postgres`."""

    def __init__(self) -> None:
        # Not in pytest's own folder, which every other run makes private again.
        self._folder = TemporaryDirectory(prefix="plumm-postgres-")
        self._directory = Path(self._folder.name)
        self._data = self._directory / "data"
        self._databases = 0
        self._user = "postgres" if os.geteuid() == 0 else None

    def __enter__(self) -> Self:
        if self._user is not None:
            account = pwd.getpwnam(self._user)
            os.chown(self._directory, account.pw_uid, account.pw_gid)
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "plumm", "-E", "UTF8", "-N")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._run("pg_ctl", "-D", str(self._data), "stop", "-m", "immediate")
        self._folder.cleanup()

    def start(self) -> None:
        """Serve; once more after a crash."""
        options = f"-k {self._directory} -c listen_addresses='' -c fsync=off -c max_connections=60"
        log = str(self._directory / "log")
        words = ("-D", str(self._data), "-l", log, "-o", options, "-w", "-t", _STARTS_WITHIN_S)
        self._run("pg_ctl", *words, "start")

    def crash(self) -> None:
        """SIGKILL to all of it, as when the machine goes down; returns when nothing runs."""
        processes = self._signal(signal.SIGKILL)
        while any(map(_runs, processes)):
            time.sleep(0.01)
        # A zombie that nobody has waited for yet would pass for a server that runs.
        for lock in (self._data / "postmaster.pid", self._directory / ".s.PGSQL.5432.lock"):
            lock.unlink(missing_ok=True)

    def hang(self) -> None:
        """Nothing of it answers any more, and nothing is closed, until `go_on`."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> list[int]:
        """Send a signal to all of its processes; which these are."""
        server = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        processes = [server, *map(int, children)]
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, number)
        return processes

    def new_database(self) -> str:
        """The URL of an empty database."""
        self._databases += 1
        name = f"plumm_{self._databases}"
        self._run("createdb", "-h", str(self._directory), "-U", "plumm", name)
        return f"postgresql://plumm@/{name}?host={quote(str(self._directory))}"

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [_program(program), *words],
            user=self._user,
            cwd=self._directory,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{program}: {done.stdout}"
