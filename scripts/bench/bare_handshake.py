"""The yardstick of connecting: an ICE check answered, a DTLS handshake, SRTP keys, no more.

As a process, `python -m scripts.bench.bare_handshake`: it prints its port, its password and its
fingerprint as a line of JSON, and serves until its standard input closes. aioice's STUN and
OpenSSL, as Plumm and aiortc use them, on one socket that looks at nothing else.
"""

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aioice import stun
from OpenSSL import SSL

from scripts.bench.cores import SERVER_CORE, on_core
from scripts.client.offer import Answer
from scripts.client.transport import Transport, dtls_context

_UFRAG: Final = "bare"
_MTU: Final = 1200

Address = tuple[str, int]


class BareHandshake:
    """Answers whoever has the password; handshakes by address."""

    def __init__(self, sock: socket.socket, password: str) -> None:
        self._socket = sock
        self._key = password.encode()
        self._connections: dict[Address, SSL.Connection] = {}

    def serve(self) -> None:
        while True:
            data, address = self._socket.recvfrom(2048)
            if data[0] < 4:
                self._check(data, address)
            elif 20 <= data[0] <= 63:
                self._step(data, address)

    def _check(self, data: bytes, address: Address) -> None:
        request = stun.parse_message(data)
        if not request.check_message_integrity(self._key):
            return
        response = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
        )
        response.attributes["XOR-MAPPED-ADDRESS"] = address
        response.add_message_integrity(self._key)
        self._socket.sendto(bytes(response), address)

    def _step(self, data: bytes, address: Address) -> None:
        connection = self._connections.get(address)
        if connection is None:
            connection = self._connections[address] = SSL.Connection(dtls_context(), None)
            connection.set_accept_state()
            connection.set_ciphertext_mtu(_MTU)
        connection.bio_write(data)
        try:
            connection.do_handshake()
        except SSL.WantReadError:
            done = False
        else:
            done = True
        while True:
            try:
                self._socket.sendto(connection.bio_read(_MTU), address)
            except SSL.WantReadError:
                break
        if done:
            connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 56)
            del self._connections[address]


@contextmanager
def running_bare_handshake() -> Iterator[tuple[int, Answer]]:
    """Its PID, and what an answer of it would say; on the server's core, ended afterwards."""
    with on_core(SERVER_CORE):
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.bench.bare_handshake"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    try:
        assert process.stdout is not None
        port, password, fingerprint = json.loads(process.stdout.readline())
        yield process.pid, Answer(("127.0.0.1", port), _UFRAG, password, fingerprint, sections={})
    finally:
        process.kill()
        process.wait()


def main() -> None:
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    password = secrets.token_hex(12)
    hello = sock.getsockname()[1], password, Transport().ours.fingerprint
    print(json.dumps(hello), flush=True)
    BareHandshake(sock, password).serve()


if __name__ == "__main__":
    main()
