"""The pure life of a session, told as scenarios. Time is an argument."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms import lifecycle
from rooms.errors import (
    NotConfirmable,
    NotInvited,
    NotJoined,
    NotOpenYet,
    RoleForbidden,
    RoomFull,
    RoomsError,
    SeatReplaced,
    SessionOver,
)
from rooms.lifecycle import GRACE, OVERTIME
from rooms.session import (
    OPENS_BEFORE,
    Admitted,
    Change,
    Closed,
    Ended,
    ForwardingSet,
    Invitation,
    ParticipantRemoved,
    RoomChanged,
    Seat,
    Session,
)
from rooms.snapshot import room_state
from rooms.vocabulary import ParticipantId, SessionId, UserId

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
THERAPIST = ParticipantId("therapist")
CLIENT = ParticipantId("client")
FRIEND = ParticipantId("friend")
LENA = UserId("lena")
SECOND = timedelta(seconds=1)


def scheduled(max_participants: int = 12, *, waiting_room: bool = False) -> Session:
    people = (
        Invitation(THERAPIST, "Lena", "therapist", user=LENA),
        Invitation(CLIENT, "Maya", "client"),
        Invitation(FRIEND, "Noor", "client"),
    )
    return Session(
        id=SessionId("s"),
        title="Session",
        starts_at=START,
        ends_at=START + timedelta(minutes=60),
        invitations=MappingProxyType({one.id: one for one in people}),
        links_until=START + timedelta(hours=25),
        max_participants=max_participants,
        waiting_room=waiting_room,
    )


def joined(session: Session, *people: ParticipantId, now: datetime = START) -> tuple[Session, ...]:
    """The session after each of these joined; only the last is of use to most."""
    sessions = []
    for participant in people:
        change, _ = lifecycle.join(session, participant, now)
        session = change.session
        sessions.append(session)
    return tuple(sessions)


def took_seat(session: Session, participant: ParticipantId, now: datetime) -> tuple[Change, Seat]:
    change, seat = lifecycle.join(session, participant, now)
    assert seat is not None
    return change, seat


def seat_of(session: Session, participant: ParticipantId) -> Seat:
    return Seat(session.id, participant, session.present[participant].incarnation)


def live(now: datetime = START) -> Session:
    session = joined(scheduled(), THERAPIST, CLIENT)[-1]
    for participant in (THERAPIST, CLIENT):
        session = lifecycle.media_changed(session, participant, "connected", now).session
    return session


def test_the_first_join_opens_a_scheduled_session() -> None:
    assert scheduled().status == "scheduled"
    assert joined(scheduled(), CLIENT)[-1].status == "open"


def test_a_session_is_live_once_a_therapist_and_a_client_both_have_media() -> None:
    session = joined(scheduled(), THERAPIST, CLIENT)[-1]
    session = lifecycle.media_changed(session, THERAPIST, "connected", START).session
    assert session.status == "open"
    session = lifecycle.media_changed(session, CLIENT, "connected", START + SECOND).session
    assert (session.status, session.live_since) == ("live", START + SECOND)


def test_two_clients_alone_do_not_make_a_session_live() -> None:
    session = joined(scheduled(), CLIENT, FRIEND)[-1]
    for participant in (CLIENT, FRIEND):
        session = lifecycle.media_changed(session, participant, "connected", START).session
    assert session.status == "open"


def test_a_live_session_stays_live_when_media_is_lost() -> None:
    session = lifecycle.media_changed(live(), CLIENT, "lost", START + SECOND).session
    assert (session.status, session.live_since) == ("live", START)


def test_media_news_of_one_who_is_not_in_the_room_changes_nothing() -> None:
    session = joined(scheduled(), CLIENT)[-1]
    assert lifecycle.media_changed(session, THERAPIST, "connected", START) == Change(session)


def test_a_newcomer_has_microphone_and_camera_on_and_is_not_in_full_screen() -> None:
    present = joined(scheduled(), CLIENT)[-1].present[CLIENT]
    assert (present.microphone, present.camera, present.fullscreen) == (True, True, False)


def test_one_who_returns_within_the_grace_finds_its_state() -> None:
    session = live()
    seat = seat_of(session, CLIENT)
    session = lifecycle.set_state(session, seat, START, microphone=False, fullscreen=True).session
    session = lifecycle.lose_socket(session, seat, START).session
    change, new_seat = took_seat(session, CLIENT, START + GRACE - SECOND)
    present = change.session.present[CLIENT]
    assert (present.microphone, present.fullscreen, present.media) == (False, True, "connected")
    assert present.socket_lost_at is None
    assert new_seat.incarnation > seat.incarnation


def test_one_without_a_socket_is_removed_when_the_grace_is_over_and_not_before() -> None:
    session = live()
    session = lifecycle.lose_socket(session, seat_of(session, CLIENT), START).session
    assert lifecycle.expire(session, START + GRACE - SECOND) == Change(session)
    change = lifecycle.expire(session, START + GRACE)
    assert change.effects == (ParticipantRemoved(CLIENT), RoomChanged())
    assert set(change.session.present) == {THERAPIST}


def test_one_who_returns_after_the_grace_is_a_newcomer() -> None:
    session = live()
    seat = seat_of(session, CLIENT)
    session = lifecycle.set_state(session, seat, START, camera=False).session
    session = lifecycle.lose_socket(session, seat, START).session
    session = lifecycle.expire(session, START + GRACE).session
    change, new_seat = took_seat(session, CLIENT, START + GRACE)
    assert change.session.present[CLIENT].camera
    assert new_seat.incarnation > seat.incarnation


def test_leaving_removes_the_participant_at_once_and_does_not_end_the_session() -> None:
    session = live()
    change = lifecycle.leave(session, seat_of(session, THERAPIST))
    assert change.effects == (ParticipantRemoved(THERAPIST), RoomChanged())
    assert change.session.status == "live"


def test_switching_a_source_is_enforced_before_the_room_is_told() -> None:
    session = live()
    change = lifecycle.set_state(session, seat_of(session, CLIENT), START, microphone=False)
    assert change.effects == (ForwardingSet(CLIENT, "microphone", False), RoomChanged())


def test_full_screen_is_told_and_touches_no_media() -> None:
    session = live()
    change = lifecycle.set_state(session, seat_of(session, CLIENT), START, fullscreen=True)
    assert change.effects == (RoomChanged(),)


def test_a_shared_screen_flows_from_the_moment_the_room_is_told() -> None:
    session = live()
    change = lifecycle.set_state(session, seat_of(session, CLIENT), START, screen=True)
    assert change.effects == (ForwardingSet(CLIENT, "screen", True), RoomChanged())
    assert change.session.present[CLIENT].screen


def test_a_measured_quality_is_told_once() -> None:
    session = live()
    change = lifecycle.quality_changed(session, CLIENT, "fair", START)
    assert change.effects == (RoomChanged(),)
    again = lifecycle.quality_changed(change.session, CLIENT, "fair", START)
    assert again == Change(change.session)


def test_the_speaker_is_told_once_and_nobody_speaks_who_is_not_here() -> None:
    session = live()
    assert lifecycle.speaker_changed(session, FRIEND) == Change(session)
    change = lifecycle.speaker_changed(session, CLIENT)
    assert (change.session.speaker, change.effects) == (CLIENT, (RoomChanged(),))
    assert lifecycle.speaker_changed(change.session, CLIENT) == Change(change.session)


def test_a_speaker_who_goes_speaks_no_more() -> None:
    session = lifecycle.speaker_changed(live(), CLIENT).session
    assert lifecycle.leave(session, seat_of(session, THERAPIST)).session.speaker == CLIENT
    assert lifecycle.leave(session, seat_of(session, CLIENT)).session.speaker is None
    assert lifecycle.end(session, seat_of(session, THERAPIST), START).session.speaker is None


def test_setting_what_is_already_so_makes_no_new_version() -> None:
    session = live()
    assert lifecycle.set_state(session, seat_of(session, CLIENT), START, camera=True) == Change(
        session
    )


def test_the_therapist_ends_the_session_once_and_hears_the_same_answer_again() -> None:
    session = live()
    seat = seat_of(session, THERAPIST)
    later = START + timedelta(minutes=48, milliseconds=900)
    change = lifecycle.end(session, seat, later)
    ended = Ended("therapist", THERAPIST, "Lena", later, duration_s=48 * 60)
    assert change.effects == (Closed(ended),)
    assert change.session.present == {}
    assert lifecycle.end(change.session, seat, later + SECOND) == Change(change.session)


def test_a_session_that_never_was_live_lasted_no_time() -> None:
    session = joined(scheduled(), THERAPIST)[-1]
    ended = lifecycle.end(session, seat_of(session, THERAPIST), START + SECOND).session.ended
    assert ended is not None
    assert ended.duration_s == 0


def test_a_client_may_not_end_the_session_before_or_after_its_end() -> None:
    session = live()
    seat = seat_of(session, CLIENT)
    with pytest.raises(RoleForbidden):
        lifecycle.end(session, seat, START)
    over = lifecycle.end(session, seat_of(session, THERAPIST), START).session
    with pytest.raises(RoleForbidden):
        lifecycle.end(over, seat, START)


def test_an_empty_room_past_its_booked_end_times_out_if_it_ever_was_live() -> None:
    session = live()
    for participant in (THERAPIST, CLIENT):
        session = lifecycle.leave(session, seat_of(session, participant)).session
    assert lifecycle.expire(session, session.ends_at).session.ended is None
    ended = lifecycle.expire(session, session.ends_at + GRACE).session.ended
    assert ended is not None
    assert (ended.cause, ended.ended_by, ended.name) == ("timeout", None, None)


def test_a_session_nobody_came_to_is_a_no_show() -> None:
    session = scheduled()
    ended = lifecycle.expire(session, session.ends_at + GRACE).session.ended
    assert ended is not None
    assert ended.cause == "no_show"


def test_a_session_that_runs_late_times_out_under_those_in_it_after_the_overtime_only() -> None:
    session = live()
    late = session.ends_at + OVERTIME
    assert lifecycle.expire(session, late - SECOND) == Change(session)
    ended = lifecycle.expire(session, late, overlap_s=3000).session.ended
    assert ended is not None
    assert (ended.cause, ended.overlap_s) == ("timeout", 3000)


def test_the_last_one_to_vanish_after_the_booked_end_is_removed_before_the_session_ends() -> None:
    session = joined(scheduled(), THERAPIST)[-1]
    late = session.ends_at + timedelta(minutes=5)
    session = lifecycle.lose_socket(session, seat_of(session, THERAPIST), late).session
    effects = lifecycle.expire(session, late + GRACE).effects
    assert [type(effect) for effect in effects] == [ParticipantRemoved, RoomChanged, Closed]


def test_a_full_room_refuses_a_newcomer_and_takes_back_one_of_its_own() -> None:
    session = joined(scheduled(max_participants=2), THERAPIST, CLIENT)[-1]
    with pytest.raises(RoomFull):
        lifecycle.join(session, FRIEND, START)
    change, _ = lifecycle.join(session, CLIENT, START)
    assert len(change.session.present) == 2


def test_one_who_was_not_invited_is_refused() -> None:
    with pytest.raises(NotInvited):
        lifecycle.join(scheduled(), ParticipantId("stranger"), START)
    with pytest.raises(NotInvited):
        lifecycle.end(live(), Seat(SessionId("s"), ParticipantId("stranger"), 1), START)


Command = Callable[[Session, Seat], object]
SEATED_COMMANDS: dict[str, Command] = {
    "leave": lifecycle.leave,
    "lose_socket": lambda session, seat: lifecycle.lose_socket(session, seat, START),
    "set_state": lambda session, seat: lifecycle.set_state(session, seat, START, camera=False),
    "end": lambda session, seat: lifecycle.end(session, seat, START),
    "admit": lambda session, seat: lifecycle.admit(session, seat, CLIENT),
}


@pytest.mark.parametrize("command", SEATED_COMMANDS.values(), ids=SEATED_COMMANDS)
def test_a_replaced_seat_commands_nothing(command: Command) -> None:
    session = joined(scheduled(), THERAPIST)[-1]
    stale = seat_of(session, THERAPIST)
    session = joined(session, THERAPIST)[-1]
    with pytest.raises(SeatReplaced):
        command(session, stale)


@pytest.mark.parametrize("command", SEATED_COMMANDS.values(), ids=SEATED_COMMANDS)
def test_one_who_left_commands_nothing(command: Command) -> None:
    session = joined(scheduled(), THERAPIST)[-1]
    seat = seat_of(session, THERAPIST)
    with pytest.raises(NotJoined):
        command(lifecycle.leave(session, seat).session, seat)


def test_nothing_revives_an_ended_session() -> None:
    session = live()
    seats = {participant: seat_of(session, participant) for participant in session.present}
    over = lifecycle.end(session, seats[THERAPIST], START).session
    for refused in ("leave", "lose_socket", "set_state"):
        with pytest.raises(SessionOver):
            SEATED_COMMANDS[refused](over, seats[CLIENT])
    with pytest.raises(SessionOver):
        lifecycle.join(over, CLIENT, START)
    assert lifecycle.media_changed(over, CLIENT, "connected", START) == Change(over)
    assert lifecycle.expire(over, START + timedelta(days=9)) == Change(over)


def test_a_room_opens_a_quarter_of_an_hour_before_its_session() -> None:
    early = START - OPENS_BEFORE - SECOND
    with pytest.raises(NotOpenYet) as refused:
        lifecycle.join(scheduled(), THERAPIST, early)
    assert refused.value.opens_at == START - OPENS_BEFORE
    assert joined(scheduled(), THERAPIST, now=early + SECOND)[-1].present


def test_a_client_waits_until_a_therapist_admits_it_and_then_comes_and_goes() -> None:
    session = joined(scheduled(waiting_room=True), THERAPIST)[-1]
    change, seat = lifecycle.join(session, CLIENT, START)
    assert (seat, change.session.waiting, change.effects) == (None, (CLIENT,), (RoomChanged(),))
    assert [event.type for event in change.events] == ["participant.waiting"]
    waits = change.session
    assert lifecycle.join(waits, CLIENT, START) == (Change(waits), None)
    change = lifecycle.admit(waits, seat_of(waits, THERAPIST), CLIENT)
    assert change.effects == (Admitted(CLIENT), RoomChanged())
    assert [event.type for event in change.events] == ["participant.admitted"]
    assert change.session.waiting == ()
    inside = joined(change.session, CLIENT)[-1]
    left = lifecycle.leave(inside, seat_of(inside, CLIENT)).session
    assert CLIENT in joined(left, CLIENT)[-1].present


def test_a_therapist_does_not_wait_and_neither_does_anybody_without_a_waiting_room() -> None:
    assert THERAPIST in joined(scheduled(waiting_room=True), THERAPIST)[-1].present
    assert CLIENT in joined(scheduled(), CLIENT)[-1].present


def test_admitting_again_or_one_who_does_not_wait_yet_is_remembered_once() -> None:
    session = joined(scheduled(waiting_room=True), THERAPIST)[-1]
    seat = seat_of(session, THERAPIST)
    admitted = lifecycle.admit(session, seat, FRIEND).session
    assert lifecycle.admit(admitted, seat, FRIEND) == Change(admitted)
    assert FRIEND in joined(admitted, FRIEND)[-1].present


def test_a_client_admits_nobody_and_nobody_admits_a_stranger() -> None:
    session = live()
    with pytest.raises(RoleForbidden):
        lifecycle.admit(session, seat_of(session, CLIENT), FRIEND)
    with pytest.raises(NotInvited):
        lifecycle.admit(session, seat_of(session, THERAPIST), ParticipantId("stranger"))


def test_one_who_waited_and_went_waits_no_more() -> None:
    waits = lifecycle.join(scheduled(waiting_room=True), CLIENT, START)[0].session
    gone = lifecycle.stop_waiting(waits, CLIENT)
    assert (gone.session.waiting, gone.effects) == ((), (RoomChanged(),))
    assert lifecycle.stop_waiting(gone.session, CLIENT) == Change(gone.session)


def timed_out() -> Session:
    session = live()
    return lifecycle.expire(session, session.ends_at + OVERTIME).session


def test_the_therapist_confirms_a_session_that_timed_out_once() -> None:
    late = START + timedelta(days=1)
    assert timed_out().confirmable
    change = lifecycle.confirm(timed_out(), LENA, late)
    ended = change.session.ended
    assert ended is not None
    assert (ended.cause, ended.confirmed_at) == ("timeout", late)
    assert [event.type for event in change.events] == ["session.confirmed"]
    assert not change.session.confirmable
    assert lifecycle.confirm(change.session, LENA, late + SECOND) == Change(change.session)


def test_nothing_is_confirmed_of_a_session_that_is_not_over_or_was_ended_or_never_live() -> None:
    ended = lifecycle.end(live(), seat_of(live(), THERAPIST), START).session
    nobody_came = lifecycle.expire(scheduled(), START + timedelta(hours=2)).session
    for session in (live(), ended, nobody_came):
        with pytest.raises(NotConfirmable):
            lifecycle.confirm(session, LENA, START)


def test_only_the_sessions_own_therapist_confirms_it() -> None:
    session = replace(
        timed_out(),
        invitations=MappingProxyType(
            {CLIENT: Invitation(CLIENT, "Maya", "client", user=UserId("maya"))}
        ),
    )
    with pytest.raises(RoleForbidden):
        lifecycle.confirm(session, UserId("maya"), START)
    with pytest.raises(NotInvited):
        lifecycle.confirm(timed_out(), UserId("somebody"), START)


def test_an_admin_ends_a_session_from_outside_once() -> None:
    change = lifecycle.end_by_admin(live(), START + SECOND)
    ended = change.session.ended
    assert ended is not None
    assert (ended.cause, ended.ended_by) == ("admin", None)
    assert lifecycle.end_by_admin(change.session, START) == Change(change.session)


def test_every_change_that_is_stored_has_a_new_incarnation_and_far_newer_versions() -> None:
    session = joined(scheduled(), THERAPIST)[-1]
    muted = lifecycle.set_state(session, seat_of(session, THERAPIST), START, camera=False).session
    assert muted.incarnation == session.incarnation
    left = lifecycle.leave(muted, seat_of(muted, THERAPIST)).session
    assert left.incarnation == session.incarnation + 1
    assert left.version >= lifecycle.first_version(left.incarnation) > muted.version


COMMANDS = st.sampled_from(
    [
        "join",
        "leave",
        "lose_socket",
        "mute",
        "share",
        "fullscreen",
        "connected",
        "lost",
        "poor",
        "speaks",
        "end",
        "expire",
    ]
)
PEOPLE = st.sampled_from([THERAPIST, CLIENT, FRIEND])


@given(st.lists(st.tuples(COMMANDS, PEOPLE, st.integers(0, 40)), max_size=60))
def test_versions_only_grow_and_any_visible_change_has_a_new_one(
    story: list[tuple[str, ParticipantId, int]],
) -> None:
    session, now = scheduled(max_participants=2), START
    for command, participant, seconds in story:
        now += timedelta(seconds=seconds)
        before = session
        try:
            session = told(command, session, participant, now).session
        except RoomsError:
            continue
        assert session.version >= before.version
        if room_state(session) != room_state(before):
            assert session.version > before.version
        assert session.incarnation >= before.incarnation
        assert len(session.present) <= session.max_participants
        assert session.speaker is None or session.speaker in session.present
        if before.ended is not None:
            assert session == before


def told(command: str, session: Session, participant: ParticipantId, now: datetime) -> Change:
    """Carry out one word of a story, with the participant's present seat or one it never had."""
    present = session.present.get(participant)
    seat = Seat(session.id, participant, present.incarnation if present else 0)
    match command:
        case "join":
            return lifecycle.join(session, participant, now)[0]
        case "leave":
            return lifecycle.leave(session, seat)
        case "lose_socket":
            return lifecycle.lose_socket(session, seat, now)
        case "mute":
            return lifecycle.set_state(session, seat, now, microphone=False)
        case "share":
            return lifecycle.set_state(session, seat, now, screen=True)
        case "fullscreen":
            return lifecycle.set_state(session, seat, now, fullscreen=True)
        case "connected":
            return lifecycle.media_changed(session, participant, "connected", now)
        case "lost":
            return lifecycle.media_changed(session, participant, "lost", now)
        case "poor":
            return lifecycle.quality_changed(session, participant, "poor", now)
        case "speaks":
            return lifecycle.speaker_changed(session, participant)
        case "end":
            return lifecycle.end(session, seat, now)
        case _:
            return lifecycle.expire(session, now)
