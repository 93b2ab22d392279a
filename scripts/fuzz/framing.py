"""Frames over TCP, however they are cut: each is taken for what it is, and nothing else.

Input: records (records.py); each is what comes at one time on a real connection.
"""

import socket
from collections.abc import Iterator
from typing import Final

from media.relay import Relay
from scripts.fuzz.native import Turns, local_ufrag
from scripts.fuzz.records import records

UFRAG: Final = b"aliceUfr"
# state.pxd: a longer frame ends the connection.
FRAME_MAX: Final = 1500
# So few that no check is one too many (ingress.pyx): 100 in 250 ms go up for one ufrag.
BYTES_MAX: Final = 3500
WINDOW_US: Final = 250_000

_relay: Relay | None = None
_turns: Turns | None = None


def machine() -> tuple[Relay, Turns]:
    """The process's one relay, with a peer that is expected and never proves itself."""
    global _relay, _turns
    if _relay is None or _turns is None:
        _relay = Relay("127.0.0.1", offload=False, tcp=True)
        _turns = Turns(_relay)
        _relay.expect(_relay.add_peer({}, {}, {}), UFRAG.decode())
    return _relay, _turns


def check(data: bytes) -> None:
    relay, turns = machine()
    sent = b""
    heard: list[bytes] = []
    with socket.create_connection(("127.0.0.1", relay.port)) as stranger:
        # What is sent is there at once: nothing waits for more.
        stranger.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        turns.turn_streams(WINDOW_US)
        for _, _, part in records(data):
            part = part[: BYTES_MAX - len(sent)]
            sent += part
            try:
                stranger.sendall(part)
            except OSError:  # it was ended for a frame too long
                break
            heard += taken(relay, turns)
    heard += taken(relay, turns)
    assert heard == [frame for frame in frames(sent) if local_ufrag(frame) == UFRAG]


def taken(relay: Relay, turns: Turns) -> list[bytes]:
    """What came up of all that has come."""
    while turns.turn_streams():
        pass
    return [datagram for _, _, _, datagram in relay.poll(256)]


def frames(stream: bytes) -> Iterator[bytes]:
    """Source: RFC 4571, 2."""
    at = 0
    while at + 2 <= len(stream):
        length = int.from_bytes(stream[at : at + 2], "big")
        if length > FRAME_MAX or at + 2 + length > len(stream):
            return
        yield stream[at + 2 : at + 2 + length]
        at += 2 + length
