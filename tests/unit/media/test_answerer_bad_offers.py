"""What is refused, with which words, and how long that may take."""

import re
from contextlib import suppress
from time import process_time

import pytest

from media.errors import BadOffer
from media.offer import MAX_CHARACTERS, parse_offer
from tests.data.offers.stored import answer, stored

PUBLISH = stored("chromium/audio-video/1-publish")
FIREFOX = stored("firefox/receive/2-two-more-people")
SIMULCAST = stored("chromium/simulcast/1-publish")
FINGERPRINT = next(line for line in PUBLISH.splitlines() if "fingerprint" in line)
PWD = next(line for line in PUBLISH.splitlines() if "ice-pwd" in line)
UFRAG = next(line for line in PUBLISH.splitlines() if "ice-ufrag" in line)
SSRC = next(line for line in PUBLISH.splitlines() if "a=ssrc:" in line)

# Text in the offer, what it becomes, the refusal. Every occurrence is replaced.
EDITS = [
    ("v=0\r\n", "", "does not start with v=0"),
    ("s=-\r\n", "s\r\n", "line 3 is not <letter>=<value>"),
    ("s=-\r\n", "\r\n", "line 3 is not <letter>=<value>"),
    ("s=-\r\n", "s=a\rb\r\n", "line 3 is not <letter>=<value>"),
    ("s=-\r\n", "s=\0\r\n", "line 3 is not <letter>=<value>"),
    ("a=group:BUNDLE 0 1\r\n", "", "section 1 (mid 0): not in the BUNDLE group"),
    ("BUNDLE 0 1", "BUNDLE 0", "section 2 (mid 1): not in the BUNDLE group"),
    ("BUNDLE 0 1", "BUNDLE 0 0 1", "the BUNDLE group names a section twice"),
    ("BUNDLE 0 1", "BUNDLE 0 1 2", "the BUNDLE group names a section that is not there"),
    ("BUNDLE 0 1", "BUNDLE 0\r\na=group:BUNDLE 1", "more than one BUNDLE group"),
    ("BUNDLE 0 1", "BUNDLE" + " 0" * 65, "a BUNDLE group of more than 64 sections"),
    ("a=mid:1\r\n", "", "section 2: no a=mid"),
    ("a=mid:1\r\n", "a=mid:0\r\n", "section 2 (mid 0): a mid that another section has"),
    ("a=mid:1\r\n", "a=mid:1\r\na=mid:2\r\n", "section 2: more than one a=mid"),
    ("a=mid:1\r\n", "a=mid:1 1\r\n", "section 2: its mid is not a token of at most 16 characters"),
    ("a=mid:1\r\n", f"a=mid:{'1' * 17}\r\n", "section 2: its mid is not a token of at most 16 "),
    ("a=mid:1\r\n", "a=mid:\u0661\r\n", "section 2: its mid is not a token of at most 16 "),
    ("m=video 9 ", "m=video 65536 ", "section 2: malformed m= line"),
    ("m=video 9 ", "m=video ", "section 2: malformed m= line"),
    ("m=video 9 ", "m=vi\u0434eo 9 ", "section 2: malformed m= line"),
    (
        "m=video 9 UDP/TLS/RTP/SAVPF",
        "m=video 9 RTP/AVP",
        "section 2 (mid 1): its protocol is not DTLS-SRTP",
    ),
    ("SAVPF 96 97", "SAVPF 96 96", "section 2 (mid 1): payload type 96 twice"),
    ("SAVPF 96 97", "SAVPF 96 64", "section 2 (mid 1): payload type 64 is not in 0..63 or 96..127"),
    ("SAVPF 96 97", "SAVPF 96 128", "section 2 (mid 1): payload type 128 is not in 0..63 or 96.."),
    ("SAVPF 96 97", "SAVPF 96 x", "section 2 (mid 1): payload type x is not in 0..63 or 96..127"),
    ("a=rtpmap:96 ", "a=rtpmap:x ", "section 2 (mid 1): an a=rtpmap without a payload type"),
    ("a=rtpmap:96 ", "a=rtpmap:97 ", "section 2 (mid 1): more than one a=rtpmap:97"),
    ("a=fmtp:97 ", "a=fmtp:99 ", "section 2 (mid 1): more than one a=fmtp:99"),
    (
        "a=rtpmap:120 ulpfec/90000",
        "a=rtpmap:111 ulpfec/90000",
        "section 2 (mid 1): payload type 111 is another codec elsewhere",
    ),
    (
        "a=extmap:13 urn:3gpp:video-orientation",
        "a=extmap:1 urn:3gpp:video-orientation",
        "section 2 (mid 1): extension id 1 is another extension elsewhere",
    ),
    (
        "a=extmap:14 urn:ietf:params:rtp-hdrext:toffset",
        "a=extmap:14 urn:3gpp:video-orientation",
        "section 2 (mid 1): an extension under two ids",
    ),
    ("a=extmap:14 ", "a=extmap:13 ", "section 2 (mid 1): extension id 13 twice"),
    ("a=extmap:14 ", "a=extmap:256 ", "section 2 (mid 1): an a=extmap that is not <1..255> <URI>"),
    ("a=extmap:14 ", "a=extmap:0 ", "section 2 (mid 1): an a=extmap that is not <1..255> <URI>"),
    ("a=extmap:14 ", "a=extmap:", "section 2 (mid 1): an a=extmap that is not <1..255> <URI>"),
    (
        "a=sendonly\r\n",
        "a=sendonly\r\na=recvonly\r\n",
        "section 1 (mid 0): more than one direction",
    ),
    (SSRC, "a=ssrc:0 cname:x", "section 1 (mid 0): an a=ssrc without an SSRC"),
    (SSRC, "a=ssrc:4294967296 cname:x", "section 1 (mid 0): an a=ssrc without an SSRC"),
    (SSRC, "a=ssrc", "section 1 (mid 0): an a=ssrc without an SSRC"),
    (SSRC, "a=ssrc-group:FID 1 2", "section 1 (mid 0): an a=ssrc-group of an SSRC that has no a=s"),
    ("a=rtcp-mux\r\n", "", "section 1 (mid 0): no a=rtcp-mux"),
    ("a=setup:actpass", "a=setup:passive", "section 1 (mid 0): its a=setup is neither actpass nor"),
    ("a=setup:actpass\r\n", "", "section 1 (mid 0): its a=setup is neither actpass nor active"),
    (FINGERPRINT, "a=x", "section 1 (mid 0): no a=fingerprint of sha-256 or better"),
    ("a=fingerprint:sha-256", "a=fingerprint:sha-1", "section 1 (mid 0): no a=fingerprint of sha-"),
    (FINGERPRINT, FINGERPRINT[:-3], "section 1 (mid 0): its sha-256 fingerprint is malformed"),
    (FINGERPRINT, FINGERPRINT + ":00", "section 1 (mid 0): its sha-256 fingerprint is malformed"),
    (UFRAG, "a=x", "section 1 (mid 0): no a=ice-ufrag of 4 to 256 ICE characters"),
    (UFRAG, "a=ice-ufrag:abc", "section 1 (mid 0): no a=ice-ufrag of 4 to 256 ICE characters"),
    (UFRAG, "a=ice-ufrag:" + "a" * 257, "section 1 (mid 0): no a=ice-ufrag of 4 to 256 ICE chara"),
    (UFRAG, "a=ice-ufrag:abc:d", "section 1 (mid 0): no a=ice-ufrag of 4 to 256 ICE characters"),
    (UFRAG, f"{UFRAG}\r\n{UFRAG}", "section 1 (mid 0): more than one a=ice-ufrag"),
    (PWD, "a=ice-pwd:" + "a" * 21, "section 1 (mid 0): no a=ice-pwd of 22 to 256 ICE characters"),
    (PWD, "a=x", "section 1 (mid 0): no a=ice-pwd of 22 to 256 ICE characters"),
]


def secrets(sdp: str) -> list[str]:
    """ICE user names and passwords and fingerprint digests in an offer."""
    return re.findall(r"a=(?:ice-ufrag:|ice-pwd:|fingerprint:\S+ )(\S{4,})", sdp)


def refusal(sdp: str) -> BadOffer:
    with pytest.raises(BadOffer) as caught:
        parse_offer(sdp)
    assert caught.value.code == "rtc.bad_offer"
    assert not any(secret in str(caught.value) for secret in secrets(sdp) + secrets(PUBLISH))
    assert len(str(caught.value)) < 160
    return caught.value


@pytest.mark.parametrize(("old", "new", "message"), EDITS, ids=lambda text: ascii(text)[1:30])
def test_a_spoilt_offer_is_refused_in_words_that_lead_to_the_place(
    old: str, new: str, message: str
) -> None:
    assert old in PUBLISH
    assert str(refusal(PUBLISH.replace(old, new))).startswith(message)


def test_a_refusal_says_where_in_fields_too() -> None:
    error = refusal(PUBLISH.replace("m=video 9 UDP/TLS/RTP", "m=video 9 UDP/RTP"))
    assert (error.section, error.mid) == (2, "1")
    assert refusal("").section is None


def test_a_payload_type_that_means_another_profile_elsewhere_is_refused() -> None:
    receive = stored("chromium/receive/2-two-more-people")
    head, tail = receive.rsplit("a=fmtp:98 profile-id=0", 1)
    error = refusal(f"{head}a=fmtp:98 profile-id=1{tail}")
    assert str(error) == "section 6 (mid 5): payload type 98 is another codec elsewhere"


def test_a_repair_of_another_payload_type_elsewhere_is_refused() -> None:
    head, tail = FIREFOX.rsplit("a=fmtp:124 apt=120", 1)
    error = refusal(f"{head}a=fmtp:124 apt=121{tail.replace('a=fmtp:125 apt=121', 'a=x')}")
    assert error.reason == "payload type 124 is another codec elsewhere"


def test_an_extension_with_another_id_elsewhere_is_refused() -> None:
    head, tail = FIREFOX.rsplit("a=extmap:3 ", 1)
    error = refusal(f"{head}a=extmap:11 {tail}")
    assert error.reason == "extension mid has another id elsewhere"


def test_an_ssrc_in_two_sections_is_refused() -> None:
    video = re.findall(r"a=ssrc-group:FID (\d+)", PUBLISH)[0]
    audio = SSRC.removeprefix("a=ssrc:").split(" ")[0]
    error = refusal(PUBLISH.replace(f" {video} ", f" {audio} ").replace(f":{video} ", f":{audio} "))
    assert str(error) == f"section 2 (mid 1): SSRC {audio} is in another section too"


def test_more_than_16_ssrcs_in_a_section_are_refused() -> None:
    many = "\r\n".join(f"a=ssrc:{number} cname:x" for number in range(1, 18))
    assert refusal(PUBLISH.replace(SSRC, many)).reason == "more than 16 SSRCs"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("send q;h;f", "send q;h;x"),
        ("send q;h;f", "send q;h;"),
        ("send q;h;f", "send ~"),
        ("a=rid:f send", "a=rid:g send"),
        ("a=rid:f send", "a=x"),
    ],
)
def test_a_layer_that_has_no_rid_is_refused(old: str, new: str) -> None:
    assert old in SIMULCAST
    error = refusal(SIMULCAST.replace(old, new))
    assert error.reason == "an a=simulcast of a layer that has no valid a=rid"


def test_a_rid_that_does_not_fit_a_header_extension_is_refused() -> None:
    long = SIMULCAST.replace("a=rid:f", f"a=rid:{'f' * 17}").replace("q;h;f", f"q;h;{'f' * 17}")
    assert refusal(long).reason == "an a=simulcast of a layer that has no valid a=rid"


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_only_a_line_feed_ends_a_line(separator: str) -> None:
    offer = PUBLISH.replace("s=-", f"s=-{separator}m=audio 9 nonsense")
    assert len(parse_offer(offer).sections) == len(parse_offer(PUBLISH).sections)


def test_an_offer_with_nothing_live_is_refused() -> None:
    assert refusal("v=0\r\n").reason == "no live section"
    stopped = PUBLISH.replace("BUNDLE 0 1", "BUNDLE")
    stopped = stopped.replace("m=audio 9", "m=audio 0").replace("m=video 9", "m=video 0")
    assert refusal(stopped).reason == "no live section"


def test_a_65th_section_is_refused() -> None:
    sections = [f"m=audio 0 RTP/SAVPF 0\r\na=mid:x{number}\r\n" for number in range(63)]
    assert len(parse_offer(PUBLISH + "".join(sections[:62])).sections) == 64
    assert refusal(PUBLISH + "".join(sections)).reason == "more than 64 sections"


def test_an_offer_over_64_ki_characters_is_refused() -> None:
    padding = MAX_CHARACTERS - len(PUBLISH) - len("a=\r\n")
    assert parse_offer(f"{PUBLISH}a={'x' * padding}\r\n").sections
    assert refusal(f"{PUBLISH}a={'x' * (padding + 1)}\r\n").reason.startswith("longer than 65536")


def filled(line: str) -> str:
    """The stored offer with as many of these lines ("{}" is a count) as fit."""
    numbered: list[str] = []
    size = len(PUBLISH)
    while size + len(line) + 10 < MAX_CHARACTERS:
        numbered.append(line.format(len(numbered)) + "\r\n")
        size += len(numbered[-1])
    return PUBLISH + "".join(numbered)


def cpu_seconds(sdp: str) -> float:
    before = process_time()
    with suppress(BadOffer):
        answer(sdp)
    return process_time() - before


@pytest.mark.parametrize(
    "sdp",
    [
        filled("a=ssrc:{} cname:x"),
        filled("a=ssrc-group:FID 1 {}"),
        filled("a=rtcp-fb:* nack"),
        filled("a=rtcp-fb:{} nack pli"),
        filled("a=fmtp:{} apt=96"),
        filled("a=extmap:{} urn:x"),
        filled("a=rid:r{} send"),
        filled("a={}:x"),
        filled("a=candidate:{}"),
        filled("a"),
        PUBLISH.replace("minptime=10", ";" * 50000),
        PUBLISH.replace("minptime=10", "=;a" * 19000),
        PUBLISH.replace("SAVPF 96", "SAVPF" + " 96" * 19000),
        PUBLISH.replace("SAVPF 96", "SAVPF" + " " * 50000),
        PUBLISH.replace("BUNDLE 0 1", "BUNDLE" + " 1" * 29000),
        SIMULCAST.replace("send q", "send" + " q;" * 19000),
        SIMULCAST.replace("send q", "send q" + ";~q,q" * 11000),
        PUBLISH + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:x\r\n" * 1200,
        "v=0\r\n" + "m=" * 30000,
        "v=0\r\na=group:BUNDLE" + "\r\na=group:BUNDLE" * 3800,
        "\r\n" * 32768,
        "\r" * 65536,
    ],
    ids=lambda sdp: ascii(sdp[-30:]),
)
def test_64_ki_of_anything_take_a_tenth_of_a_second_at_most(sdp: str) -> None:
    assert len(sdp) <= MAX_CHARACTERS
    assert min(cpu_seconds(sdp) for _ in range(3)) < 0.1
