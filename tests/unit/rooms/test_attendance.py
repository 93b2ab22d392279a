"""Intervals of presence: an absence is never counted, however late it is noticed."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.attendance import ONE_STAY, Attendance, Interval, Kind, overlap_s
from rooms.vocabulary import ParticipantId, Role

START = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
LENA, MAYA, NOOR = ParticipantId("lena"), ParticipantId("maya"), ParticipantId("noor")
ROLES: dict[ParticipantId, Role] = {LENA: "therapist", MAYA: "client", NOOR: "client"}


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def stay(who: ParticipantId, since: float, until: float, kind: Kind = "media") -> Interval:
    return Interval(who, kind, at(since), at(until))


def test_signs_that_follow_each_other_are_one_stay_up_to_the_last() -> None:
    attendance = Attendance()
    for second in (0, 1, 2, 7):
        attendance.seen(MAYA, "media", at(second))
    assert attendance.intervals == [stay(MAYA, 0, 7)]


def test_a_longer_silence_is_an_absence() -> None:
    attendance = Attendance()
    silence = ONE_STAY.total_seconds() + 0.1
    for second in (0, 1, 1 + silence):
        attendance.seen(MAYA, "media", at(second))
    assert attendance.intervals == [stay(MAYA, 0, 1), stay(MAYA, 1 + silence, 1 + silence)]


def test_one_who_left_and_comes_back_at_once_has_two_stays() -> None:
    attendance = Attendance()
    attendance.seen(MAYA, "media", at(0))
    attendance.seen(MAYA, "media", at(1))
    attendance.left(MAYA)
    attendance.seen(MAYA, "media", at(2))
    assert attendance.intervals == [stay(MAYA, 0, 1), stay(MAYA, 2, 2)]


@pytest.mark.parametrize("second", [0, 3, 5])
def test_after_one_has_left_no_sign_from_until_then_begins_a_stay(second: int) -> None:
    attendance = Attendance([stay(LENA, 0, 5)])
    attendance.seen(MAYA, "media", at(0))
    attendance.seen(MAYA, "media", at(5))
    attendance.left(MAYA)
    for one in (LENA, MAYA):
        attendance.seen(one, "media", at(second))
    assert attendance.intervals == [stay(LENA, 0, 5), stay(MAYA, 0, 5)]


def test_a_sign_older_than_the_last_says_nothing_new() -> None:
    attendance = Attendance()
    attendance.seen(MAYA, "media", at(5))
    attendance.seen(MAYA, "media", at(4))
    assert attendance.intervals == [stay(MAYA, 5, 5)]


def test_a_sign_that_is_looked_at_again_a_moment_later_is_not_a_new_one() -> None:
    attendance = Attendance()
    attendance.seen(MAYA, "socket", at(5))
    attendance.take_unsaved()
    attendance.seen(MAYA, "socket", at(5.000_01))
    assert attendance.saved
    attendance.left(MAYA)
    attendance.seen(MAYA, "socket", at(5.000_02))
    assert attendance.intervals == [stay(MAYA, 5, 5, "socket")]


def test_what_was_stored_before_a_restart_grows_no_more() -> None:
    attendance = Attendance([stay(MAYA, 0, 10)])
    attendance.seen(MAYA, "media", at(12))
    assert attendance.intervals == [stay(MAYA, 0, 10), stay(MAYA, 12, 12)]


def test_only_what_is_new_is_to_be_saved_and_what_could_not_be_is_kept() -> None:
    attendance = Attendance([stay(LENA, 0, 10)])
    attendance.seen(MAYA, "media", at(1))
    taken = attendance.take_unsaved()
    assert taken == [stay(MAYA, 1, 1)]
    assert attendance.take_unsaved() == []
    attendance.seen(MAYA, "media", at(2))
    attendance.put_back(taken)
    assert attendance.take_unsaved() == [stay(MAYA, 1, 2)]


def test_the_overlap_needs_a_therapist_and_a_client_with_media() -> None:
    assert overlap_s([stay(LENA, 0, 60), stay(MAYA, 10, 30)], ROLES) == 20
    assert overlap_s([stay(NOOR, 0, 60), stay(MAYA, 10, 30)], ROLES) == 0
    assert overlap_s([stay(LENA, 0, 60), stay(MAYA, 10, 30, "socket")], ROLES) == 0


def test_two_clients_at_once_count_once() -> None:
    stays = [stay(LENA, 0, 60), stay(MAYA, 10, 30), stay(NOOR, 20, 40)]
    assert overlap_s(stays, ROLES) == 30


SPANS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=6)


@given(SPANS, SPANS)
def test_the_overlap_is_what_counting_second_by_second_gives(
    lena: list[tuple[int, int]], maya: list[tuple[int, int]]
) -> None:
    def seconds(spans: list[tuple[int, int]]) -> set[int]:
        return {second for since, length in spans for second in range(since, since + length)}

    stays = [stay(LENA, since, since + length) for since, length in lena]
    stays += [stay(MAYA, since, since + length) for since, length in maya]
    assert overlap_s(stays, ROLES) == len(seconds(lena) & seconds(maya))
