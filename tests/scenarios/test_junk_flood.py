"""Ten thousand datagrams of junk a second at the media port, and a call that does not notice."""

import asyncio
import os
import random
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aioice import stun

from scripts.bench.cores import resident_mib
from scripts.client.peer import Peer
from scripts.pump import Pump
from tests.support.server import Server

PACKETS_PER_SECOND = 10_000
SECONDS = 10
MOST_DELAY_US = 20_000
MOST_GROWTH_MIB = 32


def _check(chance: random.Random, username: str) -> bytes:
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, chance.randbytes(12))
    request.attributes["USERNAME"] = username
    request.attributes["PRIORITY"] = 1
    request.add_message_integrity(b"not the password at all.")
    return bytes(request)


def junk(known_ufrag: str) -> Sequence[bytes]:
    """Some of every kind: noise, checks, DTLS, SRTP and SRTCP, whole and cut off."""
    chance = random.Random(1)
    made = []
    for _ in range(100):
        whole = [
            chance.randbytes(chance.randint(1, 1400)),
            _check(chance, f"{chance.randbytes(4).hex()}:stranger"),
            _check(chance, f"{known_ufrag}:stranger"),
            bytes([chance.randint(20, 63), 0xFE, 0xFD]) + chance.randbytes(200),
            bytes([0x90, 96]) + chance.randbytes(1100),
            bytes([0x81, chance.randint(200, 207)]) + chance.randbytes(60),
        ]
        made += whole + [datagram[: chance.randint(0, 30)] for datagram in whole]
    return made


class Flood:
    """Sent from ports that no peer proved to be its own."""

    def __init__(self, port: int, datagrams: Sequence[bytes]) -> None:
        self.sent = 0
        self.answers = 0
        self._over = threading.Event()
        self._datagrams = datagrams
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
        for each in self._sockets:
            each.connect(("127.0.0.1", port))
            each.setblocking(False)
        self._thread = threading.Thread(target=self._run)

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join()
            for each in self._sockets:
                self.answers += self._answers(each)
                each.close()

    def _run(self) -> None:
        start = time.monotonic()
        while self.sent < SECONDS * PACKETS_PER_SECOND and not self._over.wait(0.005):
            due = int((time.monotonic() - start) * PACKETS_PER_SECOND)
            while self.sent < min(due, SECONDS * PACKETS_PER_SECOND):
                datagram = self._datagrams[self.sent % len(self._datagrams)]
                self._sockets[self.sent % len(self._sockets)].send(datagram)
                self.sent += 1

    @staticmethod
    def _answers(from_port: socket.socket) -> int:
        count = 0
        try:
            while from_port.recv(2048):
                count += 1
        except BlockingIOError:
            return count
        return count


async def test_a_call_goes_on_under_ten_thousand_junk_packets_a_second(server: Server) -> None:
    session = server.demo()
    pair = [Peer(session.therapist_url), Peer(session.client_url)]
    pump = Pump()
    try:
        for peer in pair:
            await peer.join()
            await peer.connect()
        await asyncio.gather(*(peer.receives(2) for peer in pair))
        for peer in pair:
            peer.send_by(pump)
        assert pair[0].answer is not None
        assert server.process is not None
        flood = Flood(server.media_port, junk(pair[0].answer.ufrag))
        pump.start()
        await asyncio.sleep(2)  # its caches fill: what a call takes is not the flood's
        memory, before = resident_mib(server.process.pid), pump.figures()
        with flood.running():
            await asyncio.sleep(SECONDS)
        period = pump.figures().since(before)
        growth = resident_mib(server.process.pid) - memory
        await asyncio.to_thread(pump.stop)
    finally:
        pump.stop()
        for peer in pair:
            await peer.close()
    delay = period.delay_us(99)
    figures = f"p99 {delay} us, {growth:.1f} MiB, {flood.sent} sent, load {os.getloadavg()[0]:.1f}"
    assert flood.sent > 0.8 * SECONDS * PACKETS_PER_SECOND, figures
    assert server.metric("plumm_relay_dropped_unbound_total") > flood.sent / 10, figures
    assert flood.answers == 0, figures
    assert period.loss() < 0.01, figures
    assert delay is not None, figures
    assert delay <= MOST_DELAY_US, figures
    assert growth <= MOST_GROWTH_MIB, figures
