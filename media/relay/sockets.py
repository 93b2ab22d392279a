"""The relay's sockets: UDP, and TCP on the same port."""

import errno
import socket
from typing import Any, Final

# The kernel's default holds 80 ms of 1,000 packets a second, less than a preempted thread
# may take. The kernel caps it at net.core.rmem_max and wmem_max.
_BUFFER_BYTES: Final = 4 << 20
# Of one TCP connection; the kernel doubles it for its own needs. What waits there is late: this
# is a third of a second at 1.5 Mbit/s, and holds a whole keyframe.
_STREAM_BUFFER_BYTES: Final = 64 << 10
_BACKLOG: Final = 128
# Ports that are free for UDP and taken for TCP are rare, but they are there.
_TRIES: Final = 16


def open_sockets(host: str, port: int, *, tcp: bool) -> tuple[socket.socket, socket.socket | None]:
    """The UDP socket and, with `tcp`, one that listens on the same port and addresses.

    host: a numeric address. port: 0 is one that is free for both.
    Raises OSError when the port is taken or the address not ours.
    """
    for _ in range(_TRIES):
        datagrams = open_socket(host, port)
        if not tcp:
            return datagrams, None
        try:
            return datagrams, _listening(datagrams)
        except OSError as error:
            datagrams.close()
            if port or error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, "no port is free for both UDP and TCP")


def open_socket(host: str, port: int) -> socket.socket:
    """A bound UDP socket: dual-stack for "" and "::" where the machine has IPv6.

    host: a numeric address. Raises OSError when the port is taken or the address not ours.
    """
    if host:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )[0]
        return _datagrams(family, address)
    try:
        return _datagrams(socket.AF_INET6, ("::", port))
    except OSError:
        # No IPv6 here. A port that is taken is refused again.
        return _datagrams(socket.AF_INET, ("", port))


def _datagrams(family: int, address: tuple[Any, ...]) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_DGRAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        _bind(bound, address)
    except BaseException:
        bound.close()
        raise
    return bound


def _listening(datagrams: socket.socket) -> socket.socket:
    """Where the UDP socket is. Connections inherit the options set here."""
    listener = socket.socket(datagrams.family, socket.SOCK_STREAM)
    try:
        # A port whose last connections are only being forgotten (TIME_WAIT) is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _STREAM_BUFFER_BYTES)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setblocking(False)
        _bind(listener, datagrams.getsockname())
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _bind(unbound: socket.socket, address: tuple[Any, ...]) -> None:
    if unbound.family == socket.AF_INET6:
        unbound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != "::")
    unbound.bind(address)
