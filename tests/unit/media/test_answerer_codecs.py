"""Which formats are forwarded, and which of them are the same stream."""

import pytest

from media.codec import Codec, Family, parse_fmtp, recognise, repeated_fmtp


def video(name: str, fmtp: str = "") -> Codec | None:
    return recognise("video", f"{name}/90000", parse_fmtp(fmtp))


def h264(profile_level_id: str, mode: int = 1) -> Codec | None:
    return video("H264", f"packetization-mode={mode};profile-level-id={profile_level_id}")


def test_the_families_are_those_of_the_relay() -> None:
    from media.relay import core

    assert {family.name: family.value for family in Family} == {
        family.name: getattr(core, family.name) for family in Family
    }


def test_opus_is_one_stream_whatever_its_receiver_prefers() -> None:
    chromium = recognise("audio", "opus/48000/2", parse_fmtp("minptime=10;useinbandfec=1"))
    firefox = recognise("audio", "OPUS/48000/2", parse_fmtp("maxplaybackrate=48000; stereo=1"))
    assert chromium == firefox == Codec(Family.OPUS, "opus", 48000, 2, "")
    assert chromium is not None
    assert chromium.rtpmap == "opus/48000/2"


@pytest.mark.parametrize(
    ("kind", "rtpmap"),
    [
        ("audio", "red/48000"),
        ("audio", "opus/48000"),
        ("audio", "PCMU/8000"),
        ("audio", "VP8/90000"),
        ("audio", ""),
        ("video", "opus/48000/2"),
        ("video", "red/90000"),
        ("video", "ulpfec/90000"),
        ("video", "rtx/90000"),
        ("video", "H265/90000"),
        ("video", "VP8/90000/1"),
    ],
)
def test_other_formats_are_not_forwarded(kind: str, rtpmap: str) -> None:
    assert recognise(kind, rtpmap, {}) is None


def test_a_missing_profile_is_profile_0() -> None:
    assert video("VP9") == video("VP9", "profile-id=0") != video("VP9", "profile-id=2")
    assert video("AV1") == video("AV1", "level-idx=5;profile=0;tier=0") != video("AV1", "profile=1")


def test_vp8_is_one_stream_whatever_size_its_receiver_asks_for() -> None:
    assert video("VP8") == video("vp8", "max-fs=12288;max-fr=60")


def test_h264_streams_differ_by_profile_and_packetization_but_not_by_level() -> None:
    assert h264("42e01f") == h264("42E034") != h264("42001f")
    assert h264("42e01f") != h264("42e01f", mode=0)
    assert video("H264", "profile-level-id=42e01f") == h264("42e01f", mode=0)


def test_constrained_baseline_has_three_spellings() -> None:
    # RFC 6184, 8.1, table 5.
    assert h264("42e01f") == h264("4d801f") == h264("58c01f")
    assert h264("42001f") == h264("58801f")
    profiles = [
        h264(f"{profile}1f") for profile in ("42e0", "4200", "4d00", "6400", "640c", "f400")
    ]
    assert len(set(profiles)) == len(profiles)


@pytest.mark.parametrize(
    ("name", "fmtp"),
    [
        ("VP9", "profile-id=4"),
        ("VP9", "profile-id=00"),
        ("VP9", "profile-id="),
        ("AV1", "profile=3"),
        ("H264", "packetization-mode=2"),
        ("H264", "profile-level-id=42e0"),
        ("H264", "profile-level-id=42e01g"),
        ("H264", "profile-level-id=\u0664\u0662e01f"),
    ],
)
def test_a_profile_that_does_not_exist_is_not_forwarded(name: str, fmtp: str) -> None:
    assert video(name, fmtp) is None


def test_an_answer_repeats_known_parameters_with_plain_values_only() -> None:
    opus = Codec(Family.OPUS, "opus", 48000, 2, "")
    offered = parse_fmtp("usedtx=1;minptime=10;x=1;sprop-stereo=1;stereo=a b;useinbandfec=1;cbr")
    assert repeated_fmtp(opus, offered) == "usedtx=1;minptime=10;useinbandfec=1"
    assert repeated_fmtp(opus, parse_fmtp("maxaveragebitrate=\u0661")) == ""
    vp8 = Codec(Family.VP8, "VP8", 90000, 1, "")
    assert repeated_fmtp(vp8, parse_fmtp("max-fs=12288;max-fr=60")) == ""
