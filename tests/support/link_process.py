"""The link itself: `python -m tests.support.link_process NAME CLIENTS`, steered over stdin.

A process of its own, so that the event loop of a test delays no packet. Makes a namespace for
the server and one for each client, joined to it by a pair of TUN devices, carries the packets
between them, and removes everything once stdin is closed: also where a test was killed.

Commands and replies are JSON, one a line; `tests.support.network` is their other end:

    {"client": n, "up": {…Impairment…}, "down": {…}}     either direction may be left out
    {"client": n, "rebind": null}                        the client's UDP ports get new numbers
    {"client": n, "rebind": "10.77.1.130"}               and it is seen at another address
    {"client": n, "address": "10.77.1.3", "instead_of": "10.77.1.2"}

Each is answered, once it is in force:

    {"at": monotonic seconds, "up": {"taken": packets, "lost": packets}, "down": {…}}
"""

import fcntl
import json
import os
import select
import struct
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from tests.support.impairment import Impairment, Nat, Path

# linux/if_tun.h
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000

_MTU: Final = 1500
# Read at one turn, so that a flood in one direction does not hold up the other.
_PACKETS_A_TURN: Final = 64
# Before everything that a test measures: the link must not be what is late.
_NICENESS: Final = -10

SERVER_ADDRESS: Final = "10.77.0.1"


def client_address(client: int, which: int = 2) -> str:
    """client: from 1; which: 2..254, since a client may move, or be seen elsewhere."""
    return f"10.77.{client}.{which}"


def ip(*words: str) -> None:
    """One command of iproute2. Raises CalledProcessError."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Tun:
    """One end: a device in a namespace, whose packets are read and written here."""

    def __init__(self, namespace: str, device: str) -> None:
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        # The kernel picks the number: the device begins in the namespace of all.
        request = struct.pack("16sH22x", b"plumm%d", _IFF_TUN | _IFF_NO_PI)
        made = fcntl.ioctl(self.fd, _TUNSETIFF, request)[:16].rstrip(b"\0").decode()
        ip("link", "set", made, "netns", namespace, "name", device, "mtu", str(_MTU))
        ip("-n", namespace, "link", "set", device, "up")

    def read(self) -> bytes | None:
        try:
            return os.read(self.fd, 65536)
        except BlockingIOError:
            return None

    def write(self, packet: bytes) -> None:
        # One that finds the device full or down is gone, as on any link.
        with suppress(OSError):
            os.write(self.fd, packet)


class Client:
    """One client's namespace and the two directions between it and the server."""

    def __init__(self, network: str, number: int) -> None:
        self._namespace = f"{network}-{number}"
        add_namespace(self._namespace)
        self._outer = Tun(f"{network}-server", f"client{number}")
        self._inner = Tun(self._namespace, "wan")
        ip("-n", self._namespace, "addr", "add", client_address(number), "dev", "wan")
        ip("-n", self._namespace, "route", "add", "default", "dev", "wan")
        server = ("-n", f"{network}-server")
        ip(*server, "route", "add", f"10.77.{number}.0/24", "dev", f"client{number}")
        self._nat = Nat()
        self.up = Path(seed=2 * number)
        self.down = Path(seed=2 * number + 1)

    @property
    def fds(self) -> tuple[int, int]:
        return self._outer.fd, self._inner.fd

    def carry(self) -> None:
        """Everything that came in, and everything that is due."""
        for end, path in ((self._inner, self.up), (self._outer, self.down)):
            for _ in range(_PACKETS_A_TURN):
                packet = end.read()
                if packet is None:
                    break
                if packet[0] >> 4 == 4:  # no neighbours are discovered here
                    path.take(packet, time.monotonic())
        for packet in self.up.due(time.monotonic()):
            self._outer.write(self._nat.upward(packet))
        for packet in self.down.due(time.monotonic()):
            mapped = self._nat.downward(packet)
            if mapped is not None:
                self._inner.write(mapped)

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        now = time.monotonic()
        if "up" in command:
            self.up.become(Impairment(**command["up"]), now)
        if "down" in command:
            self.down.become(Impairment(**command["down"]), now)
        if "rebind" in command:
            self._nat.rebind(command["rebind"])
        if "address" in command:
            # New before old, as a machine does that goes from one network to another.
            address = ("-n", self._namespace, "addr")
            ip(*address, "add", command["address"], "dev", "wan")
            ip(*address, "del", command["instead_of"], "dev", "wan")
        paths = {"up": self.up, "down": self.down}
        return {"at": now} | {
            name: {"taken": path.taken, "lost": path.lost} for name, path in paths.items()
        }

    def next_due(self) -> float | None:
        times = [path.next_due for path in (self.up, self.down)]
        return min((at for at in times if at is not None), default=None)


@dataclass(slots=True)
class _Commands:
    """stdin, line by line, without waiting for it."""

    buffer: bytes = b""
    closed: bool = False

    def read(self) -> list[dict[str, Any]]:
        data = os.read(sys.stdin.fileno(), 65536)
        self.closed = not data
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        return [json.loads(line) for line in lines]


def add_namespace(name: str) -> None:
    ip("netns", "add", name)
    ip("-n", name, "link", "set", "lo", "up")


def remove_namespaces(prefix: str) -> None:
    """All of one network's."""
    for name in namespaces():
        if name.startswith(prefix):
            subprocess.run(["ip", "netns", "delete", name], check=False)


def namespaces() -> list[str]:
    listed = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True)
    return [line.split()[0] for line in listed.stdout.splitlines() if line]


def _say(reply: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()


def run(network: str, count: int) -> None:
    """Until stdin is closed."""
    add_namespace(f"{network}-server")
    # A device that leads nowhere carries the server's address, which no client's link owns.
    home = Tun(f"{network}-server", "home")
    ip("-n", f"{network}-server", "addr", "add", SERVER_ADDRESS, "dev", "home")
    clients = {number: Client(network, number) for number in range(1, count + 1)}
    fds = [sys.stdin.fileno(), home.fd, *(fd for one in clients.values() for fd in one.fds)]
    commands = _Commands()
    _say({"at": time.monotonic()})
    while not commands.closed:
        times = [at for one in clients.values() if (at := one.next_due()) is not None]
        wait_s = max(0.0, min(times) - time.monotonic()) if times else None
        readable, _, _ = select.select(fds, [], [], wait_s)
        if home.fd in readable:
            home.read()
        if sys.stdin.fileno() in readable:
            for command in commands.read():
                _say(clients[command.pop("client")].obey(command))
        for client in clients.values():
            client.carry()


if __name__ == "__main__":
    os.nice(_NICENESS)
    try:
        run(sys.argv[1], int(sys.argv[2]))
    finally:
        remove_namespaces(f"{sys.argv[1]}-")
