"""Ports for servers that tests and benchmarks start."""

import random
import socket
from contextlib import ExitStack
from typing import Final

# Below those that systems give to whoever asks for any port (Linux: from 32768): a connection
# that somebody makes meanwhile does not take it.
_RANGE: Final = range(20_000, 32_768)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has at this moment, for UDP and for TCP."""
    # Not the seeded one: two that ask at once would get the same.
    for port in random.SystemRandom().sample(_RANGE, len(_RANGE)):
        with ExitStack() as probes:
            try:
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    probes.enter_context(socket.socket(socket.AF_INET, kind)).bind(
                        ("127.0.0.1", port)
                    )
            except OSError:
                continue
            return port
    raise RuntimeError("every port is in use")
