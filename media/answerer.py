"""The answer to an offer, and what the relay is to do about it. Pure.

An answer has the offer's sections in the offer's order. What the browser sends in becomes
recvonly; what it receives in becomes sendonly where a slot feeds it and inactive where none
does; what was stopped or is not relayed is rejected (RFC 8829, 5.3.1). Whether both sides of a
renegotiation fit together is the browser's business: each offer is answered by itself.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from media.codec import Codec, Family
from media.offer import EXTENSIONS, Direction, Extension, Offer, OfferedCodec, OfferedSection

_URIS = {name: uri for uri, name in EXTENSIONS.items()}

# Accepted in both directions, by kind, although most matter in one: Chromium offers a new or a
# resumed section only the extensions that the first live section of its kind has, so what a
# receiving section refused, a camera added later would lack.
_EXTENSIONS = {
    "audio": ("mid", "audio_level", "twcc"),
    "video": (
        *("mid", "rid", "repaired_rid", "twcc", "video_orientation", "dependency_descriptor"),
        "playout_delay",
    ),
}

# Both ways: as senders both browsers need transport-cc in audio and in video for their estimate;
# as receivers they tell what arrived, which the relay's estimate needs.
_FEEDBACK = {
    "audio": ("transport-cc",),
    "video": ("transport-cc", "ccm fir", "nack", "nack pli"),
}

# Simulcast layers of a section that are taken, as many as the relay can tell apart.
_MAX_LAYERS = 4

# What an extension's direction is called from the other side (RFC 8285, 6).
_MIRRORED: Mapping[Direction, Direction] = {
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "sendrecv": "sendrecv",
}


@dataclass(frozen=True, slots=True)
class Slot:
    """What one recvonly section of a browser receives: one stream, whatever feeds it.

    ssrc, rtx_ssrc: 1..2**32-1, different, kept for the slot's life; rtx_ssrc carries what is sent
        again, and is 0 for sound, which nothing is sent again of.
    The ids are tokens of at most 64 characters.
    """

    ssrc: int
    rtx_ssrc: int
    stream_id: str
    track_id: str
    cname: str

    def __post_init__(self) -> None:
        if not 0 < self.ssrc < 2**32:
            raise ValueError(f"not an SSRC: {self.ssrc}")
        if not 0 <= self.rtx_ssrc < 2**32 or self.rtx_ssrc == self.ssrc:
            raise ValueError(f"not an SSRC for retransmissions: {self.rtx_ssrc}")
        for token in (self.stream_id, self.track_id, self.cname):
            if not re.fullmatch(r"[0-9A-Za-z_.-]{1,64}", token):
                raise ValueError(f"not a token: {token!r}")


@dataclass(frozen=True, slots=True)
class ServerDescription:
    """Our side of one connection.

    session_id: 0..2**63-1, fixed; version: grows with each answer (RFC 8866, 5.2).
    fingerprint: of the certificate, sha-256, "AA:BB:…".
    candidates: (IP address, port), at least one, the best first.
    tcp: whether the same ports take TCP connections, too.
    """

    session_id: int
    version: int
    ufrag: str
    pwd: str = field(repr=False)
    fingerprint: str
    candidates: tuple[tuple[str, int], ...]
    tcp: bool = False

    def __post_init__(self) -> None:
        if not self.candidates:
            raise ValueError("a server needs a candidate")


@dataclass(frozen=True, slots=True)
class Publication:
    """A section the browser sends in.

    ssrcs, rtx_ssrcs: as announced, often none (simulcast); rtx_ssrcs[i] repairs ssrcs[i].
    nack: whether it sends again what is asked for, in every codec.
    rids: the layers of its simulcast that are taken, in the offer's order; () where it has none.
    """

    mid: str
    kind: Literal["audio", "video"]
    ssrcs: tuple[int, ...]
    rtx_ssrcs: tuple[int, ...]
    nack: bool
    rids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What an answer agrees to.

    codecs: payload type -> codec, for both directions.
    rtx: retransmission payload type -> payload type it repairs.
    extensions: name -> id, of every section; names as in media.offer.EXTENSIONS.
    slots: by mid, those that an accepted section receives.
    """

    codecs: Mapping[int, Codec]
    rtx: Mapping[int, int]
    extensions: Mapping[str, int]
    publications: tuple[Publication, ...]
    slots: Mapping[str, Slot]


@dataclass(frozen=True, slots=True)
class _Section:
    """One accepted section of the answer."""

    offered: OfferedSection
    direction: Direction
    slot: Slot | None
    extensions: tuple[Extension, ...]
    feedback: tuple[str, ...]
    rtx: Mapping[int, int]
    rids: tuple[str, ...]


def make_answer(
    offer: Offer, ours: ServerDescription, slots: Mapping[str, Slot]
) -> tuple[str, Plan]:
    """The SDP answer to an offer, and its plan.

    slots: by mid; one whose section is not recvonly is not used.
    """
    accepted = {
        section.mid: _accept(section, slots.get(section.mid))
        for section in offer.sections
        if section.acceptable
    }
    lines = list(_session_lines(offer, ours))
    for section in offer.sections:
        if section.mid in accepted:
            first = section.mid == offer.bundle[0]
            lines += _section_lines(accepted[section.mid], ours, first=first)
        else:
            lines += _rejected_lines(section)
    return "".join(f"{line}\r\n" for line in lines), _plan(list(accepted.values()))


def _accept(offered: OfferedSection, slot: Slot | None) -> _Section:
    """An inactive section is accepted like one that sends, which it may be again."""
    downlink = offered.direction == "recvonly"
    slot = slot if downlink else None
    usable = (None, "sendrecv", "recvonly" if downlink else "sendonly")
    extensions = tuple(
        replace(each, direction=each.direction and _MIRRORED[each.direction])
        for each in offered.extensions
        if each.name in _EXTENSIONS[offered.kind] and each.direction in usable
    )
    # Layers without an announced SSRC are told apart by the RID in their first packets.
    layered = offered.sends and {"mid", "rid"} <= {each.name for each in extensions}
    return _Section(
        offered=offered,
        direction="recvonly" if offered.sends else "sendonly" if slot else "inactive",
        slot=slot,
        extensions=extensions,
        feedback=_FEEDBACK[offered.kind],
        rtx={codec.rtx: codec.payload_type for codec in offered.codecs if codec.rtx is not None},
        rids=offered.rids[:_MAX_LAYERS] if layered else (),
    )


def _plan(accepted: list[_Section]) -> Plan:
    return Plan(
        codecs={
            codec.payload_type: codec.codec
            for section in accepted
            for codec in section.offered.codecs
        },
        rtx={rtx: repaired for section in accepted for rtx, repaired in section.rtx.items()},
        extensions={each.name: each.id for section in accepted for each in section.extensions},
        publications=tuple(
            Publication(
                mid=section.offered.mid,
                kind="audio" if section.offered.kind == "audio" else "video",
                ssrcs=section.offered.ssrcs,
                rtx_ssrcs=section.offered.rtx_ssrcs,
                nack="nack" in section.feedback
                and all("nack" in codec.feedback for codec in section.offered.codecs),
                rids=section.rids,
            )
            for section in accepted
            if section.direction == "recvonly"
        ),
        slots={section.offered.mid: section.slot for section in accepted if section.slot},
    )


# Lines


def _connection(ip: str) -> str:
    return f"IN IP{ipaddress.ip_address(ip).version} {ip}"


def _session_lines(offer: Offer, ours: ServerDescription) -> Iterator[str]:
    yield "v=0"
    yield f"o=- {ours.session_id} {ours.version} {_connection(ours.candidates[0][0])}"
    yield "s=-"
    yield "t=0 0"
    yield "a=ice-lite"
    if offer.bundle:
        yield f"a=group:BUNDLE {' '.join(offer.bundle)}"
    if offer.mixed_extensions:
        yield "a=extmap-allow-mixed"
    yield "a=msid-semantic: WMS *"


def _rejected_lines(section: OfferedSection) -> Iterator[str]:
    yield f"m={section.media} 0 {section.protocol} {section.format}"
    yield "c=IN IP4 0.0.0.0"
    if section.mid:
        yield f"a=mid:{section.mid}"
    yield "a=inactive"


def _section_lines(section: _Section, ours: ServerDescription, *, first: bool) -> Iterator[str]:
    """first: whether this is the section whose transport all the bundle uses."""
    offered = section.offered
    repairs = {repaired: rtx for rtx, repaired in section.rtx.items()}
    # RED first: Chromium sends what comes first, and each sound twice so.
    preferred = sorted(offered.codecs, key=lambda codec: codec.codec.family is not Family.RED)
    payload_types = [
        str(payload_type)
        for codec in preferred
        for payload_type in (codec.payload_type, repairs.get(codec.payload_type))
        if payload_type is not None
    ]
    ip, port = ours.candidates[0]
    yield f"m={offered.media} {port} {offered.protocol} {' '.join(payload_types)}"
    yield f"c={_connection(ip)}"
    if first:
        yield from _candidate_lines(ours)
    yield f"a=ice-ufrag:{ours.ufrag}"
    yield f"a=ice-pwd:{ours.pwd}"
    yield f"a=fingerprint:sha-256 {ours.fingerprint}"
    yield "a=setup:passive"
    yield f"a=mid:{offered.mid}"
    for extension in section.extensions:
        direction = f"/{extension.direction}" if extension.direction else ""
        yield f"a=extmap:{extension.id}{direction} {_URIS[extension.name]}"
    yield f"a={section.direction}"
    yield "a=rtcp-mux"
    if offered.reduced_size_rtcp:
        yield "a=rtcp-rsize"
    for codec in offered.codecs:
        yield from _codec_lines(codec, repairs.get(codec.payload_type), section.feedback)
    for rid in section.rids:
        yield f"a=rid:{rid} recv"
    if section.rids:
        yield f"a=simulcast:recv {';'.join(section.rids)}"
    if section.slot:
        yield f"a=msid:{section.slot.stream_id} {section.slot.track_id}"
        yield from _ssrc_lines(section.slot, repaired=bool(repairs))


def _ssrc_lines(slot: Slot, *, repaired: bool) -> Iterator[str]:
    """repaired: whether RTX is agreed; browsers want to know its SSRC by the FID group."""
    repaired = repaired and slot.rtx_ssrc != 0
    if repaired:
        yield f"a=ssrc-group:FID {slot.ssrc} {slot.rtx_ssrc}"
    yield f"a=ssrc:{slot.ssrc} cname:{slot.cname}"
    if repaired:
        yield f"a=ssrc:{slot.rtx_ssrc} cname:{slot.cname}"


def _candidate_lines(ours: ServerDescription) -> Iterator[str]:
    for rank, (ip, port) in enumerate(ours.candidates):
        # 126: type preference of a host candidate; 255: 256 - component 1 (RFC 8445, 5.1.2.1).
        priority = (126 << 24) + ((65535 - rank) << 8) + 255
        yield f"a=candidate:{rank + 1} 1 udp {priority} {ip} {port} typ host"
    # Behind all of UDP: a lost packet holds up those behind it. RFC 6544, 4.2: 90 in place of
    # 126; direction preference 4 of 0..7 is a passive host candidate's.
    for rank, (ip, port) in enumerate(ours.candidates if ours.tcp else ()):
        priority = (90 << 24) + (((4 << 13) + 8191 - rank) << 8) + 255
        number = len(ours.candidates) + rank + 1
        yield f"a=candidate:{number} 1 tcp {priority} {ip} {port} typ host tcptype passive"
    yield "a=end-of-candidates"


def _codec_lines(
    offered: OfferedCodec, rtx: int | None, feedback: tuple[str, ...]
) -> Iterator[str]:
    yield f"a=rtpmap:{offered.payload_type} {offered.codec.rtpmap}"
    for name in feedback:
        if name in offered.feedback:
            yield f"a=rtcp-fb:{offered.payload_type} {name}"
    if offered.fmtp:
        yield f"a=fmtp:{offered.payload_type} {offered.fmtp}"
    if rtx is not None:
        yield f"a=rtpmap:{rtx} rtx/{offered.codec.clock_rate}"
        yield f"a=fmtp:{rtx} apt={offered.payload_type}"
