"""The codecs that pass through the SFU, and when two payload types mean the same stream.

Pure values; knows nothing of sections, directions or payload types.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class Family(IntEnum):
    """How to find a keyframe in a payload; the numbers are those of media.relay.core."""

    OPUS = 1
    VP8 = 2
    VP9 = 3
    AV1 = 4
    H264 = 5
    RED = 7


@dataclass(frozen=True, slots=True)
class Codec:
    """One media format. Equal codecs: a stream of one can be sent as the other, unchanged.

    name: as IANA spells it. clock_rate: Hz. channels: 1 for video.
    fmtp: only what makes streams differ (a profile, a packetization mode), normalised; ""
        where nothing does. What a receiver merely prefers (bit rates, levels) is not in it.
    """

    family: Family
    name: str
    clock_rate: int
    channels: int
    fmtp: str

    @property
    def rtpmap(self) -> str:
        """The value of a=rtpmap after the payload type (RFC 8866, 6.6)."""
        channels = f"/{self.channels}" if self.channels > 1 else ""
        return f"{self.name}/{self.clock_rate}{channels}"


# rtpmap in lower case -> family, name, clock rate, channels.
_KNOWN = {
    "audio": {
        "opus/48000/2": (Family.OPUS, "opus", 48000, 2),
        "red/48000/2": (Family.RED, "red", 48000, 2),
    },
    "video": {
        "vp8/90000": (Family.VP8, "VP8", 90000, 1),
        "vp9/90000": (Family.VP9, "VP9", 90000, 1),
        "av1/90000": (Family.AV1, "AV1", 90000, 1),
        "h264/90000": (Family.H264, "H264", 90000, 1),
    },
}

# The parameters an answer repeats. VP8's max-fs and max-fr are not here: they would limit
# what the browser sends to us, and we have no such limit.
_REPEATED = {
    Family.OPUS: frozenset(
        {"cbr", "maxaveragebitrate", "maxplaybackrate", "minptime", "stereo", "usedtx"}
        | {"useinbandfec"}
    ),
    Family.VP8: frozenset[str](),
    Family.VP9: frozenset({"profile-id"}),
    Family.AV1: frozenset({"level-idx", "profile", "tier"}),
    Family.H264: frozenset({"level-asymmetry-allowed", "packetization-mode", "profile-level-id"}),
    Family.RED: frozenset[str](),
}

# profile_idc, mask and value of profile-iop -> profile (RFC 6184, 8.1, table 5).
_H264_PROFILES = (
    (0x42, 0x4F, 0x40, "constrained-baseline"),
    (0x4D, 0x8F, 0x80, "constrained-baseline"),
    (0x58, 0xCF, 0xC0, "constrained-baseline"),
    (0x42, 0x4F, 0x00, "baseline"),
    (0x58, 0xCF, 0x80, "baseline"),
    (0x4D, 0xAF, 0x00, "main"),
    (0x64, 0xFF, 0x00, "high"),
    (0x64, 0xFF, 0x0C, "constrained-high"),
)

_RED = re.compile(r"([0-9]{1,3})(?:/\1)+")
_PROFILE_LEVEL_ID = re.compile(r"[0-9A-Fa-f]{6}")
_NUMBER = re.compile(r"[0-9]{1,7}")


def parse_fmtp(text: str) -> dict[str, str]:
    """Split "name=value;name=value" into names in lower case and values; others are left out."""
    pairs = (item.partition("=") for item in text.split(";"))
    return {name.strip().lower(): value.strip() for name, equals, value in pairs if equals}


def recognise(kind: str, rtpmap: str, parameters: Mapping[str, str]) -> Codec | None:
    """The codec an a=rtpmap value and its parameters name; None for one we do not forward.

    kind: "audio" or "video". parameters: as parse_fmtp returns them.
    """
    known = _KNOWN[kind].get(rtpmap.lower())
    if known is None:
        return None
    family, name, clock_rate, channels = known
    variant = _variant(family, parameters)
    return None if variant is None else Codec(family, name, clock_rate, channels, variant)


def repeated_fmtp(codec: Codec, parameters: Mapping[str, str]) -> str:
    """The value of a=fmtp for an answer: the known offered parameters, "" without any."""
    return ";".join(
        f"{name}={value}"
        for name, value in parameters.items()
        if name in _REPEATED[codec.family]
        and (_PROFILE_LEVEL_ID if name == "profile-level-id" else _NUMBER).fullmatch(value)
    )


def repeated_by_red(fmtp: str) -> int | None:
    """The payload type of every block, by the a=fmtp value of RED (RFC 2198, 5); None: they differ.

    Such a value is repeated in an answer as it is.
    """
    blocks = _RED.fullmatch(fmtp)
    return int(blocks[1]) if blocks else None


def _variant(family: Family, parameters: Mapping[str, str]) -> str | None:
    """What distinguishes streams of one family; None if it is not a valid value."""
    if family is Family.VP9:  # RFC 9628, 6.1
        return _choice("profile-id", parameters, "0123")
    if family is Family.AV1:  # AV1 RTP payload format, 7.2.1
        return _choice("profile", parameters, "012")
    if family is Family.H264:
        mode = _choice("packetization-mode", parameters, "01")  # browsers do not interleave (2)
        # Without the parameter: Baseline, level 1 (RFC 6184, 8.1).
        profile = _h264_profile(parameters.get("profile-level-id", "42000a"))
        return f"{mode};profile={profile}" if mode and profile else None
    return ""


def _choice(name: str, parameters: Mapping[str, str], values: str) -> str | None:
    value = parameters.get(name, "0")
    return f"{name}={value}" if len(value) == 1 and value in values else None


def _h264_profile(profile_level_id: str) -> str | None:
    """The profile without its level: a decoder of any level is given what the sender makes."""
    if not _PROFILE_LEVEL_ID.fullmatch(profile_level_id):
        return None
    idc, iop = int(profile_level_id[:2], 16), int(profile_level_id[2:4], 16)
    for known_idc, mask, value, profile in _H264_PROFILES:
        if idc == known_idc and iop & mask == value:
            return profile
    return profile_level_id[:4].lower()
