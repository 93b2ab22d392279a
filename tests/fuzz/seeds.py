"""`python -m tests.fuzz.seeds`: write what real peers send into the kept corpora.

Fuzzing begins with these; what it finds beside them has a hash for a name.
"""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aioice import stun

from media.relay import AV1, H264, VP8, VP9
from scripts.fuzz.call import (
    ALICES_PICTURE,
    ALICES_REPAIRS,
    ALICES_SOUND,
    BOBS_PICTURE,
    PICTURE,
    REPAIRS,
    SLOT,
    SLOT_SOUND,
    SOUND,
    TWICE,
    UFRAG,
)
from scripts.fuzz.codecs import ANEW, FAMILIES
from scripts.fuzz.records import pack
from scripts.fuzz.rtp import NARROW
from scripts.fuzz.stun import OURS, THEIRS, WITH_FINGERPRINT, WITH_USERNAME
from tests.unit.media.relay.browser import (
    VP8_DELTA,
    VP8_KEY,
    fir,
    nack,
    pli,
    receiver_report,
    sender_report,
)
from tests.unit.media.relay.dependency import Descriptor, Structure, Template
from tests.unit.media.relay.rtp import Rtp
from tests.unit.media.relay.test_red import red

CORPUS: Final = Path(__file__).parents[1] / "data" / "corpus"


def _check(ufrag: str, pwd: str, **attributes: object) -> bytes:
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, bytes(range(12)))
    request.attributes["USERNAME"] = f"{ufrag}:{THEIRS}"
    request.attributes["PRIORITY"] = 1853824767
    for name, value in attributes.items():
        request.attributes[name.replace("_", "-")] = value
    request.add_message_integrity(pwd.encode())
    request.add_fingerprint()
    return bytes(request)


def _stun() -> Mapping[str, bytes]:
    check = _check(*OURS, ICE_CONTROLLING=1, USE_CANDIDATE=None)
    both = WITH_USERNAME | WITH_FINGERPRINT
    return {
        "chromium": check,
        "no-nomination": _check(*OURS, ICE_CONTROLLED=2**64 - 1),
        "other-password": _check(OURS.ufrag, "x" * 24),
        "other-ufrag": _check("nobody", OURS.pwd),
        "cut": check[:40],
        "signed": bytes([both]) + bytes(12) + bytes.fromhex("00240004 6e001eff 00250000"),
        "signed-bare": bytes([WITH_USERNAME]) + bytes(12),
        "signed-error-code": bytes([both]) + bytes(12) + bytes.fromhex("00090004 00000401"),
        "signed-mapped": bytes([both]) + bytes(12) + bytes.fromhex("00200008 0001a147 5e12a443"),
    }


def _picture(sequence: int, payload: bytes = VP8_DELTA, **fields: object) -> bytes:
    options = {"payload_type": PICTURE, "ssrc": ALICES_PICTURE} | fields
    return Rtp(sequence=sequence, timestamp=sequence * 3000, payload=payload, **options).pack()  # type: ignore[arg-type]


def _repair(sequence: int, repeated: int) -> bytes:
    payload = struct.pack("!H", repeated) + VP8_DELTA
    return _picture(sequence, payload, payload_type=REPAIRS, ssrc=ALICES_REPAIRS)


def _sound(sequence: int) -> bytes:
    level = {NARROW["audio_level"]: b"\x30", NARROW["mid"]: b"0"}
    return Rtp(SOUND, sequence, sequence * 960, ALICES_SOUND, extensions=level).pack()


def _rtp() -> Mapping[str, bytes]:
    every = {number: name.encode()[:3] for name, number in NARROW.items()}
    return {
        "plain": _picture(1),
        "sound": _sound(2),
        "every-extension": _picture(3, extensions=every),
        "wide": _picture(3, extensions={n + 20: v * 8 for n, v in every.items()}, two_byte=True),
        "wide-empty": _picture(3, extensions={21: b"", 25: b"x"}, two_byte=True),
        "csrcs": _picture(4, csrcs=tuple(range(15)), marker=True),
        "described": _picture(3, extensions={NARROW["dependency_descriptor"]: b"\xc0\0\1"}),
        "delayed": _picture(3, extensions={NARROW["playout_delay"]: b"\0\x10\0"}),
        "delayed-wide": _picture(3, extensions={29: b"\0\x10\0", 24: b"\xff"}, two_byte=True),
        "padded": _picture(5, padding=200, extensions={NARROW["twcc"]: b"\0\7"}),
        "padding-only": _picture(6, b"", padding=255),
        "repair": _repair(7, 6),
        "empty": _picture(8, b""),
    }


def _twice(sequence: int, own: bytes, *earlier: bytes) -> bytes:
    return Rtp(TWICE, sequence, sequence * 960, ALICES_SOUND, red(own, *earlier)).pack()


def _red() -> Mapping[str, bytes]:
    return {
        "own": red(b"now"),
        "one-earlier": red(b"now", b"before"),
        "two-earlier": red(b"now", b"long before", b"before"),
        "earlier-empty": red(b"now", b""),
        "no-own": red(b"", b"before"),
        "of-itself": red(b"now", own_type=TWICE),
        "unknown": red(b"now", own_type=8),
        "cut": red(b"now", b"before")[:3],
        "longer-than-it-is": red(b"", bytes(1023))[:200],
        "headers-alone": b"\xef" * 8,
    }


def _rtcp() -> Mapping[str, bytes]:
    def bobs(*packets: bytes, step: int = 0) -> bytes:
        return pack(0, b"".join(packets), step)

    # transport-wide feedback about 8 packets, one of them lost
    feedback = struct.pack("!BBHII", 0x8F, 205, 7, 1, SLOT)
    feedback += struct.pack("!HHI", 0, 8, 5 << 8) + struct.pack("!H", 0x8000 | 0b11111101111111)
    feedback += bytes([4] * 7) + bytes(3)
    remb = struct.pack("!BBHII4sII", 0x8F, 206, 5, 1, 0, b"REMB", 0x0103FFFF, SLOT)
    report = receiver_report(1, SLOT, fraction=30, last_report=7, delay=100)
    return {
        "report": bobs(report, pli(1, SLOT)),
        "nack": bobs(nack(1, SLOT, (3, 0xFFFF), (65535, 1))),
        "nack-again": bobs(nack(1, SLOT, (5, 0))) * 2 + bobs(nack(1, SLOT, (5, 0)), step=5),
        "nack-all": bobs(nack(1, SLOT, *((number, 0xFFFF) for number in range(0, 65536, 700)))),
        "fir": bobs(fir(1, SLOT, 1), fir(1, SLOT_SOUND, 2)),
        "feedback": bobs(feedback, step=4),
        "remb": bobs(remb),
        "sender": pack(1, sender_report(ALICES_PICTURE, 2**40, 9000)) + bobs(report, step=6),
        "goodbye": bobs(struct.pack("!BBHI", 0x81, 203, 1, SLOT)),
        "cut": bobs(report[:20]),
    }


def _codecs() -> Mapping[str, bytes]:
    def of(family: int, payload: str, dependency: bytes = b"", anew: bool = False) -> bytes:
        kind = FAMILIES.index(family) + (ANEW if anew else 0)
        return pack(kind, bytes([len(dependency)]) + dependency + bytes.fromhex(payload))

    layered = Structure(
        (Template(0, 0, "SS"), Template(0, 0, "RR", (1,)), Template(1, 0, "-R", (1,))), chains=1
    )
    key = Descriptor(0, structure=layered, chains=(0,)).pack()
    delta = Descriptor(1, number=1, target_count=2, chains=(1,)).pack()

    return {
        "vp8": of(VP8, "10 00 9d012a"),
        "vp8-picture-id": of(VP8, "90 80 8123 00 9d012a"),
        "vp8-everything": of(VP8, "90 f0 8123 07 4a 01"),
        "vp9": of(VP9, "8a 8123 00"),
        "vp9-layers": of(VP9, "ab 8123 06 40 0280 01e0 0140 00f0"),
        "av1": of(AV1, "08 0a0b000000"),
        "av1-fragment": of(AV1, "d0 8001 00"),
        "h264-sps": of(H264, "67 42e01f"),
        "h264-stap": of(H264, "78 0004 6742e01f 0004 68ce3c80"),
        "h264-fu": of(H264, "7c 85 88"),
        "av1-layers": of(AV1, "08 0a", key) + of(AV1, "10 32", delta) * 2,
        "vp8-another": of(VP8, "90 f0 8123 07 4a 01") + of(VP8, "90 f0 8007 09 4a 01", anew=True),
        "vp8-narrow": of(VP8, "90 80 7f 01") + of(VP8, "90 80 03 01", anew=True),
    }


def _framing() -> Mapping[str, bytes]:
    def framed(*datagrams: bytes) -> bytes:
        return b"".join(struct.pack("!H", len(one)) + one for one in datagrams)

    check = _check(UFRAG, "x" * 24)
    two = framed(check, check)
    return {
        "check": pack(0, framed(check)),
        "two-at-once": pack(0, two),
        "byte-by-byte": b"".join(pack(0, two[at : at + 1]) for at in range(len(two))),
        "empty-frames": pack(0, framed(b"", b"", check, b"")),
        "cut": pack(0, two[:-1]),
        "too-long": pack(0, framed(check) + b"\x05\xdd" + bytes(1501)) + pack(0, framed(check)),
        "largest": pack(0, framed(bytes(1500), check)),
        "others": pack(0, framed(b"\x80" * 20, b"\x16" * 20, check, _check("nobody", "x" * 24))),
    }


def _relay() -> Mapping[str, bytes]:
    alice, bob, carol, mallory = range(4)
    begun = pack(alice, _picture(1, VP8_KEY)) + pack(alice, _sound(1))
    lost = pack(alice, _picture(2), 1) + pack(alice, _picture(5), 1)
    return {
        "media": begun + pack(alice, _picture(2), 2) + pack(alice, _sound(2), 3),
        "repaired": begun + lost + pack(mallory, b"", 3) + pack(alice, _repair(1, 3), 2),
        "asked-again": begun + lost + pack(bob, nack(1, SLOT, (0, 0xFFFF)), 3) * 2,
        "late": begun + lost + pack(alice, _picture(3)) + pack(alice, _picture(3)),
        "wrapped": pack(alice, _picture(65535, VP8_KEY)) + pack(alice, _picture(0)),
        "muted": begun + pack(4) + lost + pack(5) + pack(alice, _picture(9, VP8_KEY)),
        "routed": begun + pack(6) + pack(8) + pack(bob, _picture(7, VP8_KEY, ssrc=BOBS_PICTURE)),
        "away": begun + pack(9) + lost + pack(10, step=6) + pack(alice, _picture(9, VP8_KEY)),
        "renegotiated": begun + pack(11) + lost + pack(12) + lost,
        "camera-again": begun + pack(15) + begun + pack(16) + begun,
        "other-ssrc": begun + pack(alice, _picture(3, VP8_KEY, ssrc=9), 6) + lost,
        "reports": begun + pack(alice, sender_report(ALICES_PICTURE, 7, 9), 3) + pack(bob, b"", 6),
        "check": pack(mallory, _check(UFRAG, "x" * 24)) + pack(mallory, bytes([22]) + bytes(20)),
        "layers": pack(17)
        + b"".join(
            pack(alice, _picture(1, VP8_KEY, ssrc=10 + layer, extensions={1: b"1", 2: rid}))
            + pack(18 + layer)
            + pack(alice, _picture(2, VP8_KEY, ssrc=10 + layer), 2)
            for layer, rid in enumerate((b"q", b"h", b"f"))
        ),
        "probed": begun + pack(21) + lost + pack(mallory, b"", 2) * 4 + pack(22) + pack(23),
        "twice": begun
        + pack(alice, _twice(2, b"now", b"before"))
        + pack(alice, _twice(3, b"", b"before"))
        + pack(alice, _sound(4)),
        "delayed": pack(24) + begun + lost + pack(bob, nack(1, SLOT, (0, 0xFFFF)), 3),
        "numbered": begun
        + b"".join(
            pack(alice, _picture(9, extensions={NARROW["twcc"]: number.to_bytes(2)}), step)
            for number, step in ((65534, 0), (3, 4), (0, 0), (3, 4), (40000, 4))
        ),
        "probes": begun + pack(alice, _picture(2, b"", padding=255)) * 2 + pack(carol, b"\x80"),
    }


SEEDS: Final = {
    "stun": _stun,
    "rtp": _rtp,
    "red": _red,
    "rtcp": _rtcp,
    "codecs": _codecs,
    # The stored offers are seeds already.
    "sdp": lambda: {"nothing": b"v=0\r\n"},
    "framing": _framing,
    "relay": _relay,
}

if __name__ == "__main__":
    for target, seeds in SEEDS.items():
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in seeds().items():
            (folder / name).write_bytes(data)
