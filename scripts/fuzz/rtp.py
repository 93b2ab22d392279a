"""RTP with header extensions: what was read is what is written, for media and as RTX.

Input: one decrypted packet.
"""

from typing import Final

from scripts.fuzz.native import Parsed, Subscriber, parse

# One byte holds ids to 14; above, the two-byte form is written.
NARROW: Final = {
    "mid": 1,
    "rid": 2,
    "repaired_rid": 3,
    "twcc": 4,
    "audio_level": 5,
    "video_orientation": 6,
    "dependency_descriptor": 7,
    "abs_send_time": 8,
    "playout_delay": 9,
}
WIDE: Final = {name: 20 + number for name, number in NARROW.items()}
# Of native.parse's fields, as state.pxd numbers them.
MID: Final = 1
TWCC: Final = 4
AUDIO_LEVEL: Final = 5
VIDEO_ORIENTATION: Final = 6
DEPENDENCY_DESCRIPTOR: Final = 7
ABS_SEND_TIME: Final = 8
PLAYOUT_DELAY: Final = 9

RTP_MAX: Final = 1500
PAYLOAD_TYPE: Final = 100
RTX: Final = 101
SSRC: Final = 0x01020304
RTX_SSRC: Final = 0x05060708
NUMBER: Final = 0x1FFFE
DELAY_MS: Final = 1230
FRAME_SHIFT: Final = 0xFFFF


def check(data: bytes) -> None:
    data = data[:RTP_MAX]
    for extensions in (NARROW, WIDE):
        read = parse(data, extensions)
        subscriber = Subscriber(
            *(extensions, "7", SSRC, RTX_SSRC, RTX),
            number=NUMBER,
            delay_ms=DELAY_MS,
            frame_shift=FRAME_SHIFT,
        )
        written = subscriber.write(
            data, payload_type=PAYLOAD_TYPE, sequence=65535, timestamp=90000, rtx=None
        )
        repeated = subscriber.write(
            data, payload_type=PAYLOAD_TYPE, sequence=65535, timestamp=90000, rtx=77
        )
        if read is None:
            assert written is None
            assert repeated is None
            continue
        assert written is not None
        assert repeated is not None
        again = parse(written, extensions)
        assert again is not None, "what is written cannot be read"
        assert again[:6] == (PAYLOAD_TYPE, read[1], 65535, 90000, SSRC, read[5])
        check_fields(read, again)
        apart = parse(repeated, extensions)
        assert apart is not None
        assert (apart[0], apart[2], apart[4]) == (RTX, 77, RTX_SSRC)
        unwrapped = parse(repeated, extensions, repaired=PAYLOAD_TYPE)
        assert unwrapped is not None
        assert (unwrapped[0], unwrapped[2], unwrapped[5]) == (PAYLOAD_TYPE, 65535, read[5])
        check_fields(read, unwrapped)


def check_fields(read: Parsed, written: Parsed) -> None:
    """What is the subscriber's own, and what is passed on; nothing else of the publisher's."""
    expected = {
        MID: b"7",
        TWCC: (NUMBER & 0xFFFF).to_bytes(2),
        ABS_SEND_TIME: bytes(3),
        # Two numbers of 12 bits, 10 ms each: at least, and libwebrtc's most.
        PLAYOUT_DELAY: (DELAY_MS // 10 << 12 | 1000).to_bytes(3),
    }
    for name in (AUDIO_LEVEL, VIDEO_ORIENTATION):
        if name in read[6]:
            expected[name] = read[6][name]
    description = read[6].get(DEPENDENCY_DESCRIPTOR, b"")
    if len(description) >= 3:
        frame = int.from_bytes(description[1:3]) + FRAME_SHIFT & 0xFFFF
        expected[DEPENDENCY_DESCRIPTOR] = description[:1] + frame.to_bytes(2) + description[3:]
    assert written[6] == expected
