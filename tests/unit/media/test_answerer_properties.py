"""Any text is answered or refused, and an answer is nothing but what this server says."""

import re
from collections.abc import Callable

from aiortc.sdp import SessionDescription
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from media.answerer import Plan
from media.errors import BadOffer
from media.offer import MAX_CHARACTERS, parse_offer
from tests.data.offers.stored import OURS, answer, files, read, stored

OFFERS = [read(path) for path in files()]
LINES = sorted({line for offer in OFFERS for line in offer.split("\r\n")})

_NUMBER = r"(?:0|[1-9]\d{0,2})"
_TOKEN = r"[!#-'*+.0-9A-Z^-~-]{1,16}"
_PARAMETER = r"(?:[a-z-]+=\d{1,7}|profile-level-id=[0-9A-Fa-f]{6})"
# Every line an answer may have; what is fixed stands here, what was offered has a shape.
_ANSWER_LINES = re.compile(
    "|".join(
        [
            r"v=0|s=-|t=0 0|a=ice-lite|a=extmap-allow-mixed|a=msid-semantic: WMS \*",
            r"o=- 2026 1 IN IP4 192\.0\.2\.1|c=IN IP4 (?:192\.0\.2\.1|0\.0\.0\.0)",
            rf"a=group:BUNDLE {_TOKEN}(?: {_TOKEN})*|a=mid:{_TOKEN}",
            rf"m=(?:audio|video) 40000 (?:UDP/TLS/|TCP/TLS/)?RTP/SAVPF {_NUMBER}(?: {_NUMBER})*",
            r"m=[0-9A-Za-z-]{1,32} 0 [A-Z/]{1,64} [0-9A-Za-z.+_-]{1,64}",
            r"a=candidate:\d 1 udp \d+ (?:192\.0\.2\.1|2001:db8::1) 40000 typ host",
            r"a=end-of-candidates|a=setup:passive|a=rtcp-mux|a=rtcp-rsize",
            re.escape(f"a=ice-ufrag:{OURS.ufrag}"),
            re.escape(f"a=ice-pwd:{OURS.pwd}"),
            re.escape(f"a=fingerprint:sha-256 {OURS.fingerprint}"),
            r"a=(?:sendonly|recvonly|inactive)",
            rf"a=extmap:{_NUMBER}(?:/(?:sendrecv|sendonly|recvonly))? (?:urn|https?):[!-~]+",
            rf"a=rtpmap:{_NUMBER} (?:(?:opus|red)/48000/2|(?:VP8|VP9|AV1|H264|rtx)/90000)",
            rf"a=rtcp-fb:{_NUMBER} (?:transport-cc|ccm fir|nack|nack pli)",
            rf"a=fmtp:{_NUMBER} {_PARAMETER}(?:;{_PARAMETER})*",
            r"a=fmtp:\d{1,3} \d{1,3}(?:/\d{1,3})+",
            rf"a=msid:person{_TOKEN} track|a=ssrc:[56]0\d\d cname:plumm",
            r"a=ssrc-group:FID 50(\d\d) 60\1",
            r"a=rid:[0-9A-Za-z_-]{1,16} recv",
            r"a=simulcast:recv [0-9A-Za-z_-]{1,16}(?:;[0-9A-Za-z_-]{1,16}){0,3}",
        ]
    ),
    re.ASCII,
)


def check_answer(offered: str, sdp: str, plan: Plan) -> None:
    lines = sdp.removesuffix("\r\n").split("\r\n")
    strange = [line for line in lines if not _ANSWER_LINES.fullmatch(line)]
    assert not strange

    offer = parse_offer(offered)
    parsed = SessionDescription.parse(sdp)
    assert [each.rtp.muxId for each in parsed.media] == [each.mid for each in offer.sections]
    assert [each.kind for each in parsed.media] == [each.media for each in offer.sections]
    accepted = [each.rtp.muxId for each in parsed.media if each.port]
    assert sorted(accepted) == sorted(offer.bundle)
    assert [group.items for group in parsed.group] == ([list(offer.bundle)] if accepted else [])

    for each in parsed.media:
        for extension in each.rtp.headerExtensions:
            assert extension.id in plan.extensions.values()
        for codec in each.rtp.codecs:
            assert (codec.payloadType in plan.codecs) != (codec.payloadType in plan.rtx)
    assert [each.rtp.muxId for each in parsed.media if each.direction == "recvonly"] == [
        publication.mid for publication in plan.publications
    ]
    taken = [publication.rids for publication in plan.publications if publication.rids]
    assert [line for line in lines if line.startswith("a=simulcast:")] == [
        f"a=simulcast:recv {';'.join(rids)}" for rids in taken
    ]
    assert {each.rtp.muxId for each in parsed.media if each.direction == "sendonly"} == set(
        plan.slots
    )


def answered_or_refused(sdp: str) -> bool:
    try:
        made = answer(sdp)
    except BadOffer:
        return False
    check_answer(sdp, *made)
    return True


# Mutations: a list of lines to a list of lines.

Mutation = Callable[[list[str]], list[str]]


def _drop(at: int, count: int) -> Mutation:
    return lambda lines: lines[: at % len(lines)] + lines[at % len(lines) + count :]


def _repeat(at: int, to: int) -> Mutation:
    def repeat(lines: list[str]) -> list[str]:
        position = to % len(lines)
        return [*lines[:position], lines[at % len(lines)], *lines[position:]]

    return repeat


def _swap(one: int, other: int) -> Mutation:
    def swap(lines: list[str]) -> list[str]:
        swapped = list(lines)
        i, j = one % len(lines), other % len(lines)
        swapped[i], swapped[j] = lines[j], lines[i]
        return swapped

    return swap


def _number(at: int, which: int, to: int) -> Mutation:
    def number(lines: list[str]) -> list[str]:
        places = [
            (row, match) for row, line in enumerate(lines) for match in re.finditer(r"\d+", line)
        ]
        if not places:
            return lines
        row, match = places[(at + which) % len(places)]
        text = lines[row][: match.start()] + str(to) + lines[row][match.end() :]
        return [*lines[:row], text, *lines[row + 1 :]]

    return number


def _cut(at: int, column: int) -> Mutation:
    def cut(lines: list[str]) -> list[str]:
        row = at % len(lines)
        return [*lines[:row], lines[row][:column]]

    return cut


def _write(at: int, column: int, text: str) -> Mutation:
    def write(lines: list[str]) -> list[str]:
        row = at % len(lines)
        column_there = column % (len(lines[row]) + 1)
        written = lines[row][:column_there] + text + lines[row][column_there:]
        return [*lines[:row], written, *lines[row + 1 :]]

    return write


def _insert(at: int, line: str) -> Mutation:
    return lambda lines: [*lines[: at % len(lines)], line, *lines[at % len(lines) :]]


rows = st.integers(0, 600)
numbers = st.one_of(
    st.integers(0, 300), st.sampled_from([2**16, 2**31, 2**32 - 1, 2**32, 10**20, -1])
)
mutations = st.one_of(
    st.builds(_drop, rows, st.integers(1, 40)),
    st.builds(_repeat, rows, rows),
    st.builds(_swap, rows, rows),
    st.builds(_number, rows, st.integers(0, 9), numbers),
    st.builds(_cut, rows, st.integers(0, 60)),
    st.builds(_write, rows, st.integers(0, 80), st.text(max_size=6)),
    st.builds(_insert, rows, st.sampled_from(LINES)),
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(OFFERS), st.lists(mutations, min_size=1, max_size=4))
def test_a_mutated_offer_is_answered_or_refused(offer: str, changes: list[Mutation]) -> None:
    lines = offer.removesuffix("\r\n").split("\r\n")
    for change in changes:
        lines = change(lines) or [""]
    answered_or_refused("\r\n".join(lines))


@settings(max_examples=300, deadline=None)
@given(st.text())
@example("")
@example("v=0")
@example("\ud800")
@example("v=0\r\ns=\udfff")
@example("v=0\u2028m=audio")
def test_any_text_is_answered_or_refused(text: str) -> None:
    answered_or_refused(text)
    answered_or_refused("v=0\r\n" + text)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=40), st.sampled_from(["\r\n", "\n", "\r"]))
def test_a_shuffle_of_real_lines_is_answered_or_refused(lines: list[str], end: str) -> None:
    answered_or_refused("v=0" + end + end.join(lines))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(OFFERS), st.integers(0, MAX_CHARACTERS))
def test_a_truncated_offer_is_answered_or_refused(offer: str, length: int) -> None:
    answered_or_refused(offer[: length % len(offer)])


def test_each_kind_of_line_may_lack_be_doubled_or_have_no_value() -> None:
    for offer in (
        stored("chromium/audio-video/1-publish"),
        stored("chromium/simulcast/1-publish"),
        stored("firefox/simulcast/1-publish"),
    ):
        lines = offer.splitlines(keepends=True)
        for name, line in {line.partition(":")[0].strip(): line for line in lines}.items():
            for spoilt in ("", line + line, f"{name}\r\n", f"{name}:\r\n", f"{name}: \r\n"):
                answered_or_refused(offer.replace(line, spoilt))


def test_every_stored_offer_is_answered() -> None:
    assert all(answered_or_refused(offer) for offer in OFFERS)
