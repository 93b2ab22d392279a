"""A browser's transport over TCP: one connection, its frames, and a check that names its peer."""

import select
import socket
import struct
from collections import deque
from itertools import count

from media.relay import STUN, Address, Datagram, Relay
from tests.unit.media.relay.browser import PATIENCE_S, Browser

_UFRAGS = count(1)


def stun_request(username: str) -> bytes:
    """A binding request as far as the relay reads it."""
    value = username.encode()
    attribute = struct.pack("!HH", 6, len(value)) + value + bytes(-len(value) % 4)
    return struct.pack("!HHI12s", 1, len(attribute), 0x2112A442, b"transaction!") + attribute


def frame(packet: bytes) -> bytes:
    """RFC 4571, 2."""
    return struct.pack("!H", len(packet)) + packet


def next_datagram(relay: Relay) -> Datagram:
    while True:
        readable, _, _ = select.select([relay.fileno()], [], [], PATIENCE_S)
        assert readable, "nothing came up"
        datagrams = relay.poll(1)
        if datagrams:
            return datagrams[0]


def connect(relay: Relay, host: str = "127.0.0.1", *, receive_buffer: int = 0) -> socket.socket:
    """receive_buffer: bytes, to have the relay find no room soon; 0: the kernel's default."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    stream = socket.socket(family, socket.SOCK_STREAM)
    if receive_buffer:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream.settimeout(PATIENCE_S)
    stream.connect((host, relay.port))
    return stream


def prove(relay: Relay, peer: int, stream: socket.socket) -> Address:
    """Send a check for the peer; the address it comes up with."""
    ufrag = f"ufrag{next(_UFRAGS):04}"
    relay.expect(peer, ufrag)
    stream.sendall(frame(stun_request(f"{ufrag}:theirs")))
    datagram = next_datagram(relay)
    assert (datagram.kind, datagram.peer) == (STUN, peer)
    assert datagram.address[:2] == stream.getsockname()[:2]
    assert len(datagram.address) == 3, "not a connection's address"
    return datagram.address


class StreamBrowser(Browser):
    """Options as Browser's."""

    receive_buffer = 0

    def _open(self, family: socket.AddressFamily) -> socket.socket:  # noqa: ARG002 - the host's
        self._came = bytearray()
        self._frames: deque[bytes] = deque()
        return connect(self.relay, self.relay_address[0], receive_buffer=self.receive_buffer)

    def _prove(self) -> Address:
        return prove(self.relay, self.peer, self.socket)

    def send_raw(self, datagram: bytes) -> None:
        self.socket.sendall(frame(datagram))

    def read(self) -> bytes:
        while not self._frames:
            came = self.socket.recv(65536)
            if not came:
                raise ConnectionResetError("the relay closed the connection")
            self._came += came
            self._split()
        return self._frames.popleft()

    def _split(self) -> None:
        at = 0
        while len(self._came) - at >= 2:
            (length,) = struct.unpack_from("!H", self._came, at)
            if len(self._came) - at < 2 + length:
                break
            self._frames.append(bytes(self._came[at + 2 : at + 2 + length]))
            at += 2 + length
        del self._came[:at]


class SlowStreamBrowser(StreamBrowser):
    """Has room for little that it has not read."""

    receive_buffer = 4096
