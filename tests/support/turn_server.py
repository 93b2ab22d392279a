"""A real coturn in a process of its own, on a free port of 127.0.0.1."""

import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from scripts.ports import free_port

STARTS_WITHIN_S = 10


class TurnServer:
    """Use as a context manager. Takes clients over UDP and TCP, and relays to 127.0.0.1."""

    def __init__(self, directory: Path, secret: str) -> None:
        self.port = free_port()
        self._directory = directory
        self._secret = secret
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [
            "turnserver",
            # Its files, and no configuration but what is said here.
            *("-n", "--no-cli", "--no-tls", "--no-dtls", "--log-file=stdout"),
            f"--pidfile={self._directory / 'turnserver.pid'}",
            f"--userdb={self._directory / 'turnserver.db'}",
            *("--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "--allow-loopback-peers"),
            f"--listening-port={self.port}",
            *("--use-auth-secret", f"--static-auth-secret={self._secret}"),
            *("--realm=plumm.test", "--fingerprint"),
        ]
        with (self._directory / "turnserver.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"coturn did not start:\n{self.log}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()  # nothing of it is kept
        self._process.wait()

    @property
    def log(self) -> str:
        return (self._directory / "turnserver.log").read_text()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
