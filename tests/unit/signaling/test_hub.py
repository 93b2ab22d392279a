"""The hub by itself: a handler that takes its time, on a socket that does not wait."""

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest

from rooms.db.engine import Database
from rooms.hooks import Hooks
from rooms.service import Person, SessionService
from rooms.session import Session
from rooms.vocabulary import SignInId
from signaling.admission import AdmissionControl
from signaling.handlers import Event, Services, join
from signaling.hub import Hub
from signaling.lag import LagMeter
from signaling.link import Link, SendQueue
from signaling.members import Connection, Members
from signaling.metrics import Metrics
from signaling.overload import Limits, Overload
from signaling.protocol import Nothing
from signaling.tokens import Grant, Tokens
from signaling.turn import IceServers
from signaling.wiring import MediaNews
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock
from tests.support.fake_sfu import FakeSfu
from tests.unit.signaling.harness import COUPLE, SECRET


class World:
    """A hub whose `room:join` waits until it is let go."""

    def __init__(self, database: Database) -> None:
        self.go_on = asyncio.Event()
        self.clock = FakeClock()
        self.members = Members()
        self.tokens = Tokens(SECRET, self.clock)
        news = MediaNews(self.members)
        sfu = FakeSfu(news, self.clock)
        self.rooms = news.rooms = SessionService(
            self.clock, database, Hooks(), sfu, self.members, NoNotary(), max_participants=12
        )
        limits = Limits(lag_s=1, relay_share=1, people=100)
        overload = Overload(
            limits, self.clock, LagMeter(self.clock), lambda: sfu.relay_busy_s, self.members.people
        )
        services = Services(
            self.rooms,
            sfu,
            self.members,
            self.clock,
            IceServers((), ""),
            AdmissionControl(self.rooms, overload),
        )
        events = {"room:join": Event(Nothing, self._slow_join)}
        self.hub = Hub(services, self.tokens, self._sign_in_valid, Metrics(), events)

    async def _slow_join(
        self, services: Services, connection: Connection, nothing: Nothing
    ) -> dict[str, Any]:
        await self.go_on.wait()
        return await join(services, connection, nothing)

    async def _sign_in_valid(self, _sign_in: SignInId) -> bool:
        return True

    async def session(self) -> Session:
        return await self.rooms.create(
            [Person(name, role) for name, role in COUPLE],
            title="Session",
            starts_at=self.clock.now(),
            length=timedelta(minutes=60),
        )

    async def admitted(self, session: Session, sign_in: SignInId | None = None) -> Link:
        one = next(iter(session.invitations.values()))
        link = Link(SendQueue(), cast(asyncio.Transport, NoTransport()), Metrics())
        token = self.tokens.join(Grant(session.id, one.id, one.role, sign_in))
        await self.hub.admit(link, {"token": token})
        link.admitted()
        return link


class NoNotary:
    """Nothing ends here."""

    def receipt(self, _session: Session, _attendance: object) -> str:
        raise NotImplementedError


class NoTransport:
    """A connection that is closed already."""

    def is_closing(self) -> bool:
        return True


@pytest.fixture
async def world(database: Database) -> World:
    return World(database)


async def test_a_socket_gone_while_its_join_runs_leaves_a_place_that_expires(world: World) -> None:
    session = await world.session()
    link = await world.admitted(session)
    answering = asyncio.create_task(world.hub.answer(link, "room:join", ({},)))
    await asyncio.sleep(0)
    world.hub.gone(link)
    world.go_on.set()
    await answering
    await world.rooms.settle()
    (present,) = (await world.rooms.session(session.id)).present.values()
    assert present.socket_lost_at == world.clock.now()
    assert world.members.connected(session.id) == 0
    world.clock.advance(30)
    await world.rooms.expire()
    assert (await world.rooms.session(session.id)).present == {}


async def test_one_signed_out_while_its_join_runs_is_not_in_the_room(world: World) -> None:
    session = await world.session()
    link = await world.admitted(session, SignInId("s"))
    answering = asyncio.create_task(world.hub.answer(link, "room:join", ({},)))
    await asyncio.sleep(0)
    world.hub.sign_ins_over({SignInId("s")})
    world.go_on.set()
    await answering
    await eventually(lambda: world.rooms.state(session.id).participants == ())
    assert link.closing


async def test_a_cancelled_handler_is_not_answered_as_if_it_had_failed(world: World) -> None:
    link = await world.admitted(await world.session())
    answering = asyncio.create_task(world.hub.answer(link, "room:join", ({},)))
    await asyncio.sleep(0)
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering


@pytest.mark.parametrize(
    "auth", [None, "token", [], {}, {"token": None}, {"token": 7}, {"token": []}]
)
async def test_any_auth_without_a_token_is_refused_with_a_token_code(
    world: World, auth: object
) -> None:
    link = Link(SendQueue(), cast(asyncio.Transport, NoTransport()), Metrics())
    with pytest.raises(Exception, match=r"token\.(missing|invalid)"):
        await world.hub.admit(link, auth)
    link.ended()
