"""The service: what it tells media and audience, in which order, and what it forgets."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from rooms.errors import SeatReplaced, SessionUnknown, TooManySessions
from rooms.lifecycle import GRACE, LINKS_OUTLIVE_SESSION, Ended, Session
from rooms.service import MAX_SESSIONS, SessionService
from rooms.snapshot import RoomState
from rooms.vocabulary import ParticipantId, SessionId
from signaling.members import Members
from signaling.wiring import MediaNews
from tests.support.fake_clock import FakeClock
from tests.support.fake_sfu import FakeSfu


class World:
    """Media plane and audience in one, so that the order between them is seen."""

    def __init__(self) -> None:
        self.story: list[str] = []
        self.on_close: Callable[[], None] = lambda: None

    def set_forwarding(
        self, _session: SessionId, _participant: ParticipantId, source: str, enabled: bool
    ) -> None:
        self.story.append(f"{source} {'on' if enabled else 'off'}")

    def remove_participant(self, _session: SessionId, _participant: ParticipantId) -> None:
        self.story.append("media removed")

    def close_session(self, _session: SessionId) -> None:
        self.story.append("media closed")
        self.on_close()

    def room_changed(self, _session: SessionId, state: RoomState) -> None:
        self.story.append(f"told version {state.version}")

    def session_ended(self, _session: SessionId, ended: Ended) -> None:
        self.story.append(f"told ended by {ended.name}")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def service(clock: FakeClock, world: World) -> SessionService:
    return SessionService(clock, world, world, max_participants=12)


@pytest.fixture
def session(service: SessionService, clock: FakeClock) -> Session:
    return service.create(
        [("Lena", "therapist"), ("Maya", "client")],
        title="Session",
        starts_at=clock.now(),
        length=timedelta(minutes=60),
    )


def person(session: Session, name: str) -> ParticipantId:
    return next(one.id for one in session.invitations.values() if one.name == name)


def test_media_is_closed_before_anyone_is_told_of_the_end(
    service: SessionService, session: Session, world: World
) -> None:
    seat = service.join(session.id, person(session, "Lena")).seat
    world.story.clear()
    service.end(seat)
    assert world.story == ["media closed", "told ended by Lena"]


def test_a_second_end_closes_and_tells_nothing(
    service: SessionService, session: Session, world: World, clock: FakeClock
) -> None:
    seat = service.join(session.id, person(session, "Lena")).seat
    first = service.end(seat)
    world.story.clear()
    clock.advance(5)
    assert service.end(seat) == first
    assert world.story == []


def test_news_from_media_that_comes_while_it_is_closed_finds_an_ended_session(
    service: SessionService, session: Session, world: World
) -> None:
    maya = person(session, "Maya")
    seat = service.join(session.id, person(session, "Lena")).seat
    service.join(session.id, maya)
    world.on_close = lambda: service.media_changed(session.id, maya, "lost")
    world.story.clear()
    service.end(seat)
    assert world.story == ["media closed", "told ended by Lena"]


def test_a_mute_is_enforced_before_it_is_told(
    service: SessionService, session: Session, world: World
) -> None:
    seat = service.join(session.id, person(session, "Maya")).seat
    world.story.clear()
    version = service.set_state(seat, microphone=False)
    assert world.story == ["microphone off", f"told version {version}"]


def test_a_stale_seat_is_refused_and_changes_nothing(
    service: SessionService, session: Session, world: World
) -> None:
    stale = service.join(session.id, person(session, "Maya")).seat
    service.join(session.id, person(session, "Maya"))
    before = service.state(session.id)
    world.story.clear()
    for command in (service.leave, service.lose_socket, service.check):
        with pytest.raises(SeatReplaced):
            command(stale)
    assert service.state(session.id) == before
    assert world.story == []


def test_one_who_stays_away_is_removed_when_time_is_looked_at(
    service: SessionService, session: Session, world: World, clock: FakeClock
) -> None:
    service.lose_socket(service.join(session.id, person(session, "Maya")).seat)
    clock.advance(GRACE.total_seconds())
    world.story.clear()
    service.expire()
    assert world.story == ["media removed", "told version 3"]


def test_an_ended_session_is_remembered_until_its_links_have_expired(
    service: SessionService, session: Session, clock: FakeClock
) -> None:
    service.end(service.join(session.id, person(session, "Lena")).seat)
    clock.advance((timedelta(minutes=60) + LINKS_OUTLIVE_SESSION).total_seconds() - 1)
    service.expire()
    assert service.session(session.id).ended is not None
    clock.advance(1)
    service.expire()
    with pytest.raises(SessionUnknown):
        service.session(session.id)


def test_no_more_sessions_are_kept_than_there_may_be_and_forgotten_ones_make_room(
    service: SessionService, session: Session, clock: FakeClock
) -> None:
    def book() -> None:
        service.create(
            [("Ada", "therapist")], title="", starts_at=clock.now(), length=timedelta(minutes=60)
        )

    for _ in range(MAX_SESSIONS - 1):
        book()
    with pytest.raises(TooManySessions):
        book()
    service.end(service.join(session.id, person(session, "Lena")).seat)
    clock.advance((timedelta(minutes=60) + LINKS_OUTLIVE_SESSION).total_seconds())
    service.expire()
    book()


def test_a_switch_of_one_whom_media_does_not_know_is_carried_out(clock: FakeClock) -> None:
    members = Members()
    news = MediaNews(members)
    sfu = FakeSfu(news)
    service = news.rooms = SessionService(clock, sfu, members, max_participants=12)
    session = service.create(
        [("Maya", "client")], title="", starts_at=clock.now(), length=timedelta(minutes=60)
    )
    seat = service.join(session.id, person(session, "Maya")).seat
    version = service.set_state(seat, microphone=False)
    state = service.state(session.id)
    assert (state.version, state.participants[0].microphone) == (version, False)
    assert sfu.calls == []


def test_news_of_an_unknown_session_is_no_error(service: SessionService) -> None:
    nobody = ParticipantId("nobody")
    service.media_changed(SessionId("nobody"), nobody, "lost")
    service.quality_changed(SessionId("nobody"), nobody, "poor")
    service.speaker_changed(SessionId("nobody"), nobody)
