"""What an answer accepts of an offer, and the plan that goes with it.

The offers are stored ones, edited where the case needs it.
"""

import re
from dataclasses import replace

import pytest
from aiortc.sdp import MediaDescription, SessionDescription

from media.answerer import Plan, Publication, Slot, make_answer
from media.codec import Family
from media.offer import OfferedSection, parse_offer
from tests.data.offers.stored import OURS, answer, stored

PUBLISH = stored("chromium/audio-video/1-publish")
RECEIVE = stored("chromium/receive/2-two-more-people")
SCALABLE = stored("chromium/scalable-video/1-publish")
SIMULCAST = stored("chromium/simulcast/1-publish")
FIREFOX = stored("firefox/receive/2-two-more-people")
SLOT = Slot(ssrc=77, rtx_ssrc=78, stream_id="anna", track_id="camera", cname="plumm")


def edited(sdp: str, *edits: tuple[str, str]) -> str:
    """The SDP with each text replaced, wherever it stands; it must stand somewhere."""
    for old, new in edits:
        assert old in sdp, old
        sdp = sdp.replace(old, new)
    return sdp


def sections(sdp: str) -> list[str]:
    """The answer's m= sections, each with its m= line."""
    return ["m=" + text for text in sdp.split("\r\nm=")[1:]]


def section(sdp: str, mid: str) -> str:
    (found,) = (text for text in sections(sdp) if f"\r\na=mid:{mid}\r\n" in text)
    return found


def offered(sdp: str, mid: str) -> OfferedSection:
    (found,) = (each for each in parse_offer(sdp).sections if each.mid == mid)
    return found


def extensions(text: str) -> list[str]:
    lines = [line.removeprefix("a=extmap:") for line in text.splitlines() if "extmap:" in line]
    return sorted(line.split(" ")[1].rsplit("/")[-1].rsplit(":")[-1] for line in lines)


def lines(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(start)]


# Directions, slots and publications


def test_what_the_browser_sends_in_is_received_and_published() -> None:
    sdp, plan = answer(PUBLISH)
    assert ["a=recvonly" in text.splitlines() for text in sections(sdp)] == [True, True]
    audio, video = plan.publications
    assert (audio.mid, audio.kind, len(audio.ssrcs), audio.rtx_ssrcs) == ("0", "audio", 1, ())
    assert (video.mid, video.kind, len(video.ssrcs), len(video.rtx_ssrcs)) == ("1", "video", 1, 1)
    (fid,) = lines(PUBLISH, "a=ssrc-group:FID")
    assert fid == f"a=ssrc-group:FID {video.ssrcs[0]} {video.rtx_ssrcs[0]}"


def test_a_section_with_a_slot_sends_the_slots_stream() -> None:
    sdp, plan = make_answer(parse_offer(RECEIVE), OURS, {"3": SLOT})
    assert plan.slots == {"3": SLOT}
    text = section(sdp, "3")
    assert "a=sendonly" in text
    assert lines(text, "a=msid:") == ["a=msid:anna camera"]
    assert lines(text, "a=ssrc:") == [
        "a=ssrc:77 cname:plumm",
        "a=ssrc:78 cname:plumm",
    ]


def test_a_section_without_a_slot_is_inactive_but_stays_in_the_bundle() -> None:
    sdp, plan = make_answer(parse_offer(RECEIVE), OURS, {"3": SLOT})
    text = section(sdp, "5")
    assert "a=inactive" in text
    assert not text.startswith("m=video 0")
    assert "a=ssrc" not in text
    assert "a=msid" not in text
    assert "a=group:BUNDLE 0 1 2 3 4 5\r\n" in sdp
    assert "5" not in plan.slots


def test_a_slot_for_a_section_that_sends_or_is_not_there_is_not_used() -> None:
    sdp, plan = make_answer(parse_offer(PUBLISH), OURS, {"0": SLOT, "9": SLOT})
    assert plan.slots == {}
    assert "anna" not in sdp


def test_sendrecv_is_received_only() -> None:
    sdp, plan = make_answer(
        parse_offer(stored("chromium/both-directions/1-publish")), OURS, {"0": SLOT}
    )
    assert [lines(text, "a=recvonly") for text in sections(sdp)] == [["a=recvonly"]] * 2
    assert [publication.mid for publication in plan.publications] == ["0", "1"]
    assert plan.slots == {}


def test_an_inactive_section_stays_inactive_and_publishes_nothing() -> None:
    sdp, plan = answer(stored("chromium/inactive/2-pause"))
    assert "a=inactive" in section(sdp, "1")
    assert "a=inactive" in section(sdp, "3")
    assert [publication.mid for publication in plan.publications] == ["0"]
    assert list(plan.slots) == ["2"]


def test_without_a_direction_the_sessions_holds_and_else_sendrecv() -> None:
    bare = edited(PUBLISH, ("a=sendonly\r\n", ""))
    assert [each.direction for each in parse_offer(bare).sections] == ["sendrecv"] * 2
    session = edited(bare, ("t=0 0\r\n", "t=0 0\r\na=recvonly\r\n"))
    assert [each.direction for each in parse_offer(session).sections] == ["recvonly"] * 2


# Stopped, reused and refused sections


def test_every_answer_has_the_offers_sections_in_order_when_one_is_reused_for_another_kind() -> (
    None
):
    kinds, mids = [], []
    for step in (
        "1-publish-and-receive",
        "2-stop-camera",
        "3-an-audio-in-its-place",
        "4-stop-the-first-section",
        "5-a-screen-in-its-place",
    ):
        sdp, _ = answer(stored(f"chromium/reused-section/{step}"))
        kinds.append([line.split(" ")[0] for line in lines(sdp, "m=")])
        mids.append([line.removeprefix("a=mid:") for line in lines(sdp, "a=mid:")])
        ports = [line.split(" ")[1] for line in lines(sdp, "m=")]
        rejected = {"2-stop-camera": 1, "4-stop-the-first-section": 0}.get(step)
        assert [port == "0" for port in ports] == [index == rejected for index in range(4)]
    assert kinds[0] == kinds[1] == ["m=audio", "m=video", "m=audio", "m=video"]
    assert kinds[2] == kinds[3] == ["m=audio", "m=audio", "m=audio", "m=video"]
    assert kinds[4] == ["m=video", "m=audio", "m=audio", "m=video"]
    assert mids == [
        ["0", "1", "2", "3"],
        ["0", "1", "2", "3"],
        ["0", "4", "2", "3"],
        ["0", "4", "2", "3"],
        ["5", "4", "2", "3"],
    ]


def test_port_0_is_stopped_only_outside_the_bundle_group() -> None:
    sdp, _ = answer(FIREFOX)
    assert lines(FIREFOX, "m=")[1].startswith("m=video 0 ")
    assert not any(line.split(" ")[1] == "0" for line in lines(sdp, "m="))
    assert "bundle-only" not in sdp

    sdp, plan = answer(stored("firefox/reused-section/2-stop-camera"))
    assert [line.split(" ")[1] == "0" for line in lines(sdp, "m=")] == [False, True, False, False]
    assert "a=group:BUNDLE 0 2 3\r\n" in sdp
    assert [publication.mid for publication in plan.publications] == ["0"]


def test_a_data_channel_is_rejected_and_the_rest_answered() -> None:
    sdp, plan = answer(stored("chromium/data-channel/1-channel-first"))
    assert sections(sdp) == [
        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n"
        "c=IN IP4 0.0.0.0\r\na=mid:0\r\na=inactive\r\n"
    ]
    assert "BUNDLE" not in sdp
    assert plan == Plan({}, {}, {}, (), {})

    sdp, plan = answer(stored("chromium/data-channel/2-publish"))
    assert "a=group:BUNDLE 1 2\r\n" in sdp
    assert "a=candidate" in section(sdp, "1")
    assert [publication.mid for publication in plan.publications] == ["1", "2"]


@pytest.mark.parametrize("group", ["a=group:BUNDLE 0 1 t", "a=group:BUNDLE 0 1"])
def test_an_unknown_kind_is_rejected_bundled_or_not(group: str) -> None:
    text = "m=text 9 UDP/TLS/RTP/SAVPF 98\r\na=mid:t\r\na=sendonly\r\na=rtpmap:98 t140/1000\r\n"
    sdp, plan = answer(edited(PUBLISH, ("a=group:BUNDLE 0 1", group)) + text)
    assert "a=group:BUNDLE 0 1\r\n" in sdp
    assert sections(sdp)[2].startswith("m=text 0 UDP/TLS/RTP/SAVPF 98\r\n")
    assert len(plan.publications) == 2


def test_a_section_without_a_codec_we_forward_is_rejected() -> None:
    sdp, plan = answer(edited(PUBLISH, ("opus/48000/2", "speex/48000/2")))
    assert lines(sdp, "m=")[0] == "m=audio 0 UDP/TLS/RTP/SAVPF 111"
    assert "a=group:BUNDLE 1\r\n" in sdp
    assert "a=candidate" in section(sdp, "1")
    assert [publication.mid for publication in plan.publications] == ["1"]


# Codecs


def test_codecs_pass_in_the_offers_order_with_their_rtx() -> None:
    sdp, plan = answer(PUBLISH)
    assert lines(sdp, "m=")[1] == (
        "m=video 40000 UDP/TLS/RTP/SAVPF "
        "96 97 102 103 104 107 108 109 114 115 116 117 39 40 45 46 98 99 100 101"
    )
    assert plan.rtx[97] == 96
    assert "a=fmtp:97 apt=96" in sdp
    assert plan.rtx.keys().isdisjoint(plan.codecs)
    assert set(plan.rtx.values()) <= set(plan.codecs)


def test_another_order_of_codecs_is_kept() -> None:
    (m_line,) = lines(PUBLISH, "m=video")
    sdp, _ = answer(edited(PUBLISH, (m_line, "m=video 9 UDP/TLS/RTP/SAVPF 45 46 99 98 96")))
    assert lines(sdp, "m=")[1] == "m=video 40000 UDP/TLS/RTP/SAVPF 45 46 98 99 96"


@pytest.mark.parametrize("sdp", [RECEIVE, FIREFOX], ids=["chromium", "firefox"])
def test_downward_each_codec_is_acknowledged_by_transport_wide_feedback(sdp: str) -> None:
    made, plan = answer(sdp)
    assert plan.slots
    for mid in plan.slots:
        text = section(made, mid)
        codecs = [
            number
            for number, codec in plan.codecs.items()
            # What RED holds is Opus, which has it.
            if f"a=rtpmap:{number} " in text and codec.family is not Family.RED
        ]
        assert codecs
        assert all(f"a=rtcp-fb:{codec} transport-cc\r\n" in text for codec in codecs)
        assert "transport-wide-cc-extensions-01" in text


@pytest.mark.parametrize("sdp", [RECEIVE, FIREFOX], ids=["chromium", "firefox"])
def test_downward_video_names_the_ssrc_that_repairs_it(sdp: str) -> None:
    """Firefox ignores RTX without the FID line; both take it from the ssrc lines' order."""
    made, plan = answer(sdp)
    for mid, slot in plan.slots.items():
        text = section(made, mid)
        if text.startswith("m=audio"):
            assert slot.rtx_ssrc == 0
            assert "ssrc-group" not in text
            assert text.count("a=ssrc:") == 1
            continue
        assert "rtx/90000" in text
        assert (
            f"a=ssrc-group:FID {slot.ssrc} {slot.rtx_ssrc}\r\n"
            f"a=ssrc:{slot.ssrc} cname:plumm\r\n"
            f"a=ssrc:{slot.rtx_ssrc} cname:plumm\r\n"
        ) in text + "\r\n"


def test_without_rtx_in_the_offer_its_ssrc_is_not_named() -> None:
    made, _ = answer(re.sub(r"a=rtpmap:\d+ rtx/90000\r\n", "", RECEIVE))
    assert "ssrc-group" not in made
    assert "rtx" not in made


def test_a_publication_is_asked_again_only_where_every_codec_takes_it() -> None:
    _, plan = answer(PUBLISH)
    assert [each.nack for each in plan.publications] == [False, True]
    _, plan = answer(edited(PUBLISH, ("a=rtcp-fb:96 nack\r\n", "")))
    assert [each.nack for each in plan.publications] == [False, False]


def test_repairs_stand_in_the_order_of_what_they_repair() -> None:
    video = section(PUBLISH, "1")
    first, repair = re.findall(r"a=ssrc-group:FID (\d+) (\d+)", video)[0]
    lone = f"a=ssrc:5 cname:x\r\na=ssrc-group:FID {first} {repair}"
    _, plan = answer(edited(PUBLISH, (f"a=ssrc-group:FID {first} {repair}", lone)))
    assert plan.publications[1].ssrcs == (int(first), 5)
    assert plan.publications[1].rtx_ssrcs == (int(repair),)


def test_sound_that_is_offered_twice_is_wanted_twice() -> None:
    """The first payload type is what Chromium sends."""
    sdp, plan = answer(PUBLISH)
    assert "m=audio 40000 UDP/TLS/RTP/SAVPF 63 111\r\n" in sdp
    assert "a=rtpmap:63 red/48000/2\r\n" in sdp
    assert "a=fmtp:63 111/111\r\n" in sdp
    assert plan.codecs[63].family is Family.RED
    assert plan.codecs[111].family is Family.OPUS


@pytest.mark.parametrize("blocks", ["", "111", "111/110", "110/110", "9/9", "63/63", "1111/1111"])
def test_red_of_anything_but_opus_alone_is_not_accepted(blocks: str) -> None:
    sdp, plan = answer(edited(PUBLISH, ("a=fmtp:63 111/111", f"a=fmtp:63 {blocks}")))
    assert "red/" not in sdp
    assert 63 not in plan.codecs


def test_reds_of_pictures_are_not_accepted() -> None:
    assert "red/90000" in FIREFOX
    assert "red/" not in answer(FIREFOX)[0]


def test_dtx_and_fec_are_as_the_offer_has_them() -> None:
    assert "a=fmtp:111 minptime=10;useinbandfec=1\r\n" in answer(PUBLISH)[0]
    dtx = edited(PUBLISH, ("minptime=10;useinbandfec=1", "minptime=10;usedtx=1"))
    assert "a=fmtp:111 minptime=10;usedtx=1\r\n" in answer(dtx)[0]


def test_only_offered_feedback_is_accepted() -> None:
    sdp, _ = answer(edited(PUBLISH, ("a=rtcp-fb:96 nack\r\n", "")))
    assert lines(sdp, "a=rtcp-fb:96 ") == [
        "a=rtcp-fb:96 transport-cc",
        "a=rtcp-fb:96 ccm fir",
        "a=rtcp-fb:96 nack pli",
    ]
    assert lines(sdp, "a=rtcp-fb:102 nack") == ["a=rtcp-fb:102 nack", "a=rtcp-fb:102 nack pli"]
    assert lines(sdp, "a=rtcp-fb:111") == ["a=rtcp-fb:111 transport-cc"]


def test_feedback_may_be_offered_for_every_payload_type() -> None:
    sdp, _ = answer(edited(PUBLISH, ("a=rtcp-fb:96 nack pli", "a=rtcp-fb:* nack pli")))
    assert "a=rtcp-fb:96 nack pli\r\n" in sdp


def test_browsers_agree_on_codecs_whatever_their_payload_types() -> None:
    chromium, firefox = (set(answer(sdp)[1].codecs.values()) for sdp in (PUBLISH, FIREFOX))
    shared = sorted(f"{codec.name} {codec.fmtp}".strip() for codec in chromium & firefox)
    # H264 is in Firefox only once it has fetched Cisco's library.
    assert shared == ["AV1 profile=0", "VP8", "VP9 profile-id=0", "opus"]


# Extensions


def test_extensions_are_the_same_in_both_directions() -> None:
    """Chromium gives a section added later what the first one of its kind got."""
    sdp, _ = answer(RECEIVE)
    for mid in "024":
        assert extensions(section(sdp, mid)) == [
            "draft-holmer-rmcat-transport-wide-cc-extensions-01",
            "mid",
            "ssrc-audio-level",
        ]
    for mid in "135":
        assert extensions(section(sdp, mid)) == [
            "draft-holmer-rmcat-transport-wide-cc-extensions-01",
            "mid",
            "repaired-rtp-stream-id",
            "rtp-stream-id",
            "video-orientation",
        ]


def test_a_camera_added_after_receiving_has_transport_cc() -> None:
    sdp, _ = answer(stored("chromium/receive-first/2-publish"))
    for mid in "23":
        assert "a=recvonly" in section(sdp, mid)
        assert "transport-wide-cc-extensions-01\r\n" in section(sdp, mid)
        assert " transport-cc\r\n" in section(sdp, mid)


def test_a_paused_section_keeps_all_it_needs_to_send_again() -> None:
    sdp, _ = answer(stored("chromium/inactive/2-pause"))
    paused = section(sdp, "1")
    sending = section(answer(stored("chromium/inactive/1-publish-and-receive"))[0], "1")
    assert paused == sending.replace("a=recvonly", "a=inactive")


def test_the_dependency_descriptor_is_accepted_both_ways() -> None:
    assert "dependency_descriptor" not in answer(PUBLISH)[1].extensions
    sdp, plan = answer(SCALABLE)
    assert plan.extensions["dependency_descriptor"] == 12
    assert "#dependency-descriptor-rtp-header-extension" in section(sdp, "1")
    downward, plan = answer(edited(SCALABLE, ("a=sendonly", "a=recvonly")))
    assert plan.extensions["dependency_descriptor"] == 12
    assert "#dependency-descriptor-rtp-header-extension" in section(downward, "1")


def test_the_plans_ids_are_the_offers() -> None:
    assert answer(PUBLISH)[1].extensions == {
        "audio_level": 1,
        "twcc": 3,
        "mid": 4,
        "video_orientation": 13,
        "rid": 10,
        "repaired_rid": 11,
        "playout_delay": 5,
    }


def test_an_extensions_direction_is_mirrored_and_a_useless_one_left_out() -> None:
    sdp, _ = answer(stored("firefox/simulcast/1-publish"))
    assert "a=extmap:9/recvonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n" in sdp
    orientation = "extmap:13 urn:3gpp:video-orientation"
    receiving = edited(PUBLISH, (orientation, orientation.replace("13", "13/recvonly")))
    assert "video_orientation" not in answer(receiving)[1].extensions


def test_mixed_extension_headers_are_accepted_only_if_offered() -> None:
    assert "a=extmap-allow-mixed\r\n" in answer(PUBLISH)[0]
    sdp, _ = answer(edited(PUBLISH, ("a=extmap-allow-mixed\r\n", "")))
    assert "mixed" not in sdp


# Simulcast


def test_every_layer_of_a_simulcast_is_taken_in_the_offers_order() -> None:
    sdp, plan = answer(SIMULCAST)
    text = section(sdp, "1")
    assert lines(text, "a=rid:") == ["a=rid:q recv", "a=rid:h recv", "a=rid:f recv"]
    assert lines(text, "a=simulcast:") == ["a=simulcast:recv q;h;f"]
    assert "a=rid" not in section(sdp, "0")
    assert plan.publications[1] == Publication("1", "video", (), (), True, ("q", "h", "f"))
    assert {"mid", "rid", "repaired_rid"} <= plan.extensions.keys()


def test_layers_that_could_not_be_told_apart_are_not_taken() -> None:
    sdp, plan = answer(edited(SIMULCAST, ("sdes:rtp-stream-id", "something-else")))
    assert "simulcast" not in sdp
    assert plan.publications[1].rids == ()


def test_no_more_than_four_layers_are_taken() -> None:
    six = "".join(f"a=rid:{number} send\r\n" for number in range(6))
    sdp, plan = answer(
        edited(SIMULCAST, ("a=simulcast:send q;h;f", f"{six}a=simulcast:send 0;1;2;3;4;5"))
    )
    assert "a=simulcast:recv 0;1;2;3\r\n" in sdp
    assert plan.publications[1].rids == ("0", "1", "2", "3")


def test_a_section_that_does_not_send_now_has_no_layers() -> None:
    direction = lines(SIMULCAST.split("m=video")[1], "a=sendonly")[0]
    sdp, _ = answer(edited(SIMULCAST, (direction, "a=inactive")))
    assert "simulcast" not in sdp


def test_a_paused_layer_is_a_layer_and_of_alternatives_the_first_counts() -> None:
    again = stored("chromium/simulcast/2-one-more-person")
    assert "a=simulcast:send q;~h;~f" in again
    assert offered(again, "1").rids == ("q", "h", "f")
    either = edited(SIMULCAST, ("send q;h;f", "recv x send f,h;q"))
    assert offered(either, "1").rids == ("f", "q")


def test_firefox_announces_every_layers_ssrc_and_its_repair() -> None:
    _, plan = answer(stored("firefox/simulcast/1-publish"))
    assert plan.publications[1].rids == ("q", "h", "f")
    assert plan.publications[1].ssrcs == (3833256149, 1992983471, 2672779938)
    assert plan.publications[1].rtx_ssrcs == (803987993, 1611871268, 2750256729)


# Transport


def test_the_credentials_are_those_of_the_first_section_of_the_bundle() -> None:
    offered = stored("firefox/unbundled/1-publish")
    first = lines(offered, "a=ice-ufrag:")[0].removeprefix("a=ice-ufrag:")
    audio, video = offered.split("m=video")
    unbundled = f"{audio}m=video{edited(video, (first, 'second'))}"
    assert parse_offer(unbundled).ice_ufrag == first
    turned = edited(unbundled, ("a=group:BUNDLE 0 1", "a=group:BUNDLE 1 0"))
    assert parse_offer(turned).ice_ufrag == "second"
    sdp, _ = answer(turned)
    assert "a=group:BUNDLE 1 0\r\n" in sdp
    assert "a=candidate" not in section(sdp, "0")
    assert "a=candidate" in section(sdp, "1")


def test_a_section_may_leave_its_transport_to_a_first_one_that_is_rejected() -> None:
    channel = stored("chromium/data-channel/1-channel-first")
    audio = (
        "m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\na=bundle-only\r\na=rtcp-mux\r\n"
        "a=recvonly\r\na=rtpmap:111 opus/48000/2\r\n"
    )
    offer = parse_offer(edited(channel, ("BUNDLE 0", "BUNDLE 0 1")) + audio)
    assert f"a=ice-ufrag:{offer.ice_ufrag}" in channel
    assert offer.bundle == ("1",)


def test_candidates_stand_in_the_first_accepted_section_best_first() -> None:
    sdp, _ = answer(RECEIVE)
    assert lines(section(sdp, "0"), "a=candidate") == [
        "a=candidate:1 1 udp 2130706431 192.0.2.1 40000 typ host",
        "a=candidate:2 1 udp 2130706175 2001:db8::1 40000 typ host",
    ]
    assert sdp.count("a=end-of-candidates") == 1
    assert sdp.count("a=candidate") == 2


def test_tcp_comes_behind_all_of_udp() -> None:
    sdp, _ = make_answer(parse_offer(PUBLISH), replace(OURS, tcp=True), {})
    assert lines(sdp, "a=candidate") == [
        "a=candidate:1 1 udp 2130706431 192.0.2.1 40000 typ host",
        "a=candidate:2 1 udp 2130706175 2001:db8::1 40000 typ host",
        "a=candidate:3 1 tcp 1520435199 192.0.2.1 40000 typ host tcptype passive",
        "a=candidate:4 1 tcp 1520434943 2001:db8::1 40000 typ host tcptype passive",
    ]


def test_every_accepted_section_has_the_servers_transport() -> None:
    sdp, _ = answer(RECEIVE)
    assert "a=ice-lite\r\n" in sdp
    for text in sections(sdp):
        assert lines(text, "a=ice-") == [f"a=ice-ufrag:{OURS.ufrag}", f"a=ice-pwd:{OURS.pwd}"]
        assert f"a=fingerprint:sha-256 {OURS.fingerprint}\r\n" in text
        assert "a=setup:passive\r\n" in text
        assert "a=rtcp-mux\r\na=rtcp-rsize\r\n" in text


def test_a_server_with_ipv6_alone_says_so() -> None:
    ours = replace(OURS, candidates=(("2001:db8::1", 40000),))
    sdp, _ = make_answer(parse_offer(PUBLISH), ours, {})
    assert "o=- 2026 1 IN IP6 2001:db8::1\r\n" in sdp
    assert lines(sdp, "c=") == ["c=IN IP6 2001:db8::1"] * 2


def test_weak_fingerprints_are_left_out_and_the_sections_own_go_before_the_sessions() -> None:
    own = parse_offer(PUBLISH).fingerprints
    weak = edited(PUBLISH, ("a=setup", f"a=fingerprint:sha-1 {':'.join(['AA'] * 20)}\r\na=setup"))
    assert parse_offer(weak).fingerprints == own
    session = f"a=fingerprint:SHA-512 {':'.join(['ab'] * 64)}\r\n"
    both = edited(PUBLISH, ("t=0 0\r\n", "t=0 0\r\n" + session))
    assert parse_offer(both).fingerprints == own
    (line,) = set(lines(PUBLISH, "a=fingerprint"))
    moved = edited(both, (line + "\r\n", ""))
    assert parse_offer(moved).fingerprints == (("sha-512", ":".join(["AB"] * 64)),)


def test_line_ends_may_be_lf() -> None:
    assert parse_offer(RECEIVE.replace("\r\n", "\n")) == parse_offer(RECEIVE)
    assert parse_offer(RECEIVE.removesuffix("\r\n")) == parse_offer(RECEIVE)


def test_no_password_is_in_a_repr() -> None:
    offer = parse_offer(PUBLISH)
    assert offer.ice_pwd not in repr(offer)
    assert OURS.pwd not in repr(OURS)


@pytest.mark.parametrize(
    "slot",
    [
        {"ssrc": 0},
        {"ssrc": 2**32},
        {"rtx_ssrc": 1},
        {"rtx_ssrc": 2**32},
        {"stream_id": ""},
        {"track_id": "a b"},
        {"cname": "a\r\nm=audio"},
        {"stream_id": "x" * 65},
    ],
)
def test_a_slot_that_would_break_an_answer_cannot_be_made(slot: dict[str, int | str]) -> None:
    with pytest.raises(ValueError, match="not a"):
        Slot(**{"ssrc": 1, "rtx_ssrc": 0, "stream_id": "s", "track_id": "t", "cname": "c", **slot})  # type: ignore[arg-type]


def test_a_server_without_a_candidate_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="candidate"):
        replace(OURS, candidates=())


# The answer as aiortc reads it


def test_aiortc_reads_the_plan_back_from_the_answer() -> None:
    sdp, plan = answer(RECEIVE)
    media: list[MediaDescription] = SessionDescription.parse(sdp).media
    read = {
        codec.payloadType: codec.name
        for each in media
        for codec in each.rtp.codecs
        if codec.name.lower() != "rtx"
    }
    assert read == {number: codec.name for number, codec in plan.codecs.items()}
    assert {each.rtp.muxId: each.ssrc[0].ssrc for each in media if each.ssrc} == {
        mid: slot.ssrc for mid, slot in plan.slots.items()
    }
    assert [each.rtp.muxId for each in media if each.direction == "recvonly"] == [
        publication.mid for publication in plan.publications
    ]
