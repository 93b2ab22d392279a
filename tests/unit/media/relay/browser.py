"""A browser's transport without the browser: a UDP socket and two SRTP sessions."""

import os
import socket
import struct
from collections import deque
from collections.abc import Mapping
from typing import Final

from pylibsrtp import Error, Policy, Session

from media.relay import OPUS, VP8, Address, Relay
from tests.unit.media.relay.rtp import Rtp, parse

GCM: Final = "SRTP_AEAD_AES_128_GCM"
PROFILES: Final = {
    GCM: (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28),
    "SRTP_AEAD_AES_256_GCM": (Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 44),
    "SRTP_AES128_CM_SHA1_80": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30),
}

# What the browsers of these tests negotiate unless a test says otherwise.
AUDIO_PT: Final = 111
VIDEO_PT: Final = 96
CODECS: Final = {AUDIO_PT: (OPUS, 1), VIDEO_PT: (VP8, 2)}
RTX: Final = {97: VIDEO_PT}
EXTENSIONS: Final = {"audio_level": 1, "abs_send_time": 2, "twcc": 3, "mid": 4}

VP8_KEY: Final = b"\x10\x00key"
VP8_DELTA: Final = b"\x10\x01delta"

PATIENCE_S: Final = 5.0


class Browser:
    """Connected to the relay from the start: bound, selected, keyed."""

    def __init__(
        self,
        relay: Relay,
        *,
        profile: str = GCM,
        host: str = "127.0.0.1",
        codecs: Mapping[int, tuple[int, int]] = CODECS,
        rtx: Mapping[int, int] = RTX,
        extensions: Mapping[str, int] = EXTENSIONS,
    ) -> None:
        self.relay = relay
        self.relay_address = (host, relay.port)
        self.rtp: deque[Rtp] = deque()
        self.rtcp: deque[bytes] = deque()
        self.peer = relay.add_peer(codecs, rtx, extensions)
        self.socket = self._open(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.socket.settimeout(PATIENCE_S)
        self.address = self._prove()
        self.profile = profile
        number, length = PROFILES[profile]
        self.send_key = os.urandom(length)
        self.receive_key = os.urandom(length)
        self.sending = Session(_policy(self.send_key, number, inbound=False))
        self.receiving = Session(_policy(self.receive_key, number, inbound=True))
        relay.bind(self.peer, self.address)
        relay.select(self.peer, self.address)
        relay.set_keys(self.peer, profile, self.send_key, self.receive_key)

    def _open(self, family: socket.AddressFamily) -> socket.socket:
        opened = socket.socket(family, socket.SOCK_DGRAM)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        opened.bind((self.relay_address[0], 0))
        return opened

    def _prove(self) -> Address:
        """Where the relay hears this browser from: all that a test needs of ICE."""
        host, port = self.socket.getsockname()[:2]
        return host, port

    def close(self) -> None:
        self.socket.close()

    def send(self, packet: Rtp) -> bytes:
        """Returns the datagram, for sending it again."""
        datagram = self.sending.protect(packet.pack())
        self.send_raw(datagram)
        return datagram

    def send_rtcp(self, packet: bytes) -> None:
        self.send_raw(self.sending.protect_rtcp(packet))

    def send_raw(self, datagram: bytes) -> None:
        self.socket.sendto(datagram, self.relay_address)

    def receive(self) -> Rtp:
        """The next media packet; RTCP that comes before it is kept."""
        while not self.rtp:
            self._take()
        return self.rtp.popleft()

    def receive_many(self, count: int) -> list[Rtp]:
        return [self.receive() for _ in range(count)]

    def receive_rtcp(self) -> bytes:
        while not self.rtcp:
            self._take()
        return self.rtcp.popleft()

    def receive_rtcp_of(self, kind: int, form: int | None = None) -> bytes:
        """The next RTCP packet of this payload type (and FMT, or count)."""
        while True:
            packet = self.receive_rtcp()
            if packet[1] == kind and form in (None, packet[0] & 31):
                return packet

    def drain(self) -> None:
        """Take whatever has already arrived."""
        self.socket.setblocking(False)
        try:
            while True:
                self._take()
        except BlockingIOError:
            pass
        finally:
            self.socket.settimeout(PATIENCE_S)

    def read(self) -> bytes:
        """The next packet as it came."""
        return self.socket.recv(2048)

    def _take(self) -> None:
        datagram = self.read()
        if 192 <= datagram[1] <= 223:
            self.rtcp.append(self.receiving.unprotect_rtcp(datagram))
        else:
            self.rtp.append(parse(self.receiving.unprotect(datagram)))


def _policy(key: bytes, profile: int, *, inbound: bool) -> Policy:
    direction = Policy.SSRC_ANY_INBOUND if inbound else Policy.SSRC_ANY_OUTBOUND
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=profile)
    policy.window_size = 1024
    return policy


def receiver_report(
    ssrc: int, about: int, *, fraction: int = 0, last_report: int = 0, delay: int = 0
) -> bytes:
    """One report block. delay: in 1/65536 s."""
    block = struct.pack("!IBBHIIII", about, fraction, 0, 0, 0, 0, last_report, delay)
    return struct.pack("!BBHI", 0x81, 201, 7, ssrc) + block


def sender_report(ssrc: int, ntp: int, timestamp: int) -> bytes:
    return struct.pack("!BBHIQIII", 0x80, 200, 6, ssrc, ntp, timestamp, 7, 700)


def pli(ssrc: int, about: int) -> bytes:
    return struct.pack("!BBHII", 0x81, 206, 2, ssrc, about)


def nack(ssrc: int, about: int, *items: tuple[int, int]) -> bytes:
    """items: a number and the mask of the 16 after it."""
    body = b"".join(struct.pack("!HH", number & 0xFFFF, mask) for number, mask in items)
    return struct.pack("!BBHII", 0x81, 205, 2 + len(items), ssrc, about) + body


def nacked(packet: bytes) -> tuple[int, list[int]]:
    """The media SSRC and the numbers that one generic NACK asks for."""
    first, kind, words, _, about = struct.unpack_from("!BBHII", packet)
    assert (first, kind) == (0x81, 205), "not one generic NACK"
    assert len(packet) == 4 * (words + 1)
    numbers = []
    for at in range(12, len(packet), 4):
        number, mask = struct.unpack_from("!HH", packet, at)
        numbers.append(number)
        numbers += [(number + 1 + bit) & 0xFFFF for bit in range(16) if mask >> bit & 1]
    return about, numbers


def fir(ssrc: int, about: int, number: int) -> bytes:
    return struct.pack("!BBHIIIB3x", 0x84, 206, 4, ssrc, 0, about, number)


__all__ = [
    "AUDIO_PT",
    "CODECS",
    "EXTENSIONS",
    "GCM",
    "PROFILES",
    "RTX",
    "VIDEO_PT",
    "VP8_DELTA",
    "VP8_KEY",
    "Browser",
    "Error",
    "fir",
    "nack",
    "nacked",
    "pli",
    "receiver_report",
    "sender_report",
]
