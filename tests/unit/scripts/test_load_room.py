"""A room of a load test: what is measured, and what becomes of it when things fail."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, Self

import pytest

from scripts.client.crowd import Kind
from scripts.client.peer import CAMERA, Picture
from scripts.client.transport import ConnectionFailed
from scripts.load.plan import Action
from scripts.load.record import Doing, Record
from scripts.load.room import Room
from scripts.load.run import Run
from scripts.load.scenario import RoomKind, Scenario
from scripts.load.target import NoTarget, Target, Usage
from scripts.pump import Figures
from signaling.client import RefusedByServer, RoomClient
from tests.support.eventually import eventually

Json = dict[str, Any]


class Sessions(Target):
    """A server that makes sessions; open: those that nobody has ended."""

    def __init__(self) -> None:
        super().__init__("http://server", "key")
        self.open: set[str] = set()
        self.made = 0
        self.failing: Exception | None = None

    async def open_room(self, people: int) -> list[str]:
        if self.failing is not None:
            raise self.failing
        self.made += 1
        self.open.add(f"session{self.made}")
        return [f"session{self.made}#{person}" for person in range(people)]

    async def usage(self) -> Usage | None:
        return None


class Socket(RoomClient):
    """What a room uses of it, on a server that answers at once."""

    def __init__(self, crowd: "FakeCrowd", room_url: str) -> None:
        super().__init__(room_url)
        self._crowd = crowd
        self._url = room_url
        self._handlers: dict[str, Callable[[object], object]] = {}

    def on(self, event: str, handler: Callable[[object], object]) -> None:
        self._handlers[event] = handler

    async def request(self, event: str, payload: Json) -> Json:
        self._crowd.say(self._url, event, payload)
        return {}

    def hear(self, event: str) -> None:
        if handler := self._handlers.get(event):
            handler({})


class FakeClient:
    """One of a FakeCrowd, which is told of all that it does."""

    def __init__(self, crowd: "FakeCrowd", room_url: str) -> None:
        self._crowd = crowd
        self._url = room_url
        self._socket = Socket(crowd, room_url)
        self.silent: set[str] = set()

    @property
    def room(self) -> Socket:
        return self._socket

    async def join(self) -> None:
        self._crowd.say(self._url, "join")

    async def connect(self) -> None:
        self._crowd.say(self._url, "connect")

    async def receives(self, sections: int, timeout_s: float) -> None:  # noqa: ARG002 - the contract's
        self._crowd.say(self._url, f"receives {sections}")

    def send(self) -> None:
        self._crowd.sending.add(self)

    def pause(self, kind: Kind) -> None:
        self.silent.add(kind)

    def resume(self, kind: Kind) -> None:
        self.silent.discard(kind)

    async def first_media(self, timeout_s: float) -> float:  # noqa: ARG002
        self._crowd.say(self._url, "first_media")
        return self._crowd.now()

    async def refresh(self) -> None:
        self._crowd.say(self._url, "refresh")
        self.silent.clear()

    async def rejoin(self) -> None:
        self._crowd.say(self._url, "rejoin")

    async def move(self, timeout_s: float) -> float:  # noqa: ARG002
        self._crowd.say(self._url, "move")
        return self._crowd.now()

    async def close(self) -> None:
        self._crowd.sending.discard(self)
        self._crowd.clients.remove(self)


class FakeCrowd:
    """Clients without a network. fail: raises in place of the next of these, once each."""

    name = "fake"

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self.now = Record().now
        self.said: list[tuple[str, str, Json]] = []
        self.fail: dict[tuple[str, str], Exception] = {}
        self.clients: list[FakeClient] = []
        self.sending: set[FakeClient] = set()

    def client(self, room_url: str, picture: Picture = CAMERA) -> FakeClient:  # noqa: ARG002
        self.clients.append(FakeClient(self, room_url))
        return self.clients[-1]

    async def figures(self) -> Figures:
        return Figures()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.clients == [], "each client is closed"

    def say(self, url: str, event: str, payload: Json | None = None) -> None:
        self.said.append((url, event, payload or {}))
        if failure := self.fail.pop((url, event), None):
            raise failure
        if event == "session:end":
            session = url.partition("#")[0]
            self._sessions.open.remove(session)
            for client in self.clients:
                if client._url.startswith(f"{session}#"):
                    client.room.hear("session:ended")


class Scene:
    """A room of three at such a server."""

    def __init__(self) -> None:
        self.sessions = Sessions()
        self.crowd = FakeCrowd(self.sessions)
        self.record = Record()
        self.room = Room(self.sessions, self.crowd, RoomKind(people=3), self.record)

    async def act(self, kind: str, person: int = 0) -> None:
        await self.room.act(Action(0.0, kind, person))  # type: ignore[arg-type]

    @property
    def went_well(self) -> dict[Doing, int]:
        return Counter(one.doing for one in self.record.done if one.failure is None)

    @property
    def failures(self) -> list[tuple[Doing, str | None]]:
        return [(one.doing, one.failure) for one in self.record.done if one.failure is not None]


@pytest.fixture
async def scene() -> Scene:
    return Scene()


async def test_everyone_joins_hears_of_the_others_and_hears_the_end(scene: Scene) -> None:
    await scene.room.open()
    assert scene.room.sending == 3
    assert ("session1#1", "receives 4", {}) in scene.crowd.said
    await scene.room.end()
    await scene.room.close()
    assert scene.went_well == {"open": 1, "join": 3, "first_media": 3, "end": 3}
    assert (scene.failures, scene.sessions.open, scene.crowd.clients) == ([], set(), [])


async def test_each_action_is_measured(scene: Scene) -> None:
    await scene.room.open()
    for kind in ("refresh", "reconnect", "move", "mute", "camera", "leave"):
        await scene.act(kind, 1)
    assert scene.room.sending == 2
    await scene.act("join", 1)
    assert scene.room.sending == 3
    for kind in ("refresh", "reconnect", "move", "mute", "camera", "leave"):
        assert scene.went_well[kind] == 1  # type: ignore[index]
    assert scene.went_well["join"] == 4


async def test_an_end_is_followed_by_another_session(scene: Scene) -> None:
    await scene.room.open()
    await scene.act("end")
    assert (scene.sessions.open, scene.room.sending) == ({"session2"}, 3)


async def test_what_is_off_sends_nothing_and_stays_off_over_a_refresh(scene: Scene) -> None:
    await scene.room.open()
    await scene.act("mute", 1)
    client = scene.crowd.clients[1]
    assert client.silent == {"audio"}
    assert scene.crowd.said[-1] == ("session1#1", "state:set", {"microphone": False})
    await scene.act("refresh", 1)
    assert client.silent == {"audio"}
    await scene.act("mute", 1)
    assert client.silent == set()
    assert scene.crowd.said[-1] == ("session1#1", "state:set", {"microphone": True})


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (RefusedByServer("rate.limited", "Slower."), "rate.limited"),
        (ConnectionFailed("no check was answered"), "no_connection"),
        (NoTarget("elsewhere"), "another_address"),
        (TimeoutError(), "timeout"),
        (ConnectionError("gone"), "server_gone"),
        (KeyError("our own fault"), "crashed.KeyError"),
    ],
)
async def test_a_client_that_fails_is_one_failure_and_comes_back_at_its_next_action(
    scene: Scene, failure: Exception, code: str
) -> None:
    await scene.room.open()
    scene.crowd.fail["session1#2", "refresh"] = failure
    await scene.act("refresh", 2)
    assert scene.failures == [("refresh", code)]
    assert scene.room.sending == 2
    await scene.act("mute", 2)
    assert scene.room.sending == 3
    assert (scene.went_well["join"], scene.went_well["mute"]) == (4, 0)


async def test_one_who_cannot_join_does_not_keep_the_others_waiting(scene: Scene) -> None:
    scene.crowd.fail["session1#1", "connect"] = ConnectionFailed("no check was answered")
    await scene.room.open()
    assert scene.failures == [("join", "no_connection")]
    assert scene.room.sending == 2
    assert ("session1#0", "receives 2", {}) in scene.crowd.said


async def test_one_who_is_alone_waits_for_no_media(scene: Scene) -> None:
    for person in (1, 2):
        scene.crowd.fail[f"session1#{person}", "join"] = ConnectionError("gone")
    await scene.room.open()
    assert (scene.room.sending, scene.went_well["first_media"]) == (1, 0)


async def test_a_session_that_cannot_be_made_is_tried_again_by_the_next_action(
    scene: Scene,
) -> None:
    scene.sessions.failing = RefusedByServer("storage.unavailable", "Later.")
    await scene.room.open()
    assert scene.failures == [("open", "storage.unavailable")]
    scene.sessions.failing = None
    await scene.act("mute", 1)
    assert scene.room.sending == 3


@pytest.mark.parametrize("failing", ["session:end", "refresh"])
async def test_a_session_is_ended_by_another_client_where_the_therapists_failed(
    scene: Scene, failing: str
) -> None:
    await scene.room.open()
    scene.crowd.fail["session1#0", failing] = ConnectionError("gone")
    if failing == "refresh":
        await scene.act("refresh", 0)
    await scene.room.end()
    await scene.room.close()
    assert len(scene.failures) == 1
    assert (scene.sessions.open, scene.crowd.clients) == (set(), [])


# The whole run


async def test_a_run_that_is_stopped_ends_its_sessions_and_tells_what_was() -> None:
    sessions = Sessions()
    crowd = FakeCrowd(sessions)
    run = Run(sessions, Scenario(rooms=3, ramp=20.0, duration_s=3000), crowd)
    stop = asyncio.Event()
    running = asyncio.create_task(run.run(stop))
    await eventually(lambda: len(crowd.sending) == 6)
    assert len(sessions.open) == 3
    stop.set()
    outcome = await running
    assert outcome.interrupted
    assert (sessions.open, crowd.clients) == (set(), [])
    ended = [one for one in outcome.record.done if one.doing == "end"]
    assert (len(ended), outcome.record.failed) == (6, 0)


async def test_a_run_that_is_stopped_while_a_session_is_being_made_ends_that_too() -> None:
    sessions = Sessions()
    crowd = FakeCrowd(sessions)
    asked, answered = asyncio.Event(), asyncio.Event()
    make = sessions.open_room

    async def slowly(people: int) -> list[str]:
        asked.set()
        await answered.wait()
        return await make(people)

    sessions.open_room = slowly  # type: ignore[method-assign]
    stop = asyncio.Event()
    running = asyncio.create_task(Run(sessions, Scenario(rooms=1), crowd).run(stop))
    await asked.wait()
    stop.set()
    asyncio.get_running_loop().call_later(0.01, answered.set)
    assert (await running).interrupted
    assert (sessions.made, sessions.open) == (1, set())
