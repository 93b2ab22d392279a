"""What a bad link does to packets. Pure: packets and the time go in, packets that are due come out.

Times are seconds of the monotonic clock.
"""

import heapq
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import count
from random import Random
from typing import Final

_TCP: Final = 6
_UDP: Final = 17
_IPV4: Final = 4
# Where an IPv4 header has them.
_SOURCE: Final = 12
_DESTINATION: Final = 16


@dataclass(frozen=True, slots=True)
class Impairment:
    """One direction of a link. The default passes everything on at once."""

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    """Uniform, this much less or more than the delay."""
    loss: float = 0.0
    """0..1, of each packet by itself."""
    burst_every_s: float = 0.0
    """Nothing passes for the last `burst_s` of every such span; 0: never."""
    burst_s: float = 0.0
    blackout: bool = False
    udp: bool = True
    """False: a firewall drops every datagram, and says nothing."""
    rate_kbit: float = 0.0
    """0: unlimited."""
    queue_ms: float = 200.0
    """What waits longer than this for the rate is dropped."""
    ordered: bool = True
    """Jitter delays what comes behind, and overtakes nothing."""


class Path:
    """One direction: keeps each packet until it is due, or loses it."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._impairment = Impairment()
        self._since = 0.0
        self._free_at = 0.0
        self._last_due = 0.0
        self._order = count()
        self._waiting: list[tuple[float, int, bytes]] = []
        self.taken = 0
        self.lost = 0

    def become(self, impairment: Impairment, now: float) -> None:
        """From now on; packets that are under way arrive as they would have."""
        self._impairment = impairment
        self._since = now
        self._free_at = now

    @property
    def next_due(self) -> float | None:
        return self._waiting[0][0] if self._waiting else None

    def take(self, packet: bytes, now: float) -> None:
        """A packet enters the link."""
        self.taken += 1
        due = None if self._loses(packet, now) else self._passes_queue(len(packet), now)
        if due is None:
            self.lost += 1
            return
        link = self._impairment
        due += max(0.0, link.delay_ms + link.jitter_ms * self._random.uniform(-1, 1)) / 1000
        if link.ordered:
            due = self._last_due = max(due, self._last_due)
        heapq.heappush(self._waiting, (due, next(self._order), packet))

    def due(self, now: float) -> Iterator[bytes]:
        """The packets that leave the link by now, in their order."""
        while self._waiting and self._waiting[0][0] <= now:
            yield heapq.heappop(self._waiting)[2]

    def _loses(self, packet: bytes, now: float) -> bool:
        link = self._impairment
        if link.blackout or not (link.udp or _udp_header(packet) is None):
            return True
        if self._random.random() < link.loss:
            return True
        if not link.burst_every_s:
            return False
        return (now - self._since) % link.burst_every_s >= link.burst_every_s - link.burst_s

    def _passes_queue(self, size: int, now: float) -> float | None:
        """When the packet has been put on the wire; None where the queue is full."""
        link = self._impairment
        if not link.rate_kbit:
            return now
        done = max(now, self._free_at) + size * 8 / (link.rate_kbit * 1000)
        if done - now > link.queue_ms / 1000:
            return None
        self._free_at = done
        return done


class Nat:
    """Gives a client's UDP ports other numbers, and the client another address once it is told to.

    Others again after a rebinding, as of a NAT whose mapping was lost: what is still sent to an old
    number, or to an old address, goes nowhere. The numbers are there from the start, because to ICE
    a pair behind a NAT is worth less than one without.
    """

    # Changes 5 bits of a port: any other number is as good.
    _STEP: Final = 0x0155

    def __init__(self) -> None:
        self._mask = self._STEP
        self._open: set[int] = set()
        self._outside: bytes | None = None
        self._inside = b""

    def rebind(self, outside: str | None = None) -> None:
        """outside: the address that the client is seen at from now on, whatever its own."""
        self._mask = (self._mask + self._STEP) & 0x0FFF
        self._open.clear()
        if outside is not None:
            self._outside = IPv4Address(outside).packed

    def upward(self, packet: bytes) -> bytes:
        """An IPv4 packet from the client."""
        if self._outside is not None:
            self._inside = packet[_SOURCE : _SOURCE + 4]
            packet = _readdressed(packet, _SOURCE, self._outside)
        at = _udp_header(packet)
        if at is None:
            return packet
        (port,) = struct.unpack_from("!H", packet, at)
        self._open.add(port ^ self._mask)
        return self._renumbered(packet, at, at, port ^ self._mask)

    def downward(self, packet: bytes) -> bytes | None:
        """An IPv4 packet to the client; None where nothing is mapped to its port or address."""
        if self._outside is not None:
            if packet[_DESTINATION : _DESTINATION + 4] != self._outside or not self._inside:
                return None
            packet = _readdressed(packet, _DESTINATION, self._inside)
        at = _udp_header(packet)
        if at is None:
            return packet
        (port,) = struct.unpack_from("!H", packet, at + 2)
        if port not in self._open:
            return None
        return self._renumbered(packet, at, at + 2, port ^ self._mask)

    @staticmethod
    def _renumbered(packet: bytes, udp_at: int, port_at: int, port: int) -> bytes:
        changed = bytearray(packet)
        struct.pack_into("!H", changed, port_at, port)
        # 0: not computed, as UDP over IPv4 may have it (RFC 768).
        struct.pack_into("!H", changed, udp_at + 6, 0)
        return bytes(changed)


def _readdressed(packet: bytes, at: int, address: bytes) -> bytes:
    """An IPv4 packet with another address at `at`, and checksums of IP and TCP that fit."""
    changed = bytearray(packet)
    before, changed[at : at + 4] = packet[at : at + 4], address
    sums = [10]  # where they are
    if packet[9] == _TCP:
        sums.append((packet[0] & 0x0F) * 4 + 16)
    for sum_at in sums:
        # RFC 1624, equation 3
        (total,) = struct.unpack_from("!H", packet, sum_at)
        total = 0xFFFF & ~total
        for old, new in zip(
            struct.unpack("!HH", before), struct.unpack("!HH", address), strict=True
        ):
            total += (0xFFFF & ~old) + new
        while total > 0xFFFF:
            total = (total & 0xFFFF) + (total >> 16)
        struct.pack_into("!H", changed, sum_at, 0xFFFF & ~total)
    return bytes(changed)


def _udp_header(packet: bytes) -> int | None:
    """Where the UDP header of an IPv4 packet begins; None for other protocols."""
    if packet[0] >> 4 != _IPV4 or packet[9] != _UDP:
        return None
    return (packet[0] & 0x0F) * 4
