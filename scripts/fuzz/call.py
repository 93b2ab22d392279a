"""A call in a relay whose thread is turned by hand, and what must hold whatever it is sent.

alice's sound and picture go to bob and to carol, bob's picture to alice; mallory is nobody.
"""

import struct
from collections.abc import Sequence
from typing import Final

from media.relay import AV1, H264, OPUS, RED, VP8, VP9, Relay
from scripts.fuzz.native import Turns, parse
from scripts.fuzz.rtp import NARROW, WIDE

ADDRESSES: Final = [("127.0.0.1", 4001 + number) for number in range(4)]
ALICE, BOB, CAROL, MALLORY = ADDRESSES

SOUND: Final = 111
TWICE: Final = 63
PICTURE: Final = 96
REPAIRS: Final = 97
CODECS: Final = {
    SOUND: (OPUS, 1),
    TWICE: (RED, 6),
    PICTURE: (VP8, 2),
    98: (VP9, 3),
    45: (AV1, 4),
    102: (H264, 5),
}
RTX: Final = {REPAIRS: PICTURE, 99: 98, 46: 45, 103: 102}
# carol has other numbers, no retransmissions, and takes sound once.
CAROLS: Final = {35: (OPUS, 1), 36: (VP8, 2), 37: (VP9, 3)}

ALICES_PICTURE: Final = 1000
ALICES_REPAIRS: Final = 1001
ALICES_SOUND: Final = 1002
BOBS_PICTURE: Final = 1100
UFRAG: Final = "aliceUfr"
# What a subscriber that is sent a picture is sent: media, repairs.
SLOT: Final = 2000
SLOT_REPAIRS: Final = 2001
SLOT_SOUND: Final = 2002

# state.pxd, RESEND_AT_FIRST: what may be sent again before as much was sent.
RESENT_AT_FIRST: Final = 65536

_relay: Relay | None = None
_turns: Turns | None = None


def machine() -> tuple[Relay, Turns]:
    """The process's one relay: to make one takes longer than most inputs."""
    global _relay, _turns
    if _relay is None or _turns is None:
        _relay = Relay("127.0.0.1", offload=False)
        _turns = Turns(_relay)
    return _relay, _turns


class Call:
    """Use as a context manager: its peers leave the relay behind it."""

    def __init__(self) -> None:
        self.relay, self.turns = machine()
        self.alice = self._peer(ALICE, CODECS, RTX, NARROW)
        self.bob = self._peer(BOB, CODECS, RTX, NARROW)
        self.carol = self._peer(CAROL, CAROLS, {}, WIDE)
        self.extensions = {self.alice: NARROW, self.bob: NARROW, self.carol: WIDE}
        self.payload_types = {
            self.alice: CODECS.keys() | RTX.keys(),
            self.bob: CODECS.keys() | RTX.keys(),
            self.carol: CAROLS.keys(),
        }
        self.relay.expect(self.alice, UFRAG)
        self.sound = self.relay.add_track(self.alice, "audio", "0", [ALICES_SOUND])
        self.picture = self._add_picture()
        self.bobs = self.relay.add_track(self.bob, "video", "0", [BOBS_PICTURE], nack=True)
        self.slots = [
            self._slot(self.bob, "audio", SLOT_SOUND, 0, self.sound),
            self._slot(self.bob, "video", SLOT, SLOT_REPAIRS, self.picture),
            self._slot(self.carol, "audio", SLOT_SOUND, 0, self.sound),
            self._slot(self.carol, "video", SLOT, SLOT_REPAIRS, self.picture),
            self._slot(self.alice, "video", SLOT, SLOT_REPAIRS, self.bobs),
        ]
        self._used: set[tuple[int, int, int]] = set()
        self._sent = dict.fromkeys((self.alice, self.bob, self.carol), 0)
        self._resent = dict.fromkeys((self.alice, self.bob, self.carol), 0)

    def __enter__(self) -> "Call":
        return self

    def __exit__(self, *_: object) -> None:
        for peer in (self.alice, self.bob, self.carol):
            self.relay.remove_peer(peer)
        # What was on its way up is nobody's now.
        while self.relay.poll(256):
            pass

    def _peer(
        self,
        address: tuple[str, int],
        codecs: dict[int, tuple[int, int]],
        rtx: dict[int, int],
        extensions: dict[str, int],
    ) -> int:
        peer = self.relay.add_peer(codecs, rtx, extensions)
        self.relay.bind(peer, address)
        self.relay.select(peer, address)
        self.turns.set_keys(peer)
        return peer

    def _add_picture(self, rids: Sequence[str] = ()) -> int:
        ssrcs, repairs = ([], []) if rids else ([ALICES_PICTURE], [ALICES_REPAIRS])
        return self.relay.add_track(self.alice, "video", "1", ssrcs, repairs, nack=True, rids=rids)

    def _slot(self, peer: int, kind: str, ssrc: int, rtx_ssrc: int, track: int) -> int:
        video = kind == "video"
        slot = self.relay.add_subscription(
            peer, "video" if video else "audio", "6" if video else "5", ssrc, rtx_ssrc
        )
        self.relay.set_source(slot, track)
        return slot

    def picture_anew(self, rids: Sequence[str] = ()) -> None:
        """alice's camera goes, and comes again, maybe in layers."""
        self.relay.remove_track(self.picture)
        self.picture = self._add_picture(rids)
        self.relay.set_source(self.slots[1], self.picture)
        self.relay.set_source(self.slots[3], self.picture)

    def slot_anew(self) -> None:
        """bob's place for a picture goes, and comes again with the same SSRC."""
        self.relay.remove_subscription(self.slots[1])
        self.slots[1] = self._slot(self.bob, "video", SLOT, SLOT_REPAIRS, self.picture)

    def receive(self, origin: tuple[str, int], datagram: bytes, elapsed_us: int = 0) -> None:
        """Have the relay take one datagram in, and judge what it sends."""
        self.receive_all([(origin, datagram)], elapsed_us)

    def receive_all(
        self, datagrams: Sequence[tuple[tuple[str, int], bytes]], elapsed_us: int = 0
    ) -> None:
        """Up to 64 of them, in one turn."""
        for peer, reports, sent in self.turns.turn(datagrams, elapsed_us):
            if reports:
                check_reports(sent)
            else:
                self._check_media(peer, sent)

    def wait(self, elapsed_us: int) -> None:
        self.receive(MALLORY, b"\xff", elapsed_us)

    def _check_media(self, peer: int, sent: bytes) -> None:
        read = parse(sent, self.extensions[peer])
        assert read is not None, "not to be read"
        payload_type, _, sequence, _, ssrc, payload, _ = read
        assert payload_type in self.payload_types[peer]
        assert ssrc in (SLOT, SLOT_REPAIRS, SLOT_SOUND)
        # With AES-GCM a number used twice gives the key stream away (RFC 7714, 9). No input
        # is so long that they could have come round.
        number = (peer, ssrc, sequence)
        assert number not in self._used, f"{ssrc}:{sequence} was used"
        self._used.add(number)
        if ssrc != SLOT_REPAIRS:
            self._sent[peer] += len(payload)
            return
        # A probe is padding: it repeats nothing.
        self._resent[peer] += max(len(payload) - 2, 0)
        assert self._resent[peer] <= self._sent[peer] + RESENT_AT_FIRST, "an amplifier"


def check_reports(sent: bytes) -> None:
    """A compound of whole packets.  Source: RFC 3550, 6.4.1."""
    at = 0
    while at < len(sent):
        first, kind, words = struct.unpack_from("!BBH", sent, at)
        assert first >> 6 == 2
        assert 200 <= kind <= 207
        at += 4 * (words + 1)
    assert at == len(sent)
