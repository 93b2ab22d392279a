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
}
WIDE: Final = {name: 20 + number for name, number in NARROW.items()}
# Of native.parse's fields, as state.pxd numbers them.
MID: Final = 1
AUDIO_LEVEL: Final = 5
VIDEO_ORIENTATION: Final = 6
ABS_SEND_TIME: Final = 8

RTP_MAX: Final = 1500
PAYLOAD_TYPE: Final = 100
RTX: Final = 101
SSRC: Final = 0x01020304
RTX_SSRC: Final = 0x05060708


def check(data: bytes) -> None:
    data = data[:RTP_MAX]
    for extensions in (NARROW, WIDE):
        read = parse(data, extensions)
        subscriber = Subscriber(extensions, "7", SSRC, RTX_SSRC, RTX)
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
    """The subscriber's own MID and the time, and what is passed on; nothing else."""
    expected = {MID: b"7", ABS_SEND_TIME: bytes(3)}
    for name in (AUDIO_LEVEL, VIDEO_ORIENTATION):
        if name in read[6]:
            expected[name] = read[6][name]
    assert written[6] == expected
