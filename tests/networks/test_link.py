"""The impaired link is what it says in the kernel's own sockets, too."""

import os
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.impairment import Impairment
from tests.support.link_process import namespaces
from tests.support.network import Namespace, Network

PORT = 5000


@pytest.fixture
def network() -> Iterator[Network]:
    with Network(clients=2) as made:
        yield made


def udp_socket(namespace: Namespace) -> socket.socket:
    made = namespace.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    made.settimeout(1)
    return made


@pytest.fixture
def server_socket(network: Network) -> Iterator[socket.socket]:
    with udp_socket(network.server) as made:
        made.bind((network.server.address, PORT))
        yield made


@pytest.fixture
def client_socket(network: Network) -> Iterator[socket.socket]:
    with udp_socket(network.client(1).namespace) as made:
        made.connect((network.server.address, PORT))
        yield made


def silent(receive: Callable[[int], bytes]) -> bool:
    try:
        receive(64)
    except TimeoutError:
        return True
    return False


def test_it_delays_by_what_it_is_told_and_carries_2000_packets_a_second(
    network: Network, client_socket: socket.socket, server_socket: socket.socket
) -> None:
    network.client(1).become(up=Impairment(delay_ms=20))
    delays_ms = []
    for tick in range(100):
        for _ in range(20):
            client_socket.send(struct.pack("!d", time.monotonic()) + bytes(1000))
        next_at = time.monotonic() + 0.01
        server_socket.settimeout(0.5 if tick == 99 else 0.001)
        while time.monotonic() < next_at or tick == 99:
            try:
                data = server_socket.recv(2000)
            except TimeoutError:
                if tick == 99:
                    break
                continue
            delays_ms.append((time.monotonic() - struct.unpack_from("!d", data)[0]) * 1000)
    assert len(delays_ms) == 2000
    assert min(delays_ms) >= 20
    # Wide: both ends of this measurement are one Python thread on a machine that others use.
    assert statistics.median(delays_ms) < 30


def test_each_direction_and_each_client_is_impaired_by_itself(
    network: Network, client_socket: socket.socket, server_socket: socket.socket
) -> None:
    network.client(1).become(down=Impairment(blackout=True))
    client_socket.send(b"up")
    data, source = server_socket.recvfrom(64)
    assert data == b"up"
    assert source[0] == network.client(1).namespace.address
    server_socket.sendto(b"down", source)
    assert silent(client_socket.recv)
    with udp_socket(network.client(2).namespace) as other:
        other.sendto(b"other", (network.server.address, PORT))
        data, source = server_socket.recvfrom(64)
        server_socket.sendto(b"back", source)
        assert other.recv(64) == b"back"
    carried = network.client(1).state
    assert (carried.up.lost, carried.down.lost) == (0, 1)


def test_a_client_that_moves_loses_its_sockets_and_opens_others(
    network: Network, client_socket: socket.socket, server_socket: socket.socket
) -> None:
    client = network.client(1)
    client_socket.send(b"before")
    before = server_socket.recvfrom(64)[1]
    client.move()
    with pytest.raises(OSError, match=r"Invalid argument|unreachable"):
        client_socket.send(b"lost")
    with udp_socket(client.namespace) as anew:
        anew.sendto(b"after", (network.server.address, PORT))
        after = server_socket.recvfrom(64)[1]
        assert after[0] == client.namespace.address != before[0]
        server_socket.sendto(b"back", after)
        assert anew.recv(64) == b"back"


def test_a_rebound_client_comes_from_another_port_and_is_lost_at_the_old_one(
    network: Network, client_socket: socket.socket, server_socket: socket.socket
) -> None:
    client_socket.send(b"before")
    before = server_socket.recvfrom(64)[1]
    network.client(1).rebind()
    server_socket.sendto(b"late", before)
    assert silent(client_socket.recv)
    client_socket.send(b"after")
    after = server_socket.recvfrom(64)[1]
    assert after != before
    server_socket.sendto(b"back", after)
    assert client_socket.recv(64) == b"back"


def test_a_client_whose_line_fails_over_is_seen_elsewhere_and_its_connections_are_dead(
    network: Network,
) -> None:
    client = network.client(1)
    listener = network.server.call(lambda: socket.create_server((network.server.address, PORT)))

    def connect() -> tuple[socket.socket, socket.socket, str]:
        made = client.namespace.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        made.settimeout(5)
        made.connect((network.server.address, PORT))
        accepted, source = listener.accept()
        return made, accepted, source[0]

    with listener:
        before, accepted, seen_at = connect()
        with before, accepted:
            assert seen_at == client.namespace.address
            client.fail_over()
            before.send(b"lost")
            with pytest.raises(ConnectionResetError):
                before.recv(1)
        anew, accepted, elsewhere = connect()
        with anew, accepted:
            assert elsewhere != seen_at
            anew.send(b"after")
            assert accepted.recv(64) == b"after"
            accepted.send(b"back")
            assert anew.recv(64) == b"back"


def mine(owner: int) -> list[str]:
    return [name for name in namespaces() if name.startswith(f"plumm-{owner}-")]


def test_nothing_is_left_after_a_test() -> None:
    with Network() as network:
        assert network.server.name in mine(os.getpid())
    assert network.server.name not in mine(os.getpid())


_KILLED_IN_THE_MIDDLE = """
import os, signal
from tests.support.network import Network
with Network() as network:
    print(network.name, flush=True)
    {crash}
"""


@pytest.mark.parametrize(
    "crash",
    [
        pytest.param("os.kill(os.getpid(), signal.SIGKILL)", id="the test was killed"),
        pytest.param(
            "os.kill(network._process.pid, signal.SIGKILL); os.kill(os.getpid(), signal.SIGKILL)",
            id="and the link's process with it",
        ),
    ],
)
def test_what_a_killed_run_left_is_gone_at_the_next_start(crash: str) -> None:
    words = [sys.executable, "-c", _KILLED_IN_THE_MIDDLE.format(crash=crash)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
    name = done.stdout.strip()
    assert name.startswith("plumm-"), done.stderr
    with Network():
        deadline = time.monotonic() + 5
        while any(left.startswith(name) for left in namespaces()):
            assert time.monotonic() < deadline, namespaces()
            time.sleep(0.02)


def test_loss_is_drawn_anew_for_each_packet(
    network: Network, client_socket: socket.socket, server_socket: socket.socket
) -> None:
    network.client(1).become(up=Impairment(loss=0.5))
    for number in range(200):
        client_socket.send(bytes([number]))
    assert not silent(server_socket.recv)
    deadline = time.monotonic() + 5
    while network.client(1).state.up.lost <= 60:  # they are still on their way
        assert time.monotonic() < deadline, network.client(1).state
        time.sleep(0.02)
    assert network.client(1).state.up.lost < 140
