"""The first yardstick: the least that a relay does, one packet after the other."""

from socket import socket

class BareLoop:
    def __init__(self, socket: socket) -> None:
        """socket: a blocking, bound IPv4 UDP socket; kept, not closed."""
    def route(
        self,
        source_port: int,
        destination_port: int,
        profile: str,
        receive_key: bytes,
        send_key: bytes,
    ) -> None:
        """Forward what 127.0.0.1:source_port sends to 127.0.0.1:destination_port."""
    def run(self) -> None:
        """Forward until the process ends or the socket fails; the GIL is free meanwhile."""
