"""A real `plumm serve` in a process of its own, on free ports, with a data directory of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, Self

from rooms.clock import SystemClock
from scripts.ports import free_port
from signaling.tokens import Tokens
from tests.support.network import Namespace

STARTS_WITHIN_S = 20
STOPS_WITHIN_S = 2

PLUMM = str(Path(sys.executable).with_name("plumm"))


@dataclass(frozen=True, slots=True)
class Session:
    """What `plumm demo --json` prints."""

    session_id: str
    therapist_url: str
    client_url: str


def own_address() -> str:
    """This machine's address on its network. What it sends there stays on its own loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Chooses a route; sends nothing. 192.0.2.1: in documents only (RFC 5737).
        probe.connect(("192.0.2.1", 9))
        address: str = probe.getsockname()[0]
        return address


@dataclass(frozen=True, slots=True)
class Account:
    """Whoever may sign in."""

    email: str
    password: str


@dataclass(frozen=True, slots=True)
class Accounts:
    """A therapist and a client with a session of theirs."""

    session_id: str
    therapist: Account
    client: Account


class Server:
    """Use as a context manager; `log` holds what it printed once it is down.

    inside: the namespace it runs in, at whose address it listens; else on 127.0.0.1.
    """

    def __init__(self, data_dir: Path, inside: Namespace | None = None, **settings: str) -> None:
        self._inside = inside
        host = "127.0.0.1" if inside is None else inside.address
        self.port = free_port()
        self.media_port = free_port()
        self.url = f"http://{host}:{self.port}"
        self._log_file = data_dir / "server.log"
        self._environment = os.environ | {
            "PLUMM_HOST": host,
            "PLUMM_PORT": str(self.port),
            "PLUMM_MEDIA_PORT": str(self.media_port),
            "PLUMM_DATA_DIR": str(data_dir),
            # A machine that tests keep busy is slow for all; who tests that says so.
            "PLUMM_BUSY_LAG_MS": "60000",
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, **settings: str) -> None:
        """settings: of this life alone, beside those of the server."""
        environment = self._environment | settings
        with self._log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self._words("serve"), env=environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not self._healthy():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the server did not start:\n{self.log}")
            time.sleep(0.05)

    def stop(self) -> float:
        """SIGTERM, and wait; the seconds it took to go."""
        assert self.process is not None
        if self.process.poll() is not None:
            return 0.0
        asked_at = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server did not stop:\n{self.log}") from None
        return time.monotonic() - asked_at

    def kill(self) -> None:
        """SIGKILL, as the kernel would; `start` again finds what was stored."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    @property
    def log(self) -> str:
        return self._log_file.read_text()

    @property
    def secret(self) -> str:
        """What the server made to sign its tokens."""
        return (self._log_file.parent / "secret").read_text().strip()

    def demo(self) -> Session:
        """A fresh session, made by the command line as a user would."""
        done = subprocess.run(
            self._words("demo", "--json"), env=self._environment, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return Session(**json.loads(done.stdout))

    def group(self, therapist: str, clients: Sequence[str]) -> list[str]:
        """The links of a fresh session with several clients, the therapist's first."""
        done = subprocess.run(
            self._words("demo", "--json", "--therapist", therapist, "--client", clients[0])
            + [word for other in clients[1:] for word in ("--other", other)],
            env=self._environment,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        made = json.loads(done.stdout)
        return [made["therapist_url"], made["client_url"], *made["other_urls"]]

    def book(self, **wanted: Any) -> Session:
        """A session of Dr. Lena Hart and Maya Lind, made over HTTP as PROTOCOL.md says."""
        body = {"therapist": "Dr. Lena Hart", "client": "Maya Lind"} | wanted
        made = self._post("/api/sessions", body)
        return Session(**{name: made[name] for name in Session.__slots__})

    def accounts(self) -> Accounts:
        """Dr. Lena Hart and Maya Lind with accounts, and a session that began just now."""
        made = self._post("/api/demo", {})
        each = {one["role"]: Account(one["email"], one["password"]) for one in made["accounts"]}
        return Accounts(made["session_id"], each["therapist"], each["client"])

    def admin(self) -> Account:
        """Somebody who runs the platform, with an account made by the command line."""
        account = Account("root@example.org", "a long enough password")
        subprocess.run(
            self._words(
                *("user", "add", account.email, "--password-stdin"),
                *("--name", "Kim Root", "--role", "admin"),
            ),
            env=self._environment,
            input=f"{account.password}\n".encode(),
            capture_output=True,
            check=True,
        )
        return account

    def _post(self, path: str, body: object) -> Any:
        token = Tokens(self.secret, SystemClock()).admin()
        request = urllib.request.Request(
            self.url + path,
            json.dumps(body).encode(),
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=5) as response:
            return json.loads(response.read())

    def command(self, *words: str, stdout: BinaryIO | None = None) -> subprocess.Popen[bytes]:
        """Start another `plumm` command beside the server."""
        return subprocess.Popen(self._words(*words), env=self._environment, stdout=stdout)

    def metric(self, name: str) -> float:
        """One sample without labels from /metrics."""
        _, body = self._get("/metrics", timeout_s=5)
        lines = body.decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def _healthy(self) -> bool:
        try:
            status, _ = self._get("/healthz", timeout_s=1)
        except (urllib.error.URLError, OSError):
            return False
        return status == HTTPStatus.OK

    def _words(self, *words: str) -> list[str]:
        command = [PLUMM, *words]
        return command if self._inside is None else self._inside.command(*command)

    def _get(self, path: str, timeout_s: float) -> tuple[int, bytes]:
        def get() -> tuple[int, bytes]:
            with urllib.request.urlopen(self.url + path, timeout=timeout_s) as response:
                return response.status, response.read()

        return get() if self._inside is None else self._inside.call(get)
