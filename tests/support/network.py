"""A server and its clients in network namespaces, joined by links that a test makes bad.

    with Network() as network, Server(tmp_path, inside=network.server) as server:
        network.client(1).become(both=Impairment(delay_ms=50, loss=0.05))

What shall run beside the server, on a clean link, runs in `network.server`. Needs root, iproute2
and /dev/net/tun. Everything is removed at the end, and at the next start what a killed run left.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ctypes import CDLL, get_errno
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from tests.support.impairment import Impairment
from tests.support.link_process import (
    SERVER_ADDRESS,
    client_address,
    namespaces,
    remove_namespaces,
)

T = TypeVar("T")

_ROOT: Final = Path(__file__).parents[2]
# sched.h
_CLONE_NEWNET: Final = 0x40000000
_ENDS_WITHIN_S: Final = 10

_made: Final = count(1)


@dataclass(frozen=True, slots=True)
class Namespace:
    """Where processes, and this process' own sockets, may be put."""

    name: str
    address: str

    def command(self, *words: str) -> list[str]:
        """The same command, inside."""
        return ["ip", "netns", "exec", self.name, *words]

    def call(self, fn: Callable[[], T]) -> T:
        """`fn()`, on a thread whose new sockets are inside."""
        with ThreadPoolExecutor(1, initializer=self._enter) as thread:
            return thread.submit(fn).result()

    def executable(self, program: str, directory: Path) -> str:
        """The path of a script that runs `program` inside, for who takes only a path."""
        script = directory / f"{Path(program).name}-in-{self.name}"
        script.write_text(f'#!/bin/sh\nexec {" ".join(self.command(program))} "$@"\n')
        script.chmod(0o755)
        return str(script)

    def _enter(self) -> None:
        with Path("/run/netns", self.name).open() as namespace:
            libc = CDLL(None, use_errno=True)
            if libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(get_errno(), "setns")


@dataclass(frozen=True, slots=True)
class Carried:
    """Packets of one direction since the start."""

    taken: int
    lost: int


@dataclass(frozen=True, slots=True)
class State:
    """at: monotonic seconds, when the change that was asked for came into force."""

    at: float
    up: Carried
    down: Carried


class Client:
    """One client's end of a link; up is from it to the server."""

    def __init__(self, network: "Network", number: int) -> None:
        self._network = network
        self._number = number
        self._which = 2
        self._outside = 128
        self._name = f"{network.name}-{number}"

    @property
    def namespace(self) -> Namespace:
        return Namespace(self._name, client_address(self._number, self._which))

    def become(
        self,
        *,
        both: Impairment | None = None,
        up: Impairment | None = None,
        down: Impairment | None = None,
    ) -> State:
        """Change the link, at once; a direction that is not named stays as it is."""
        sides = {"up": up or both, "down": down or both}
        return self._ask({name: asdict(side) for name, side in sides.items() if side is not None})

    def move(self) -> State:
        """Another address in place of the present one: sockets that use the old one are dead."""
        before = client_address(self._number, self._which)
        self._which += 1
        after = client_address(self._number, self._which)
        return self._ask({"address": after, "instead_of": before})

    def rebind(self) -> State:
        """Its UDP reaches the server from other ports, as after a NAT has forgotten it."""
        return self._ask({"rebind": None})

    def fail_over(self) -> State:
        """Its NAT goes out by another line: the server sees another address, it notices nothing.

        Connections that are there are of the old one: what they carry goes to nobody's socket.
        """
        self._outside += 1
        return self._ask({"rebind": client_address(self._number, self._outside)})

    @property
    def state(self) -> State:
        return self._ask({})

    def _ask(self, command: dict[str, Any]) -> State:
        reply = self._network.ask({"client": self._number} | command)
        return State(reply["at"], Carried(**reply["up"]), Carried(**reply["down"]))


class Network:
    """Use as a context manager. clients: how many, each with a link and a namespace of its own."""

    def __init__(self, clients: int = 1) -> None:
        self.name = f"plumm-{os.getpid()}-{next(_made)}"
        self.server = Namespace(f"{self.name}-server", SERVER_ADDRESS)
        self._clients = {number: Client(self, number) for number in range(1, clients + 1)}
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        _remove_leftovers()
        program = (sys.executable, "-m", "tests.support.link_process")
        self._process = subprocess.Popen(
            [*program, self.name, str(len(self._clients))],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self._reply()
        except AssertionError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(_ENDS_WITHIN_S)

    def client(self, number: int = 1) -> Client:
        """From 1."""
        return self._clients[number]

    def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        """One command of `link_process`, and what it says."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._reply()

    def _reply(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the link process is gone; what it said is on stderr"
        reply: dict[str, Any] = json.loads(line)
        return reply


def _remove_leftovers() -> None:
    """Namespaces of processes that are no more."""
    for name in namespaces():
        owner = re.match(r"plumm-(\d+)-", name)
        if owner is not None and not Path("/proc", owner[1]).exists():
            remove_namespaces(owner[0])
