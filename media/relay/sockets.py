"""The relay's UDP socket."""

import socket
from typing import Any, Final

# The kernel's default holds 80 ms of 1,000 packets a second, less than a preempted thread
# may take. The kernel caps it at net.core.rmem_max and wmem_max.
_BUFFER_BYTES: Final = 4 << 20


def open_socket(host: str, port: int) -> socket.socket:
    """A bound UDP socket: dual-stack for "" and "::" where the machine has IPv6.

    host: a numeric address. Raises OSError when the port is taken or the address not ours.
    """
    if host:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )[0]
        return _bound(family, address)
    try:
        return _bound(socket.AF_INET6, ("::", port))
    except OSError:
        # No IPv6 here. A port that is taken is refused again.
        return _bound(socket.AF_INET, ("", port))


def _bound(family: int, address: tuple[Any, ...]) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != "::")
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound
