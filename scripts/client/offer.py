"""The SDP of a participant without a browser: an offer like Chromium's, and its answer read.

Pure. An offer lists what Chromium lists for one codec of each kind; an answer is read for
the few values that a client needs, and trusted, since it comes from our own server.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["audio", "video"]

PAYLOAD_TYPES: Final[Mapping[Kind, int]] = {"audio": 111, "video": 96}
CLOCKS_KHZ: Final = {111: 48, 96: 90}
"""Of the payload types that carry media (RFC 7587, 4.1; RFC 7741, 6.1)."""

_MID: Final = "urn:ietf:params:rtp-hdrext:sdes:mid"
_TWCC: Final = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
_EXTENSIONS: Final[Mapping[Kind, Mapping[int, str]]] = {
    "audio": {
        1: "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
        2: "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        3: _TWCC,
        4: _MID,
    },
    "video": {
        2: "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        13: "urn:3gpp:video-orientation",
        3: _TWCC,
        4: _MID,
        10: "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        11: "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
    },
}
_CODECS: Final[Mapping[Kind, Sequence[str]]] = {
    "audio": (
        "a=rtpmap:111 opus/48000/2",
        "a=rtcp-fb:111 transport-cc",
        "a=fmtp:111 minptime=10;useinbandfec=1",
    ),
    "video": (
        "a=rtpmap:96 VP8/90000",
        "a=rtcp-fb:96 goog-remb",
        "a=rtcp-fb:96 transport-cc",
        "a=rtcp-fb:96 ccm fir",
        "a=rtcp-fb:96 nack",
        "a=rtcp-fb:96 nack pli",
        "a=rtpmap:97 rtx/90000",
        "a=fmtp:97 apt=96",
    ),
}
_FORMATS: Final[Mapping[Kind, str]] = {"audio": "111", "video": "96 97"}


@dataclass(frozen=True, slots=True)
class Section:
    """One m= section of the offer. ssrc: what it sends; None where it only receives."""

    kind: Kind
    ssrc: int | None


@dataclass(frozen=True, slots=True)
class OurTransport:
    """The offerer's side. fingerprint: of its certificate, sha-256, "AA:BB:…"."""

    ufrag: str
    pwd: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class AnsweredSection:
    """direction: of the answer. ssrc: what the server sends in it, None where it does not.

    mid_id, twcc_id: extension ids, 0 where not agreed.
    """

    direction: str
    ssrc: int | None
    mid_id: int
    twcc_id: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The server's side; sections by mid."""

    address: tuple[str, int]
    ufrag: str
    pwd: str
    fingerprint: str
    sections: Mapping[str, AnsweredSection]


def compose_offer(sections: Sequence[Section], ours: OurTransport, version: int) -> str:
    """An offer of `sections`, in one bundle; a section's mid is its index.

    version: grows with each offer of a connection (RFC 8866, 5.2).
    """
    return "".join(f"{line}\r\n" for line in _lines(sections, ours, version))


def _lines(sections: Sequence[Section], ours: OurTransport, version: int) -> Iterator[str]:
    yield "v=0"
    yield f"o=- 4611732014251234567 {version} IN IP4 127.0.0.1"
    yield "s=-"
    yield "t=0 0"
    yield f"a=group:BUNDLE {' '.join(str(mid) for mid in range(len(sections)))}"
    yield "a=extmap-allow-mixed"
    yield "a=msid-semantic: WMS"
    for mid, section in enumerate(sections):
        yield f"m={section.kind} 9 UDP/TLS/RTP/SAVPF {_FORMATS[section.kind]}"
        yield "c=IN IP4 0.0.0.0"
        yield "a=rtcp:9 IN IP4 0.0.0.0"
        yield f"a=ice-ufrag:{ours.ufrag}"
        yield f"a=ice-pwd:{ours.pwd}"
        yield "a=ice-options:trickle"
        yield f"a=fingerprint:sha-256 {ours.fingerprint}"
        yield "a=setup:actpass"
        yield f"a=mid:{mid}"
        for number, uri in _EXTENSIONS[section.kind].items():
            yield f"a=extmap:{number} {uri}"
        yield "a=recvonly" if section.ssrc is None else "a=sendonly"
        if section.ssrc is not None:
            yield f"a=msid:own own-{section.kind}"
        yield "a=rtcp-mux"
        yield "a=rtcp-rsize"
        yield from _CODECS[section.kind]
        if section.ssrc is not None:
            yield f"a=ssrc:{section.ssrc} cname:own"
            yield f"a=ssrc:{section.ssrc} msid:own own-{section.kind}"


def read_answer(sdp: str) -> Answer:
    """What a client needs of the server's answer. Raises ValueError where it lacks something."""
    lines = [line.strip() for line in sdp.splitlines() if line.strip()]
    candidate = _value(lines, "a=candidate:").split()
    return Answer(
        address=(candidate[4], int(candidate[5])),
        ufrag=_value(lines, "a=ice-ufrag:"),
        pwd=_value(lines, "a=ice-pwd:"),
        fingerprint=_value(lines, "a=fingerprint:sha-256 "),
        sections={
            _value(block, "a=mid:"): _answered(block)
            for block in _blocks(lines)
            if block[0].split()[1] != "0"
        },
    )


def _blocks(lines: Sequence[str]) -> Iterator[list[str]]:
    starts = [index for index, line in enumerate(lines) if line.startswith("m=")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield list(lines[start:end])


def _value(lines: Sequence[str], prefix: str) -> str:
    for line in lines:
        if line.startswith(prefix):
            return line.removeprefix(prefix)
    raise ValueError(f"the answer has no {prefix}")


def _answered(block: Sequence[str]) -> AnsweredSection:
    ids: dict[str, int] = {}
    ssrc: int | None = None
    direction = "sendrecv"
    for line in block:
        if line.startswith("a=extmap:"):
            number, uri = line.removeprefix("a=extmap:").split()[:2]
            ids[uri] = int(number.split("/")[0])
        elif line.startswith("a=ssrc:") and ssrc is None:
            ssrc = int(line.removeprefix("a=ssrc:").split()[0])
        elif line[2:] in ("sendrecv", "sendonly", "recvonly", "inactive"):
            direction = line[2:]
    return AnsweredSection(direction, ssrc, ids.get(_MID, 0), ids.get(_TWCC, 0))
