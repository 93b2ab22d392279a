"""A browser's SDP offer, read into plain values (RFC 8866, RFC 8829).

A strict parser of our own: aiortc.sdp drops what an SFU needs (rid, simulcast, bundle-only, the
direction of extensions), takes quadratic time on repeated lines and fails in many ways. Here
everything refused is a BadOffer, time is linear, and every value that can reach an answer has
matched a pattern or a number's range first. Pure; knows nothing of answers.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from media.codec import Codec, Family, parse_fmtp, recognise, repeated_by_red, repeated_fmtp
from media.errors import BadOffer

Kind = Literal["audio", "video", "other"]
Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]

MAX_CHARACTERS = 64 * 1024
MAX_SECTIONS = 64
# Simulcast takes six (three layers, each with RTX); the rest is room for FEC.
MAX_SSRCS = 16
# One-byte header extensions carry at most 16 bytes of a mid or rid (RFC 8285, 4.2).
MAX_ID_LENGTH = 16
# Three times the longest URI in use; what is read is kept (see _extmap_value).
MAX_EXTMAP_LENGTH = 256

EXTENSIONS = {
    "urn:ietf:params:rtp-hdrext:sdes:mid": "mid",
    "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id": "rid",
    "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id": "repaired_rid",
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01": "twcc",
    "urn:ietf:params:rtp-hdrext:ssrc-audio-level": "audio_level",
    "urn:3gpp:video-orientation": "video_orientation",
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension": (
        "dependency_descriptor"
    ),
    "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay": "playout_delay",
}
FEEDBACK = ("transport-cc", "ccm fir", "nack", "nack pli")
# RFC 8829, 5.1.2: an answerer takes all of these, and they all mean DTLS-SRTP.
PROTOCOLS = frozenset({"UDP/TLS/RTP/SAVPF", "TCP/TLS/RTP/SAVPF", "RTP/SAVPF"})


@dataclass(frozen=True, slots=True)
class Extension:
    """One header extension known to us. direction: as offered, None if the offer names none."""

    id: int
    name: str
    direction: Direction | None


@dataclass(frozen=True, slots=True)
class OfferedCodec:
    """One payload type of a section.

    rtx: the payload type that repairs it. fmtp: what an answer repeats of its parameters.
    feedback: the offered part of FEEDBACK.
    """

    payload_type: int
    codec: Codec
    rtx: int | None
    fmtp: str
    feedback: frozenset[str]


@dataclass(frozen=True, slots=True)
class OfferedSection:
    """One m= section.

    index: its position, from 0. mid: "" only where a stopped section has none.
    kind: "other" for what we never accept; media, protocol and format are the m= line's.
    stopped: port 0 and not bundled: rejected, or free to be used again.
    codecs, extensions: those known to us, in the offer's order.
    ssrcs, rtx_ssrcs: what it sends, if it says so; empty unless it sends. rtx_ssrcs[i] repairs
        ssrcs[i].
    rids: the layers of its simulcast, in the offer's order.
    """

    index: int
    mid: str
    kind: Kind
    media: str
    protocol: str
    format: str
    direction: Direction
    stopped: bool
    reduced_size_rtcp: bool
    codecs: tuple[OfferedCodec, ...]
    extensions: tuple[Extension, ...]
    ssrcs: tuple[int, ...]
    rtx_ssrcs: tuple[int, ...]
    rids: tuple[str, ...]

    @property
    def sends(self) -> bool:
        return self.direction in ("sendonly", "sendrecv")

    @property
    def acceptable(self) -> bool:
        """Live, of a kind we relay, with a codec we forward."""
        return not self.stopped and bool(self.codecs)


@dataclass(frozen=True, slots=True)
class Offer:
    """bundle: the mids of the acceptable sections, in the order of the BUNDLE group.

    The transport's values are those of the first of them; all share it.
    fingerprints: (algorithm, "AA:BB…"), at least one, none weaker than sha-256.
    """

    sections: tuple[OfferedSection, ...]
    bundle: tuple[str, ...]
    ice_ufrag: str
    ice_pwd: str = field(repr=False)
    fingerprints: tuple[tuple[str, str], ...]
    mixed_extensions: bool


def parse_offer(sdp: str) -> Offer:
    """Read an offer. Raises BadOffer, and nothing else whatever the text is."""
    session, blocks = _blocks(sdp)
    bundle = _bundle(session)
    sections = tuple(_section(block, session, bundle) for block in blocks)
    _check_mids(sections, bundle)
    live = [section for section in sections if section.kind != "other" and not section.stopped]
    _check_one_meaning(live, blocks)
    _check_ssrcs(live)
    position = {section.mid: section.index for section in sections}
    bundled = [sections[position[mid]] for mid in bundle]
    accepted = [section for section in bundled if section.acceptable]
    if not bundled:
        raise BadOffer("no live section")
    # The answerer's tag, then the offerer's: where RFC 8843, 7.2 and 7.3 let the values be.
    tags = ((accepted or bundled)[0], bundled[0])
    transport = (*(blocks[tag.index] for tag in tags), session)
    _check_transport(transport, rtcp=bool(accepted))
    ufrag, pwd = _credentials(transport)
    return Offer(
        sections=sections,
        bundle=tuple(section.mid for section in accepted),
        ice_ufrag=ufrag,
        ice_pwd=pwd,
        fingerprints=_fingerprints(transport),
        mixed_extensions=session.has("extmap-allow-mixed"),
    )


# Lines


class _Block:
    """The attributes of one m= section, or of the session part, in order."""

    def __init__(self, index: int | None = None, m_line: str = "") -> None:
        self.index = index
        self.m_line = m_line
        self.mid = ""
        self._values: dict[str, list[str]] = {}

    def add(self, line: str) -> None:
        name, _, value = line.partition(":")
        self._values.setdefault(name, []).append(value)

    def has(self, name: str) -> bool:
        return name in self._values

    def all(self, name: str) -> Sequence[str]:
        return self._values.get(name, ())

    def one(self, name: str) -> str | None:
        """The value of an attribute that may stand once."""
        values = self.all(name)
        if len(values) > 1:
            raise self.bad(f"more than one a={name}")
        return values[0] if values else None

    def bad(self, reason: str) -> BadOffer:
        return BadOffer(reason, None if self.index is None else self.index + 1, self.mid)


# One pattern over the whole text: line by line it takes a fifth of the time of a parse.
_LINES = re.compile(r"(?:[a-z]=[^\x00-\x08\x0a-\x1f\x7f]*\n)*+")


def _blocks(sdp: str) -> tuple[_Block, list[_Block]]:
    if len(sdp) > MAX_CHARACTERS:
        raise BadOffer(f"longer than {MAX_CHARACTERS} characters")
    session = current = _Block()
    sections: list[_Block] = []
    text = sdp.replace("\r\n", "\n").removesuffix("\n") + "\n"
    if not text.startswith("v=0\n"):
        raise BadOffer("does not start with v=0")
    well_formed = _LINES.match(text)
    assert well_formed is not None, "it matches nothing, too"
    if well_formed.end() < len(text):
        number = 1 + text.count("\n", 0, well_formed.end())
        raise BadOffer(f"line {number} is not <letter>=<value>")
    for line in text[:-1].split("\n"):
        if line.startswith("m="):
            if len(sections) == MAX_SECTIONS:
                raise BadOffer(f"more than {MAX_SECTIONS} sections")
            current = _Block(len(sections), line[2:])
            sections.append(current)
        elif line.startswith("a="):
            current.add(line[2:])
    return session, sections


def _number(text: str, lowest: int, highest: int) -> int | None:
    """A decimal number in ASCII digits within the range, else None."""
    if len(text) > 10 or not (text.isascii() and text.isdigit()):
        return None
    return number if lowest <= (number := int(text)) <= highest else None


def _bundle(session: _Block) -> tuple[str, ...]:
    groups = [
        words[1:] for words in map(str.split, session.all("group")) if words[:1] == ["BUNDLE"]
    ]
    if len(groups) > 1:
        raise session.bad("more than one BUNDLE group")
    if groups and len(groups[0]) > MAX_SECTIONS:
        raise session.bad(f"a BUNDLE group of more than {MAX_SECTIONS} sections")
    bundle = tuple(groups[0]) if groups else ()
    if len(set(bundle)) < len(bundle):
        raise session.bad("the BUNDLE group names a section twice")
    return bundle


# Sections

_M_LINE = re.compile(
    r"(?P<media>[0-9A-Za-z-]{1,32}) (?P<port>[0-9]{1,5})(?:/[0-9]{1,5})?"
    r" (?P<protocol>[A-Z/]{1,64})"
    r" (?P<formats>[0-9A-Za-z.+_-]{1,64}(?: [0-9A-Za-z.+_-]{1,64})*)"
)
_MID = re.compile(rf"[!#-'*+.0-9A-Z^-~-]{{1,{MAX_ID_LENGTH}}}")  # a token, RFC 8866, 9
_RID = re.compile(rf"[0-9A-Za-z_-]{{1,{MAX_ID_LENGTH}}}")  # RFC 8851, 10
_EXTMAP = re.compile(r"([0-9]{1,5})(?:/(sendrecv|sendonly|recvonly|inactive))? ([!-~]+)(?: .*)?")
_DIRECTIONS: tuple[Direction, ...] = ("sendrecv", "sendonly", "recvonly", "inactive")


def _section(block: _Block, session: _Block, bundle: Sequence[str]) -> OfferedSection:
    m_line = _M_LINE.fullmatch(block.m_line)
    if m_line is None or int(m_line["port"]) > 65535:
        raise block.bad("malformed m= line")
    mid = block.one("mid")
    if mid is not None and not _MID.fullmatch(mid):
        raise block.bad(f"its mid is not a token of at most {MAX_ID_LENGTH} characters")
    block.mid = mid or ""
    # Bundled sections may be offered with port 0 and a=bundle-only (RFC 8843, 6).
    stopped = int(m_line["port"]) == 0 and block.mid not in bundle
    media: str = m_line["media"]
    formats: list[str] = m_line["formats"].split(" ")
    kind: Kind = "audio" if media == "audio" else "video" if media == "video" else "other"
    relayed = kind != "other" and not stopped
    if relayed and block.mid not in bundle:
        raise block.bad("not in the BUNDLE group" if mid else "no a=mid")
    if relayed and m_line["protocol"] not in PROTOCOLS:
        raise block.bad("its protocol is not DTLS-SRTP")
    payload_types = _payload_types(block, formats) if kind != "other" else ()
    direction = _direction(block, session)
    ssrcs, rtx_ssrcs = _ssrcs(block) if relayed and direction.startswith("send") else ((), ())
    return OfferedSection(
        index=block.index or 0,
        mid=block.mid,
        kind=kind,
        media=media,
        protocol=m_line["protocol"],
        format=formats[0],
        direction=direction,
        stopped=stopped,
        reduced_size_rtcp=block.has("rtcp-rsize"),
        codecs=_codecs(block, kind, payload_types) if relayed else (),
        extensions=_extensions(block) if relayed else (),
        ssrcs=ssrcs,
        rtx_ssrcs=rtx_ssrcs,
        rids=_rids(block) if relayed else (),
    )


def _direction(block: _Block, session: _Block) -> Direction:
    for level in (block, session):
        found = [direction for direction in _DIRECTIONS if level.has(direction)]
        if len(found) > 1:
            raise level.bad("more than one direction")
        if found:
            return found[0]
    return "sendrecv"


def _codecs(block: _Block, kind: Kind, payload_types: Sequence[int]) -> tuple[OfferedCodec, ...]:
    rtpmaps = _by_payload_type(block, "rtpmap")
    texts = _by_payload_type(block, "fmtp")
    fmtps = {pt: parse_fmtp(text) for pt, text in texts.items()}
    feedback = _feedback(block)
    rtx: dict[int | None, int] = {}
    for pt in payload_types:
        if rtpmaps.get(pt, "").lower() == "rtx/90000":
            rtx.setdefault(_number(fmtps.get(pt, {}).get("apt", ""), 0, 127), pt)
    codecs = []
    for pt in payload_types:
        parameters = fmtps.get(pt, {})
        if codec := recognise(kind, rtpmaps.get(pt, ""), parameters):
            offered = feedback.get("*", frozenset()) | feedback.get(str(pt), frozenset())
            if codec.family is Family.RED:
                repeated = texts.get(pt, "")
                of = recognise(kind, rtpmaps.get(repeated_by_red(repeated) or -1, ""), {})
                if of is None or of.family is not Family.OPUS:
                    continue
            else:
                repeated = repeated_fmtp(codec, parameters)
            codecs.append(OfferedCodec(pt, codec, rtx.get(pt), repeated, offered))
    return tuple(codecs)


def _payload_types(block: _Block, formats: Iterable[str]) -> tuple[int, ...]:
    """The m= line's payload types, in order."""
    ordered: dict[int, None] = {}
    for text in formats:
        payload_type = _number(text, 0, 127)
        # With rtcp-mux, 64..95 would be taken for RTCP (RFC 5761, 4).
        if payload_type is None or 64 <= payload_type <= 95:
            raise block.bad(f"payload type {text} is not in 0..63 or 96..127")
        if payload_type in ordered:
            raise block.bad(f"payload type {payload_type} twice")
        ordered[payload_type] = None
    return tuple(ordered)


def _by_payload_type(block: _Block, name: str) -> dict[int, str]:
    """The a=rtpmap or a=fmtp values by payload type."""
    values: dict[int, str] = {}
    for value in block.all(name):
        number, _, text = value.partition(" ")
        payload_type = _number(number, 0, 127)
        if payload_type is None:
            raise block.bad(f"an a={name} without a payload type")
        if payload_type in values:
            raise block.bad(f"more than one a={name}:{payload_type}")
        values[payload_type] = text
    return values


def _feedback(block: _Block) -> dict[str, frozenset[str]]:
    """The known a=rtcp-fb values by payload type, which may be "*" (RFC 4585, 4.2)."""
    feedback: dict[str, frozenset[str]] = {}
    for value in block.all("rtcp-fb"):
        payload_type, _, name = value.partition(" ")
        if name in FEEDBACK:
            feedback[payload_type] = feedback.get(payload_type, frozenset()) | {name}
    return feedback


def _extmap(block: _Block) -> dict[int, tuple[str, Direction | None]]:
    """Every extension's URI and direction by id (RFC 8285, 5)."""
    extmap: dict[int, tuple[str, Direction | None]] = {}
    for value in block.all("extmap"):
        read = _extmap_value(value) if len(value) <= MAX_EXTMAP_LENGTH else None
        if read is None:
            raise block.bad("an a=extmap that is not <1..255> <URI>")
        number, uri, direction = read
        if number in extmap:
            raise block.bad(f"extension id {number} twice")
        extmap[number] = uri, direction
    return extmap


# Browsers repeat a dozen values in each section of each offer.
@lru_cache(maxsize=256)
def _extmap_value(value: str) -> tuple[int, str, Direction | None] | None:
    match = _EXTMAP.fullmatch(value)
    number = _number(match[1], 1, 255) if match else None
    if match is None or number is None:
        return None
    direction = next((known for known in _DIRECTIONS if known == match[2]), None)
    return number, match[3], direction


def _extensions(block: _Block) -> tuple[Extension, ...]:
    extensions = tuple(
        Extension(number, EXTENSIONS[uri], direction)
        for number, (uri, direction) in _extmap(block).items()
        if uri in EXTENSIONS
    )
    if len({extension.name for extension in extensions}) < len(extensions):
        raise block.bad("an extension under two ids")
    return extensions


def _ssrcs(block: _Block) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The media SSRCs, repaired ones first, and the RTX SSRCs in the same order.

    RTX is the second of a FID group (RFC 5576, 4.2).
    """
    listed: dict[int, None] = {}
    for value in block.all("ssrc"):
        ssrc = _number(value.partition(" ")[0], 1, 2**32 - 1)
        if ssrc is None:
            raise block.bad("an a=ssrc without an SSRC")
        listed[ssrc] = None
    if len(listed) > MAX_SSRCS:
        raise block.bad(f"more than {MAX_SSRCS} SSRCs")
    other: set[int] = set()
    rtx: dict[int, int] = {}
    for value in block.all("ssrc-group"):
        semantics, *members = value.split(" ")
        if semantics in ("FID", "FEC-FR"):
            for member in members[1:]:
                ssrc = _number(member, 1, 2**32 - 1)
                if ssrc not in listed:
                    raise block.bad("an a=ssrc-group of an SSRC that has no a=ssrc")
                other.add(ssrc)
                if semantics == "FID":
                    repaired = _number(members[0], 1, 2**32 - 1)
                    if repaired is not None:
                        rtx.setdefault(repaired, ssrc)
    media = sorted((ssrc for ssrc in listed if ssrc not in other), key=lambda ssrc: ssrc not in rtx)
    return tuple(media), tuple(rtx[ssrc] for ssrc in media if ssrc in rtx)


def _rids(block: _Block) -> tuple[str, ...]:
    """The layers of a=simulcast:send, in order; of alternatives the first (RFC 8853, 5.1)."""
    words = (block.one("simulcast") or "").split(" ")
    if "send" not in words[:-1]:
        return ()
    layers = words[words.index("send") + 1].split(";")
    rids = tuple(dict.fromkeys(layer.split(",")[0].removeprefix("~") for layer in layers))
    defined = {value.split(" ")[0] for value in block.all("rid")}
    if len(rids) > MAX_SSRCS:
        raise block.bad("too many simulcast layers")
    if not all(_RID.fullmatch(rid) and rid in defined for rid in rids):
        raise block.bad("an a=simulcast of a layer that has no valid a=rid")
    return rids


# What holds across sections, since they share one transport (RFC 8843, 9 and RFC 8285, 6)


def _check_mids(sections: Iterable[OfferedSection], bundle: Iterable[str]) -> None:
    seen = set()
    for section in sections:
        if section.mid in seen:
            raise BadOffer("a mid that another section has", section.index + 1, section.mid)
        if section.mid:
            seen.add(section.mid)
    if not seen.issuperset(bundle):
        raise BadOffer("the BUNDLE group names a section that is not there")


def _check_one_meaning(live: Iterable[OfferedSection], blocks: Sequence[_Block]) -> None:
    """One payload type is one codec, one extension id one extension, in all live sections."""
    payload_types: dict[int, Codec | int | str] = {}
    ids: dict[int, str] = {}
    numbers: dict[str, int] = {}
    for section in live:
        block = blocks[section.index]
        meanings: dict[int, Codec | int | str] = {
            payload_type: rtpmap.lower()
            for payload_type, rtpmap in _by_payload_type(block, "rtpmap").items()
        }
        for offered in section.codecs:
            meanings[offered.payload_type] = offered.codec
            if offered.rtx is not None:
                meanings[offered.rtx] = offered.payload_type
        for payload_type, meaning in meanings.items():
            if payload_types.setdefault(payload_type, meaning) != meaning:
                raise block.bad(f"payload type {payload_type} is another codec elsewhere")
        for number, (uri, _) in _extmap(block).items():
            if ids.setdefault(number, uri) != uri:
                raise block.bad(f"extension id {number} is another extension elsewhere")
        for known in section.extensions:
            if numbers.setdefault(known.name, known.id) != known.id:
                raise block.bad(f"extension {known.name} has another id elsewhere")


def _check_ssrcs(live: Iterable[OfferedSection]) -> None:
    seen: set[int] = set()
    for section in live:
        for ssrc in (*section.ssrcs, *section.rtx_ssrcs):
            if ssrc in seen:
                raise BadOffer(
                    f"SSRC {ssrc} is in another section too", section.index + 1, section.mid
                )
            seen.add(ssrc)


# The transport

_ICE_CHARACTERS = r"[0-9A-Za-z+/]"
_DIGEST_BYTES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}


def _holder(transport: Sequence[_Block], name: str) -> _Block:
    """The first block that has the attribute."""
    return next((block for block in transport if block.has(name)), transport[0])


def _check_transport(transport: Sequence[_Block], *, rtcp: bool) -> None:
    if rtcp and not _holder(transport, "rtcp-mux").has("rtcp-mux"):
        raise transport[0].bad("no a=rtcp-mux")
    if _holder(transport, "setup").one("setup") not in ("actpass", "active"):
        raise transport[0].bad("its a=setup is neither actpass nor active")


def _credentials(transport: Sequence[_Block]) -> tuple[str, str]:
    """ICE user name fragment and password, from one place (RFC 8839, 5.4)."""
    holder = _holder(transport, "ice-ufrag")
    ufrag, pwd = holder.one("ice-ufrag") or "", holder.one("ice-pwd") or ""
    if not re.fullmatch(_ICE_CHARACTERS + r"{4,256}", ufrag):
        raise transport[0].bad("no a=ice-ufrag of 4 to 256 ICE characters")
    if not re.fullmatch(_ICE_CHARACTERS + r"{22,256}", pwd):
        raise transport[0].bad("no a=ice-pwd of 22 to 256 ICE characters")
    return ufrag, pwd


def _fingerprints(transport: Sequence[_Block]) -> tuple[tuple[str, str], ...]:
    """The strong fingerprints (RFC 8122, 5), of the section before those of the session."""
    found = []
    for value in _holder(transport, "fingerprint").all("fingerprint"):
        algorithm, _, digest = value.partition(" ")
        algorithm, digest = algorithm.lower(), digest.upper()
        if size := _DIGEST_BYTES.get(algorithm):
            if not re.fullmatch(rf"[0-9A-F]{{2}}(?::[0-9A-F]{{2}}){{{size - 1}}}", digest):
                raise transport[0].bad(f"its {algorithm} fingerprint is malformed")
            found.append((algorithm, digest))
    if not found:
        raise transport[0].bad("no a=fingerprint of sha-256 or better")
    return tuple(dict.fromkeys(found))
