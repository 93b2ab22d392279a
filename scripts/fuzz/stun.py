"""STUN: the ufrag that the relay reads, and what ICE makes of the whole check.

Input: a datagram. Most of them end at the missing signature, so that one is also made of
each: a byte of flags, 12 of the transaction id, then attributes.
"""

import hashlib
import hmac
import struct
import zlib
from typing import Final

from aioice import stun

from media.ice_lite import Credentials, IceLite
from scripts.fuzz.native import local_ufrag

OURS: Final = Credentials("serverUf", "passwordOfTheServer24ch0")
THEIRS: Final = "clientUf"
ADDRESS: Final = ("127.0.0.1", 40001)
# As stun.pxd: larger ones are nobody's.
REQUEST_MAX: Final = 548

WITH_USERNAME: Final = 1
WITH_FINGERPRINT: Final = 2


def check(data: bytes) -> None:
    judge(data)
    if len(data) >= 13:
        judge(signed(data[0], data[1:13], data[13:]))


def judge(datagram: bytes) -> None:
    ufrag = local_ufrag(datagram)
    agent = IceLite(OURS, THEIRS)
    verdict = agent.receive(datagram, ADDRESS, 1.0)
    if verdict is None:
        return
    assert agent.selected == ADDRESS
    assert len(datagram) > REQUEST_MAX or ufrag == OURS.ufrag.encode(), "the relay drops it"
    reply = stun.parse_message(verdict.reply)
    assert reply.check_message_integrity(OURS.pwd.encode())
    assert reply.attributes["XOR-MAPPED-ADDRESS"] == ADDRESS
    assert len(verdict.reply) <= len(datagram), "whoever forges an address is amplified"


def signed(flags: int, transaction_id: bytes, attributes: bytes) -> bytes:
    """A binding request as the other side would sign it.  Source: RFC 8489, 14.5, 14.7."""
    body = attributes + bytes(-len(attributes) % 4)
    if flags & WITH_USERNAME:
        name = f"{OURS.ufrag}:{THEIRS}".encode()
        body = struct.pack("!HH", 0x0006, len(name)) + name + bytes(-len(name) % 4) + body
    body = body[: 0xFFFC - 32]

    def header(length: int) -> bytes:
        return struct.pack("!HHI", 0x0001, length, 0x2112A442) + transaction_id

    digest = hmac.digest(OURS.pwd.encode(), header(len(body) + 24) + body, hashlib.sha1)
    body += struct.pack("!HH", 0x0008, 20) + digest
    if flags & WITH_FINGERPRINT:
        crc = zlib.crc32(header(len(body) + 8) + body) ^ 0x5354554E
        body += struct.pack("!HHI", 0x8028, 4, crc)
    return header(len(body)) + body
