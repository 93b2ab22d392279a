"""The link that tests measure on does what it says, on a clock of the tests' own."""

import itertools
import struct
from ipaddress import IPv4Address

import pytest

from tests.support.impairment import Impairment, Nat, Path

PACKET = bytes(1000)


def arrivals(
    impairment: Impairment, sent_at: list[float], packet: bytes = PACKET
) -> list[tuple[int, float]]:
    """Which of the packets arrive, and when, in the order in which they do; times in ms."""
    path = Path(seed=1)
    path.become(impairment, 0.0)
    for number, at in enumerate(sent_at):
        path.take(struct.pack("!I", number) + packet[4:], at)
    seen = []
    while (due := path.next_due) is not None:
        for arrived in path.due(due):
            seen.append((struct.unpack_from("!I", arrived)[0], due * 1000))
    return seen


def test_a_plain_link_delays_nothing() -> None:
    assert arrivals(Impairment(), [0.0, 0.5]) == [(0, 0.0), (1, 500.0)]


def test_delay_and_jitter_stay_within_their_bounds_and_in_order() -> None:
    sent = [n / 1000 for n in range(1000)]
    seen = arrivals(Impairment(delay_ms=50, jitter_ms=5), sent)
    assert [number for number, _ in seen] == list(range(1000))
    delays = [at - sent[number] * 1000 for number, at in seen]
    assert 45 <= min(delays) < 49
    assert 51 < max(delays) <= 55.001


def test_jitter_overtakes_where_order_is_not_kept() -> None:
    seen = arrivals(
        Impairment(delay_ms=50, jitter_ms=5, ordered=False), [n / 1000 for n in range(100)]
    )
    assert [number for number, _ in seen] != list(range(100))
    assert sorted(number for number, _ in seen) == list(range(100))


@pytest.mark.parametrize("loss", [0.05, 0.1])
def test_loss_is_what_it_says(loss: float) -> None:
    arrived = len(arrivals(Impairment(loss=loss), [0.0] * 10_000))
    assert 1 - arrived / 10_000 == pytest.approx(loss, rel=0.1)


def test_bursts_take_everything_for_a_while_at_the_end_of_each_span() -> None:
    sent = [(n + 0.5) / 100 for n in range(1000)]
    seen = arrivals(Impairment(burst_every_s=5, burst_s=0.3), sent)
    missing = sorted(set(range(1000)) - {number for number, _ in seen})
    assert missing == [*range(470, 500), *range(970, 1000)]


def test_a_blackout_takes_everything() -> None:
    assert arrivals(Impairment(blackout=True), [0.0, 1.0]) == []


def test_the_rate_spaces_packets_and_its_queue_is_bounded() -> None:
    # 1,000 bytes at 80 kbit/s take 100 ms.
    seen = arrivals(Impairment(rate_kbit=80, queue_ms=250), [0.0] * 5)
    assert [(number, round(at)) for number, at in seen] == [(0, 100), (1, 200)]


def test_a_change_leaves_what_is_under_way_alone() -> None:
    path = Path(seed=1)
    path.become(Impairment(delay_ms=50), 0.0)
    path.take(b"before", 0.0)
    path.become(Impairment(blackout=True), 0.01)
    path.take(b"after", 0.02)
    assert list(path.due(0.1)) == [b"before"]
    assert (path.taken, path.lost) == (2, 1)


def udp(source: int, destination: int) -> bytes:
    address = struct.pack("!BBHHHBBHII", 0x45, 0, 32, 0, 0, 64, 17, 0, 1, 2)
    return address + struct.pack("!HHHH", source, destination, 12, 0xBEEF) + b"data"


def ports(packet: bytes | None) -> tuple[int, int]:
    assert packet is not None
    source, destination = struct.unpack_from("!HH", packet, 20)
    return source, destination


def test_a_client_behind_a_nat_has_another_port_and_is_reached_there_alone() -> None:
    nat = Nat()
    outside = [40_000]
    for _ in range(3):
        assert nat.downward(udp(8081, outside[-1])) is None
        source, destination = ports(nat.upward(udp(40_000, 8081)))
        assert destination == 8081
        outside.append(source)
        assert ports(nat.downward(udp(8081, source))) == (8081, 40_000)
        nat.rebind()
    assert all(before != after for before, after in itertools.pairwise(outside))


def addresses(packet: bytes | None) -> tuple[str, str]:
    assert packet is not None
    return str(IPv4Address(packet[12:16])), str(IPv4Address(packet[16:20]))


def test_a_client_whose_nat_fails_over_is_seen_and_reached_at_the_other_address_alone() -> None:
    nat = Nat()
    nat.upward(udp(40_000, 8081))
    assert addresses(nat.upward(udp(40_000, 8081))) == ("0.0.0.1", "0.0.0.2")
    nat.rebind("10.0.0.9")
    reply = bytearray(udp(8081, ports(nat.upward(udp(40_000, 8081)))[0]))
    assert addresses(nat.upward(udp(40_000, 8081))) == ("10.0.0.9", "0.0.0.2")
    assert nat.downward(bytes(reply)) is None
    reply[16:20] = IPv4Address("10.0.0.9").packed
    assert addresses(nat.downward(bytes(reply))) == ("0.0.0.1", "0.0.0.1")


def total(data: bytes) -> int:
    """The ones' complement sum of 16-bit words (RFC 1071); 0xFFFF where its checksum fits."""
    words: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while words > 0xFFFF:
        words = (words & 0xFFFF) + (words >> 16)
    return words


def test_checksums_fit_the_other_address() -> None:
    segment = struct.pack("!HHIIBBHHH", 40_000, 80, 1, 2, 0x50, 2, 500, 0, 0)
    header = struct.pack("!BBHHHBBHII", 0x45, 0, 40, 0, 0, 64, 6, 0, 0x0A4D0102, 0x0A4D0001)
    for packed, at in ((header, 10), (segment, 16)):
        pseudo = header[12:20] + struct.pack("!HH", 6, len(segment)) if packed is segment else b""
        summed = bytearray(packed)
        struct.pack_into("!H", summed, at, 0xFFFF & ~total(pseudo + packed))
        header, segment = (bytes(summed), segment) if at == 10 else (header, bytes(summed))
    nat = Nat()
    nat.rebind("192.168.200.201")
    seen = nat.upward(header + segment)
    assert seen[12:16] == IPv4Address("192.168.200.201").packed
    assert total(seen[:20]) == 0xFFFF
    assert total(seen[12:20] + struct.pack("!HH", 6, 20) + seen[20:]) == 0xFFFF


def test_a_nat_does_not_touch_tcp() -> None:
    nat = Nat()
    segment = udp(1, 2)[:9] + b"\x06" + udp(1, 2)[10:]
    assert nat.upward(segment) == segment
    assert nat.downward(segment) == segment


@pytest.mark.parametrize(("protocol", "arrives"), [(6, True), (17, False)])
def test_a_firewall_drops_datagrams_and_lets_connections_through(
    protocol: int, arrives: bool
) -> None:
    path = Path(seed=1)
    path.become(Impairment(udp=False), 0.0)
    packet = bytes([0x45, *bytes(8), protocol, *bytes(30)])
    path.take(packet, 0.0)
    assert list(path.due(0.0)) == [packet] * arrives
