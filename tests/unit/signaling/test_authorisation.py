"""Who may do what: every HTTP route and every event, for everyone, in every state of a session.

Everyone, by a letter: of the session, its (T)herapist and its (C)lient, by account, and its
(G)uest, by link; of the platform, another (t)herapist, another (c)lient, (s)upport and an
(a)dmin; the (k)eeper of the server's secret, and (-) who is nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Literal, TypeAlias, get_args

import pytest
import socketio

from rooms import store
from rooms.service import Person
from rooms.session import Ended, Invitation, Session
from rooms.vocabulary import UserId
from signaling.handlers import CLIENT_EVENTS
from signaling.tokens import Grant
from tests.unit.signaling.harness import Client, Json, Server

PASSWORD: Final = "a long enough password"
EVERYONE: Final = "TCGtcsak-"
ACCOUNTS: Final = "TCtcsa"

State: TypeAlias = Literal["early", "open", "ended", "timed out"]
STATES: Final[tuple[State, ...]] = get_args(State)

# What each gets: "ok" or the code of the refusal.
Outcomes: TypeAlias = Mapping[str, str]

_NO_COOKIE: Final = {"Gk-": "sign_in.required"}
_NOT_THEIRS: Final = _NO_COOKIE | {"tcsa": "session.unknown"}
_ONE: Final = "/api/my/sessions/{session}"


def always(outcomes: Outcomes) -> Mapping[State, Outcomes]:
    """The same in every state."""
    return dict.fromkeys(STATES, outcomes)


# Whoever they are.
PUBLIC: Final = {
    "POST /api/sign-in",
    "POST /api/password-reset",
    "POST /api/password-reset/choose",
    "POST /api/demo",
    "GET /api/mail",
}

ROUTES: Final[Mapping[str, Mapping[State, Outcomes]]] = {
    "GET /api/me": always(_NO_COOKIE | {ACCOUNTS: "ok"}),
    "POST /api/sign-out": always(_NO_COOKIE | {ACCOUNTS: "ok"}),
    "GET /api/my/sessions": always(_NO_COOKIE | {"TC": "ok, listed", "tcsa": "ok"}),
    f"POST {_ONE}/join-token": {
        "early": _NOT_THEIRS | {"TC": "session.not_open"},
        "open": _NOT_THEIRS | {"TC": "ok"},
        "ended": _NOT_THEIRS | {"TC": "session.ended"},
        "timed out": _NOT_THEIRS | {"TC": "session.ended"},
    },
    f"POST {_ONE}/guest-link": {
        "early": _NOT_THEIRS | {"T": "ok", "C": "role.forbidden"},
        "open": _NOT_THEIRS | {"T": "ok", "C": "role.forbidden"},
        "ended": _NOT_THEIRS | {"T": "session.ended", "C": "role.forbidden"},
        "timed out": _NOT_THEIRS | {"T": "session.ended", "C": "role.forbidden"},
    },
    f"POST {_ONE}/confirm": {
        "early": _NOT_THEIRS | {"T": "session.not_confirmable", "C": "role.forbidden"},
        "open": _NOT_THEIRS | {"T": "session.not_confirmable", "C": "role.forbidden"},
        "ended": _NOT_THEIRS | {"T": "session.not_confirmable", "C": "role.forbidden"},
        "timed out": _NOT_THEIRS | {"T": "ok", "C": "role.forbidden"},
    },
    f"GET {_ONE}/receipt": {
        "early": _NOT_THEIRS | {"TC": "session.not_over"},
        "open": _NOT_THEIRS | {"TC": "session.not_over"},
        "ended": _NOT_THEIRS | {"TC": "ok"},
        "timed out": _NOT_THEIRS | {"TC": "ok"},
    },
    "POST /api/join-token": {
        "early": {"G": "session.not_open", "k": "token.invalid", "TCtcsa-": "token.missing"},
        "open": {"G": "ok", "k": "token.invalid", "TCtcsa-": "token.missing"},
        "ended": {"G": "session.ended", "k": "token.invalid", "TCtcsa-": "token.missing"},
        "timed out": {"G": "session.ended", "k": "token.invalid", "TCtcsa-": "token.missing"},
    },
    "GET /api/operations": always(_NO_COOKIE | {"TCtcs": "role.forbidden", "a": "ok"}),
    "POST /api/sessions": always({"k": "ok", "G": "token.invalid", "TCtcsa-": "token.missing"}),
    "POST /api/sessions/{session}/end": always(
        {
            "ak": "ok",
            "G": "token.invalid",
            "TCtcs": "role.forbidden",
            "-": "sign_in.required",
        },
    ),
}

# Of the participants; nobody else has a socket.
EVENTS: Final[Mapping[str, Mapping[str, Outcomes]]] = {
    "room:join": {
        "let in": {"TCG": "ok"},
        "waiting": {"CG": "ok"},
        "in the room": {"TCG": "ok"},
    },
    "room:leave": {
        "let in": {"TCG": "room.not_joined"},
        "waiting": {"CG": "room.not_joined"},
        "in the room": {"TCG": "ok"},
    },
    "room:admit": {
        "let in": {"TCG": "room.not_joined"},
        "waiting": {"CG": "room.not_joined"},
        "in the room": {"T": "ok", "CG": "role.forbidden"},
    },
    "room:sync": {
        "let in": {"TCG": "room.not_joined"},
        "waiting": {"CG": "room.not_joined"},
        "in the room": {"TCG": "ok"},
    },
    "rtc:offer": {
        "let in": {"TCG": "room.not_joined"},
        "waiting": {"CG": "room.not_joined"},
        "in the room": {"TCG": "ok"},
    },
    "rtc:view": {
        "let in": {"TCG": "room.not_joined"},
        "waiting": {"CG": "room.not_joined"},
        "in the room": {"TCG": "ok"},
    },
    "state:set": {
        "let in": {"TCG": "room.not_joined"},
        "waiting": {"CG": "room.not_joined"},
        "in the room": {"TCG": "ok"},
    },
    "session:end": {
        "let in": {"TCG": "room.not_joined"},
        "waiting": {"CG": "room.not_joined"},
        "in the room": {"T": "ok", "CG": "role.forbidden"},
    },
}


@dataclass(frozen=True, slots=True)
class World:
    """A server with everyone on it. users: those with an account, by letter."""

    server: Server
    users: Mapping[str, UserId]
    cookies: Mapping[str, str]

    async def session(self, state: State = "open", *, waiting_room: bool = False) -> Session:
        """A session of T, C and G in this state."""
        now = self.server.clock.now()
        session = await self.server.plumm.rooms.create(
            [
                Person("Lena", "therapist", self.users["T"]),
                Person("Maya", "client", self.users["C"]),
                Person("Noor", "client"),
            ],
            title="Talk",
            starts_at=now + timedelta(hours=1 if state == "early" else 0),
            length=timedelta(minutes=60),
            waiting_room=waiting_room,
        )
        return session if state in ("early", "open") else await self._over(session, state)

    async def _over(self, session: Session, state: State) -> Session:
        """The like of a session, as it is stored when it was held and is over."""
        cause: Literal["therapist", "timeout"] = "timeout" if state == "timed out" else "therapist"
        therapist, *_ = session.invited
        over = replace(
            session,
            id=type(session.id)(f"{session.id}-over"),
            status="ended",
            live_since=session.starts_at,
            ended=Ended(
                cause=cause,
                ended_by=therapist.id if cause == "therapist" else None,
                name=therapist.name if cause == "therapist" else None,
                ended_at=session.starts_at,
                duration_s=600,
                overlap_s=600,
                confirmed_at=None,
            ),
        )
        async with self.server.plumm.database.transaction() as connection:
            await store.add(connection, over)
            await store.save(connection, over, over, "{}")
        return over

    def invitation(self, session: Session, who: str) -> Invitation:
        return session.invited["TCG".index(who)]

    def grant(self, session: Session, who: str) -> Grant:
        one = self.invitation(session, who)
        return Grant(session.id, one.id, one.role)

    async def ask(self, who: str, action: str, session: Session) -> str:
        """The outcome of a request."""
        method, _, path = action.partition(" ")
        bodies: Mapping[str, Json] = {
            f"POST {_ONE}/guest-link": {"participant_id": self.invitation(session, "G").id},
            "POST /api/sessions": {"therapist": "A", "client": "B"},
        }
        response = await self.server.http.request(
            method,
            self.server.url + path.replace("{session}", session.id),
            headers=self._headers(who, session),
            json=bodies.get(action, {}) if method == "POST" else None,
        )
        if response.status >= 400:
            code: str = (await response.json())["error"]["code"]
            return code
        listed = action == "GET /api/my/sessions" and session.id in await response.text()
        return "ok, listed" if listed else "ok"

    def _headers(self, who: str, session: Session) -> Mapping[str, str]:
        tokens = self.server.plumm.tokens
        if who in self.cookies:
            return {"Cookie": f"__Host-plumm={self.cookies[who]}"}
        if who == "G":
            link = tokens.link(self.grant(session, "G"), session.links_until)
            return {"Authorization": f"Bearer {link}"}
        return {"Authorization": f"Bearer {tokens.admin()}"} if who == "k" else {}

    async def connect(self, session: Session, who: str) -> Client:
        """A socket that was let in."""
        client = Client(self.server.url)
        self.server.sockets.append(client)
        await client.connect(self.server.plumm.tokens.join(self.grant(session, who)))
        return client

    async def turned_away(self, token: str) -> str:
        """The code with which a socket is refused."""
        client = Client(self.server.url)
        self.server.sockets.append(client)
        with pytest.raises(socketio.exceptions.ConnectionError):
            await client.connect(token)
        code: str = client.refusal["data"]["code"]
        return code


@pytest.fixture
async def world(server: Server) -> World:
    roles: Mapping[str, Literal["therapist", "client", "support", "admin"]] = {
        "T": "therapist",
        "C": "client",
        "t": "therapist",
        "c": "client",
        "s": "support",
        "a": "admin",
    }
    people = server.plumm.people
    users, cookies = {}, {}
    for number, (letter, role) in enumerate(roles.items()):
        email = f"n{number}@example.org"
        users[letter] = (await people.add(email, "A name", role, PASSWORD)).id
        cookies[letter] = (await people.sign_in(email, PASSWORD, "192.0.2.1")).secret
    return World(server, users, cookies)


def each(outcomes: Outcomes) -> dict[str, str]:
    return {who: outcome for letters, outcome in outcomes.items() for who in letters}


def test_the_table_has_every_route_and_event_and_everyone_once(server: Server) -> None:
    served = {
        f"{route.method} {route.resource.canonical}"
        for route in server.plumm.app.router.routes()
        if route.resource is not None and route.resource.canonical.startswith("/api/")
    }
    assert {one for one in served if not one.startswith("HEAD ")} == PUBLIC | set(ROUTES)
    assert set(EVENTS) == set(CLIENT_EVENTS)
    for states in ROUTES.values():
        assert set(states) == set(STATES)
        for outcomes in states.values():
            assert sorted("".join(outcomes)) == sorted(EVERYONE)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("action", sorted(set(ROUTES) - {"POST /api/sign-out"}))
async def test_a_route_answers_those_whom_it_is_for(
    world: World, action: str, state: State
) -> None:
    expected = each(ROUTES[action][state])
    found = {who: await world.ask(who, action, await world.session(state)) for who in EVERYONE}
    assert found == expected


async def test_whoever_is_signed_in_may_sign_out(world: World) -> None:
    session = await world.session()
    found = {who: await world.ask(who, "POST /api/sign-out", session) for who in EVERYONE}
    assert found == each(ROUTES["POST /api/sign-out"]["open"])
    for who in ACCOUNTS:
        assert await world.ask(who, "GET /api/me", session) == "sign_in.required"


@pytest.mark.parametrize("place", ["let in", "waiting", "in the room"])
@pytest.mark.parametrize("event", EVENTS)
async def test_an_event_is_heard_of_those_who_may(world: World, event: str, place: str) -> None:
    expected = each(EVENTS[event][place])
    found = {}
    for who in expected:
        session = await world.session(waiting_room=place == "waiting")
        payloads: Mapping[str, Json] = {
            "room:admit": {"participant_id": world.invitation(session, "G").id},
            "rtc:offer": {"connection": "c", "seq": 0, "sdp": "v=0", "sources": {}},
            "rtc:view": {"views": []},
            "state:set": {"microphone": False},
        }
        client = await world.connect(session, who)
        if place != "let in":
            welcome = await client.done("room:join", {})
            assert ("waiting" in welcome) == (place == "waiting")
        ack = await client.ask(event, payloads.get(event, {}))
        found[who] = "ok" if ack["ok"] else ack["error"]["code"]
    assert found == expected


@pytest.mark.parametrize(
    ("state", "code"),
    [("early", "session.not_open"), ("ended", "session.ended"), ("timed out", "session.ended")],
)
async def test_no_socket_is_let_in_before_and_after(world: World, state: State, code: str) -> None:
    session = await world.session(state)
    for who in "TCG":
        token = world.server.plumm.tokens.join(world.grant(session, who))
        assert await world.turned_away(token) == code


async def test_a_token_of_one_session_is_none_for_another(world: World) -> None:
    ours, theirs = await world.session(), await world.session()
    for who in "TCG":
        stranger = replace(world.grant(ours, who), session=theirs.id)
        token = world.server.plumm.tokens.join(stranger)
        assert await world.turned_away(token) == "token.invalid"


async def test_a_client_is_no_therapist_by_its_tokens_role(world: World) -> None:
    session = await world.session()
    for who in "CG":
        pretender = replace(world.grant(session, who), role="therapist")
        token = world.server.plumm.tokens.join(pretender)
        assert await world.turned_away(token) == "token.invalid"


async def test_only_a_join_token_opens_a_socket(world: World) -> None:
    session = await world.session()
    tokens = world.server.plumm.tokens
    for token in (
        tokens.link(world.grant(session, "T"), session.links_until),
        tokens.admin(),
        world.cookies["T"],
    ):
        assert await world.turned_away(token) == "token.invalid"
