"""A yardstick as a process of its own: `python -m scripts.bench.yardstick bare|asyncio`.

It prints its UDP port, reads its routes from one line of standard input, prints "ready" and
forwards until it is killed.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import IO, Literal, cast

from scripts.bench.asyncio_loop import AsyncioLoop, serve
from scripts.bench.bare_loop import BareLoop
from scripts.bench.cores import SERVER_CORE, on_core
from scripts.pump import Pump
from scripts.pump.srtp import KEY_BYTES

PROFILE = "SRTP_AEAD_AES_128_GCM"
# As large as an unprivileged socket gets where net.core.*mem_max is 4 MiB.
SOCKET_BUFFER_BYTES = 4 << 20

Style = Literal["bare", "asyncio"]


def loopback_socket() -> socket.socket:
    """A UDP socket on a free port of 127.0.0.1 with large buffers."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
    sock.bind(("127.0.0.1", 0))
    return sock


@dataclass(frozen=True, slots=True)
class Route:
    """One direction of a pair: whose packets go where, under which keys (hex)."""

    source_port: int
    destination_port: int
    receive_key: str
    send_key: str


class Yardstick:
    """A running yardstick with its load: `pairs` pairs of peers, each with audio and video."""

    def __init__(self, style: Style, pairs: int, check_every: int) -> None:
        self.name = f"{style}_loop"
        self.pump = Pump(check_every=check_every)
        with on_core(SERVER_CORE):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "scripts.bench.yardstick", style],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        self.pid = self._process.pid
        self.port = int(self._pipe(self._process.stdout).readline())
        sockets = [loopback_socket() for _ in range(2 * pairs)]
        routes: list[Route] = []
        keys = [os.urandom(KEY_BYTES[PROFILE]) for _ in range(4 * pairs)]
        for index, sock in enumerate(sockets):
            sock.connect(("127.0.0.1", self.port))
            send_key, receive_key = keys[2 * index], keys[2 * index + 1]
            partner = index ^ 1
            routes.append(
                Route(
                    sock.getsockname()[1],
                    sockets[partner].getsockname()[1],
                    send_key.hex(),
                    keys[2 * partner + 1].hex(),
                )
            )
            peer = self.pump.add_peer(sock, PROFILE, send_key, receive_key)
            for place, kind in enumerate(("audio", "video")):
                self.pump.add_flow(
                    peer,
                    cast(Literal["audio", "video"], kind),
                    ssrc=1000 + 2 * index + place,
                    payload_type=111 if kind == "audio" else 96,
                    mid=str(place),
                    mid_id=4,
                    twcc_id=3,
                )
        stdin = self._pipe(self._process.stdin)
        stdin.write(json.dumps([_as_list(route) for route in routes]) + "\n")
        stdin.flush()
        assert self._pipe(self._process.stdout).readline() == "ready\n"

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe

    def close(self) -> None:
        self.pump.stop()
        self._process.kill()
        self._process.wait()


def _as_list(route: Route) -> list[int | str]:
    return [route.source_port, route.destination_port, route.receive_key, route.send_key]


def _end_with_parent() -> None:
    """Standard input closes when the benchmark is gone, however it went."""
    sys.stdin.read()
    os._exit(0)


def main(style: str) -> None:
    sock = loopback_socket()
    print(sock.getsockname()[1], flush=True)
    loop: BareLoop | AsyncioLoop = BareLoop(sock) if style == "bare" else AsyncioLoop()
    for fields in json.loads(sys.stdin.readline()):
        source_port, destination_port, receive_key, send_key = fields
        loop.route(
            source_port,
            destination_port,
            PROFILE,
            bytes.fromhex(receive_key),
            bytes.fromhex(send_key),
        )
    threading.Thread(target=_end_with_parent, daemon=True).start()
    print("ready", flush=True)
    if isinstance(loop, BareLoop):
        loop.run()
    else:
        asyncio.run(serve(sock, loop))


if __name__ == "__main__":
    main(sys.argv[1])
