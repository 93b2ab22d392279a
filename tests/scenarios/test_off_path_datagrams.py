"""Somebody who knows the media port, but no ICE password, can neither hinder nor be answered."""

import random
import secrets
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from aioice import stun

from scripts.client.peer import Peer
from tests.support.server import Server

PACKETS_PER_SECOND = 500
# Bounds the attack whatever becomes of the test.
MOST_PACKETS = 60_000

# A fatal alert, handshake_failure, in a plaintext DTLS 1.2 record of epoch 0 (RFC 6347, 4.1).
_ALERT = bytes([21, 254, 253]) + bytes(8) + bytes([0, 2, 2, 40])
# A ClientHello's record header and enough of a body to be parsed (RFC 6347, 4.3.2).
_HELLO_BODY = bytes([1, 0, 0, 70, 0, 0, 0, 0, 0, 0, 0, 70, 254, 253]) + bytes(68)


def _alert() -> bytes:
    return _ALERT


def _client_hello() -> bytes:
    sequence = secrets.token_bytes(6)
    return bytes([22, 254, 253, 0, 0]) + sequence + struct.pack("!H", 82) + _HELLO_BODY


def _rtp() -> bytes:
    return bytes([128, 96]) + secrets.token_bytes(random.randint(10, 1100))


@contextmanager
def attack(port: int) -> Iterator[Callable[[], int]]:
    """Send forged datagrams from a port of its own; yields how many have been sent."""
    over = threading.Event()
    sent = 0

    def send() -> None:
        nonlocal sent
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
            forger.connect(("127.0.0.1", port))
            while sent < MOST_PACKETS and not over.wait(10 / PACKETS_PER_SECOND):
                for _ in range(10):
                    forger.send(random.choice((_alert, _client_hello, _rtp))())
                    sent += 1

    attacker = threading.Thread(target=send)
    attacker.start()
    try:
        yield lambda: sent
    finally:
        over.set()
        attacker.join()


async def test_100_of_100_handshakes_succeed_under_500_forged_packets_a_second(
    server: Server,
) -> None:
    # A link may be asked for a join token twenty times at once.
    links = [server.demo().client_url for _ in range(10)]
    succeeded = 0
    with attack(server.media_port) as sent:
        for link in links * 10:
            peer = Peer(link)
            await peer.join()
            await peer.connect()
            await peer.close()
            succeeded += 1
        assert sent() > 100, "the attack did not take place"
    assert succeeded == 100
    assert server.metric("plumm_relay_dropped_unbound_total") > 100


@pytest.mark.parametrize("username", [None, "nobody:here", "KNOWN:stranger"])
async def test_a_check_without_the_password_gets_no_reply(
    server: Server, username: str | None
) -> None:
    session = server.demo()
    known, later = Peer(session.client_url), Peer(session.therapist_url)
    await known.join()
    await known.connect()
    assert known.answer is not None
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    if username is not None:
        request.attributes["USERNAME"] = username.replace("KNOWN", known.answer.ufrag)
        request.attributes["PRIORITY"] = 1
        request.add_message_integrity(b"not the password at all.")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.setblocking(False)
        stranger.connect(("127.0.0.1", server.media_port))
        stranger.send(bytes(request))
        # The server answers in order: once a later connection stands, this one was judged.
        await later.join()
        await later.connect()
        with pytest.raises(BlockingIOError):
            stranger.recv(2048)
    await known.close()
    await later.close()
