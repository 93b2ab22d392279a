"""Every error code of PROTOCOL.md, provoked over a real socket or over HTTP."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
import socketio
from sqlalchemy import insert, text
from structlog.testing import capture_logs

from rooms.db.schema import users
from rooms.errors import NotConfirmable
from rooms.service import Person
from rooms.vocabulary import Role, SessionId, UserId
from signaling.errors import ERRORS
from signaling.handlers import CLIENT_EVENTS
from signaling.hub import PATIENCE
from signaling.protocol import EVENTS_BURST, EVENTS_PER_SECOND, MAX_MESSAGE_BYTES, MAX_SOCKETS
from tests.support.eventually import eventually
from tests.unit.signaling.harness import Booking, Client, RawSocket, Server

Provoke = Callable[[Booking], Awaitable[str]]
PROVOKED: dict[str, Provoke] = {}


def provokes(code: str) -> Callable[[Provoke], Provoke]:
    def note(provoke: Provoke) -> Provoke:
        PROVOKED[code] = provoke
        return provoke

    return note


async def refused_socket(booking: Booking, token: object, **headers: str) -> str:
    """The code a socket with this token is refused with."""
    client = Client(booking.server.url)
    booking.server.sockets.append(client)
    with pytest.raises(socketio.exceptions.ConnectionError):
        await client.connect(token, **headers)
    assert client.refusal is not None
    data = client.refusal["data"]
    assert set(data) == {"code", "message"} | ({"ended", "retry_after"} & set(data))
    code: str = data["code"]
    assert booking.server.counted("refused_connections_total", code=code) == 1
    return code


def an_offer(connection: str = "c1", seq: int = 1, sdp: str = "v=0\r\n") -> dict[str, object]:
    return {"connection": connection, "seq": seq, "sdp": sdp, "sources": {"0": "microphone"}}


@provokes("token.missing")
async def _(booking: Booking) -> str:
    return await refused_socket(booking, None)


@provokes("token.invalid")
async def _(booking: Booking) -> str:
    return await refused_socket(booking, booking.link_token("Maya"))


@provokes("token.expired")
async def _(booking: Booking) -> str:
    token = booking.join_token("Maya")
    booking.server.clock.advance(121)
    return await refused_socket(booking, token)


@provokes("origin.forbidden")
async def _(booking: Booking) -> str:
    server = booking.server
    response = await server.http.get(
        f"{server.url}/socket.io/?EIO=4&transport=websocket",
        headers={"Origin": "https://elsewhere.example"},
    )
    assert response.status == 403
    assert server.counted("refused_connections_total", code="origin.forbidden") == 1
    return str((await response.json())["error"]["code"])


@provokes("session.unknown")
async def _(booking: Booking) -> str:
    nowhere = replace(booking.grant("Maya"), session=SessionId("nowhere"))
    return await refused_socket(booking, booking.server.plumm.tokens.join(nowhere))


@provokes("session.ended")
async def _(booking: Booking) -> str:
    therapist = await booking.join("Lena")
    await therapist.done("session:end", {})
    return await refused_socket(booking, booking.join_token("Maya"))


@provokes("room.full")
async def _(booking: Booking) -> str:
    crowd: list[tuple[str, Role]] = [(f"client {n}", "client") for n in range(13)]
    crowded = await booking.server.session(crowd)
    for name, _ in crowd[:12]:
        await crowded.join(name)
    thirteenth = await crowded.connect("client 12")
    code = await thirteenth.refused("room:join", {})
    assert len(booking.server.plumm.rooms.state(crowded.session.id).participants) == 12
    return code


@provokes("room.not_joined")
async def _(booking: Booking) -> str:
    return await (await booking.connect("Maya")).refused("room:sync", {})


@provokes("room.replaced")
async def _(booking: Booking) -> str:
    before = await RawSocket.admitted(booking, "Maya")
    assert (await before.acked('42#["room:join",{}]'))["ok"]
    await booking.join("Maya")
    refusal = await before.acked('42#["state:set",{"microphone":false}]')
    return str(refusal["error"]["code"])


@provokes("role.forbidden")
async def _(booking: Booking) -> str:
    return await (await booking.join("Maya")).refused("session:end", {})


@provokes("message.malformed")
async def _(booking: Booking) -> str:
    return await (await booking.join("Maya")).refused("state:set", {"microphone": "off"})


@provokes("message.unknown_event")
async def _(booking: Booking) -> str:
    return await (await booking.join("Maya")).refused("room:burn", {})


@provokes("message.binary")
async def _(booking: Booking) -> str:
    socket = await RawSocket.admitted(booking, "Maya")
    await socket.send_bytes(b'42["room:join",{}]')
    assert await socket.close_code() == 1003
    return await dropped(booking.server)


@provokes("message.too_large")
async def _(booking: Booking) -> str:
    socket = await RawSocket.admitted(booking, "Maya")
    await socket.send("42" + "x" * MAX_MESSAGE_BYTES)
    assert await socket.close_code() == 1009
    return await dropped(booking.server)


@provokes("rate.limited")
async def _(booking: Booking) -> str:
    client = await booking.join("Maya")
    for _ in range(EVENTS_BURST - 1):
        await client.done("room:sync", {})
    code = await client.refused("room:sync", {})
    booking.server.clock.advance(1.5 / EVENTS_PER_SECOND)
    await client.done("room:sync", {})
    assert await client.refused("room:sync", {}) == code
    return code


@provokes("session.not_open")
async def _(booking: Booking) -> str:
    early = await booking.server.session(starts_in=timedelta(minutes=16))
    with pytest.raises(socketio.exceptions.ConnectionError):
        await early.join("Lena")
    refusal = booking.server.sockets[-1].refusal["data"]
    assert refusal["opens_at"] == "2026-11-22T10:01:00Z"
    return str(refusal["code"])


@provokes("session.not_confirmable")
async def _(booking: Booking) -> str:
    plumm, lena = booking.server.plumm, UserId("lena")
    async with plumm.database.transaction() as connection:
        await connection.execute(
            insert(users).values(
                id=lena,
                email="lena@example.org",
                name="Lena",
                role="therapist",
                created_at=booking.server.clock.now(),
            )
        )
    session = await plumm.rooms.create(
        [Person("Lena", "therapist", lena)],
        title="Session",
        starts_at=booking.server.clock.now(),
        length=timedelta(minutes=60),
    )
    with pytest.raises(NotConfirmable) as refused:
        await plumm.rooms.confirm(session.id, lena)
    return refused.value.code


async def over_http(booking: Booking, path: str, **body: object) -> str:
    """The code that a request without a cookie is refused with."""
    response = await booking.server.http.post(booking.server.url + path, json=body)
    return str((await response.json())["error"]["code"])


@provokes("sign_in.refused")
async def _(booking: Booking) -> str:
    return await over_http(booking, "/api/sign-in", email="lena@example.org", password="wrong")


@provokes("sign_in.required")
async def _(booking: Booking) -> str:
    return await over_http(booking, f"/api/my/sessions/{booking.id}/join-token")


@provokes("password.weak")
async def _(booking: Booking) -> str:
    people = booking.server.plumm.people
    user = await people.add("lena@example.org", "Lena", "therapist", None)
    token = await people.reset_token(user.id)
    return await over_http(booking, "/api/password-reset/choose", token=token, password="lena")


@provokes("user.unknown")
async def _(booking: Booking) -> str:
    response = await booking.server.http.post(
        f"{booking.server.url}/api/sessions",
        json={"therapist_email": "nobody@example.org", "client": "Maya"},
        headers={"Authorization": f"Bearer {booking.server.plumm.tokens.admin()}"},
    )
    return str((await response.json())["error"]["code"])


@provokes("session.not_over")
async def _(booking: Booking) -> str:
    plumm = booking.server.plumm
    lena = await plumm.people.add("lena@example.org", "Lena", "therapist", "a long password")
    new = await plumm.people.sign_in("lena@example.org", "a long password", "127.0.0.1")
    session = await plumm.rooms.create(
        [Person("Lena", "therapist", lena.id)],
        title="Session",
        starts_at=booking.server.clock.now(),
        length=timedelta(minutes=60),
    )
    response = await booking.server.http.get(
        f"{booking.server.url}/api/my/sessions/{session.id}/receipt",
        headers={"Cookie": f"__Host-plumm={new.secret}"},
    )
    return str((await response.json())["error"]["code"])


@provokes("storage.unavailable")
async def _(booking: Booking) -> str:
    client = await booking.join("Maya")
    async with booking.server.plumm.database.transaction() as connection:
        await connection.execute(text("ALTER TABLE events RENAME TO elsewhere"))
    with capture_logs():
        code = await client.refused("room:leave", {})
        await client.done("room:sync", {})  # it is in the room as before
    return code


@provokes("media.unavailable")
async def _(booking: Booking) -> str:
    await booking.server.stop()
    response = await booking.server.http.get(f"{booking.server.url}/readyz")
    return str((await response.json())["error"]["code"])


@provokes("outbox.unavailable")
async def _(booking: Booking) -> str:
    server = booking.server
    server.plumm.dispatcher.stop()
    server.clock.advance(600)
    response = await server.http.get(f"{server.url}/readyz")
    return str((await response.json())["error"]["code"])


@provokes("busy")
async def _(booking: Booking) -> str:
    await booking.server.load(relay_share=1.0)
    return await refused_socket(booking, booking.join_token("Maya"))


@provokes("rtc.bad_offer")
async def _(booking: Booking) -> str:
    return await (await booking.join("Maya")).refused("rtc:offer", an_offer(sdp="hello"))


@provokes("rtc.stale_offer")
async def _(booking: Booking) -> str:
    client = await booking.join("Maya")
    await client.done("rtc:offer", an_offer(seq=2))
    return await client.refused("rtc:offer", an_offer(seq=2))


@provokes("rtc.connection_closed")
async def _(booking: Booking) -> str:
    client = await booking.join("Maya")
    await client.done("rtc:offer", an_offer("c1"))
    await client.done("rtc:offer", an_offer("c2"))
    return await client.refused("rtc:offer", an_offer("c1", seq=9))


@provokes("internal")
async def _(booking: Booking) -> str:
    client = await booking.join("Maya")
    booking.server.sfu.breaks = True
    return str((await client.ask("rtc:offer", an_offer()))["error"]["code"])


async def dropped(server: Server) -> str:
    """Why the one socket that was cut off was."""

    def reason() -> str:
        reasons = [r for r in ERRORS if server.counted("dropped_sockets_total", reason=r) == 1]
        assert len(reasons) == 1, reasons
        return reasons[0]

    return await eventually(reason)


def test_every_code_is_provoked() -> None:
    assert set(PROVOKED) == set(ERRORS)


@pytest.mark.parametrize("code", ERRORS)
async def test_each_code_is_answered_where_the_protocol_says(booking: Booking, code: str) -> None:
    assert await PROVOKED[code](booking) == code


async def test_more_sockets_of_a_participant_are_not_more_events(booking: Booking) -> None:
    first = await booking.join("Maya")
    for _ in range(EVENTS_BURST - 1):
        await first.done("room:sync", {})
    second = await booking.connect("Maya")
    assert await second.refused("room:join", {}) == "rate.limited"
    await second.close()
    third = await booking.connect("Maya")
    assert await third.refused("room:join", {}) == "rate.limited"
    await (await booking.join("Lena")).done("room:sync", {})


async def test_a_participant_has_four_sockets_at_most(booking: Booking) -> None:
    sockets = [await booking.connect("Maya") for _ in range(MAX_SOCKETS)]
    assert await refused_socket(booking, booking.join_token("Maya")) == "rate.limited"
    await booking.connect("Lena")
    await sockets[0].close()
    await eventually(lambda: booking.server.counted("sockets") == MAX_SOCKETS)
    await booking.join("Maya")


async def test_who_sends_above_the_rate_and_never_lets_up_is_sent_away(booking: Booking) -> None:
    socket = await RawSocket.admitted(booking, "Maya")
    for number in range(EVENTS_BURST + PATIENCE):
        await socket.send(f'42{number}["room:sync",{{}}]')
    assert booking.server.counted("dropped_sockets_total", reason="rate.limited") == 0
    await socket.send('42["room:sync",{}]')
    assert await socket.close_code() == 1000
    assert booking.server.counted("dropped_sockets_total", reason="rate.limited") == 1


async def test_end_session_is_heard_above_the_rate(booking: Booking) -> None:
    therapist = await booking.join("Lena")
    for _ in range(EVENTS_BURST):
        await therapist.ask("room:sync", {})
    assert await therapist.refused("room:sync", {}) == "rate.limited"
    assert (await therapist.done("session:end", {}))["cause"] == "therapist"


async def test_who_heeds_the_rate_again_keeps_its_socket(booking: Booking) -> None:
    socket = await RawSocket.admitted(booking, "Maya")
    for _ in range(3):
        for _ in range(EVENTS_BURST + PATIENCE // 2):
            await socket.acked('42#["room:sync",{}]')
        booking.server.clock.advance(PATIENCE / EVENTS_PER_SECOND)
    assert (await socket.acked('42#["room:join",{}]'))["ok"]


async def test_a_token_of_another_role_than_the_invitation_is_refused(booking: Booking) -> None:
    pretender = replace(booking.grant("Maya"), role="therapist")
    tokens = booking.server.plumm.tokens
    assert await refused_socket(booking, tokens.join(pretender)) == "token.invalid"
    link = tokens.link(pretender, booking.session.links_until)
    response = await booking.server.http.post(
        f"{booking.server.url}/api/join-token", headers={"Authorization": f"Bearer {link}"}
    )
    assert (await response.json())["error"]["code"] == "token.invalid"


async def test_a_token_for_someone_of_another_session_is_refused(booking: Booking) -> None:
    stranger = replace(
        booking.grant("Maya"), participant=(await booking.server.session()).person("Maya").id
    )
    token = booking.server.plumm.tokens.join(stranger)
    assert await refused_socket(booking, token) == "token.invalid"


async def test_a_refused_event_changes_nothing_and_is_counted(booking: Booking) -> None:
    client = await booking.join("Maya")
    before = await booking.server.plumm.rooms.session(booking.session.id)
    calls = list(booking.server.sfu.calls)
    for event, payload in (
        ("session:end", {}),
        ("room:burn", {}),
        ("state:set", {"camera": 0}),
        ("state:set", {"camera": False, "more": True}),
        ("rtc:offer", an_offer(sdp="hello")),
        ("room:leave", {"really": True}),
    ):
        await client.refused(event, payload)
    assert (await booking.server.plumm.rooms.session(booking.session.id)) == before
    assert booking.server.sfu.calls == calls
    assert (
        booking.server.counted("events_total", event="state:set", outcome="message.malformed") == 2
    )
    assert (
        booking.server.counted("events_total", event="unknown", outcome="message.unknown_event")
        == 1
    )


async def test_a_handler_that_raises_is_acked_internal_and_logged_under_the_same_id(
    booking: Booking,
) -> None:
    client = await booking.join("Maya")
    booking.server.sfu.breaks = True
    with capture_logs() as logs:
        ack = await client.ask("rtc:offer", an_offer())
    assert ack["error"]["code"] == "internal"
    logged = [entry for entry in logs if entry["event"] == "event.failed"]
    assert [entry["error_id"] for entry in logged] == [ack["error"]["id"]]
    assert "FakeFault" in repr(logged[0]["exc_info"])
    booking.server.sfu.breaks = False
    await client.done("rtc:offer", an_offer())


ROLES = {"therapist": "Lena", "client": "Maya"}
# What each event answers: for one who has not joined, for one who has, after the end.
OUTCOMES: dict[tuple[str, str], tuple[str, str, str]] = {
    ("therapist", "room:join"): ("ok", "ok", "session.ended"),
    ("therapist", "room:leave"): ("room.not_joined", "ok", "session.ended"),
    ("therapist", "room:admit"): ("room.not_joined", "ok", "session.ended"),
    ("therapist", "room:sync"): ("room.not_joined", "ok", "session.ended"),
    ("therapist", "rtc:offer"): ("room.not_joined", "ok", "session.ended"),
    ("therapist", "rtc:view"): ("room.not_joined", "ok", "session.ended"),
    ("therapist", "state:set"): ("room.not_joined", "ok", "session.ended"),
    ("therapist", "session:end"): ("room.not_joined", "ok", "ok"),
    ("client", "room:join"): ("ok", "ok", "session.ended"),
    ("client", "room:leave"): ("room.not_joined", "ok", "session.ended"),
    ("client", "room:admit"): ("room.not_joined", "role.forbidden", "session.ended"),
    ("client", "room:sync"): ("room.not_joined", "ok", "session.ended"),
    ("client", "rtc:offer"): ("room.not_joined", "ok", "session.ended"),
    ("client", "rtc:view"): ("room.not_joined", "ok", "session.ended"),
    ("client", "state:set"): ("room.not_joined", "ok", "session.ended"),
    ("client", "session:end"): ("room.not_joined", "role.forbidden", "role.forbidden"),
}
PAYLOADS: dict[str, object] = {
    "rtc:offer": an_offer(),
    "rtc:view": {"views": []},
    "state:set": {"camera": False},
}


def test_the_matrix_covers_every_role_and_event() -> None:
    assert set(OUTCOMES) == {(role, event) for role in ROLES for event in CLIENT_EVENTS}


@pytest.mark.parametrize(("role", "event"), OUTCOMES)
async def test_each_role_may_do_each_event_in_each_state_or_is_told_why_not(
    booking: Booking, role: str, event: str
) -> None:
    async def outcome(client: Client, maya: str) -> str:
        payload = {"participant_id": maya} if event == "room:admit" else PAYLOADS.get(event, {})
        ack = await client.ask(event, payload)
        return "ok" if ack["ok"] else str(ack["error"]["code"])

    maya = booking.person("Maya").id
    before_join = await outcome(await booking.connect(ROLES[role]), maya)
    after_join = await outcome(await booking.join(ROLES[role]), maya)
    over = await booking.server.session()
    therapist = await over.join("Lena")
    client = therapist if role == "therapist" else await over.join("Maya")
    await therapist.done("session:end", {})
    after_end = await outcome(client, over.person("Maya").id)
    assert (before_join, after_join, after_end) == OUTCOMES[role, event]


async def test_one_that_never_joined_hears_that_the_session_is_over(booking: Booking) -> None:
    waiting = await booking.connect("Maya")
    await (await booking.join("Lena")).done("session:end", {})
    assert await waiting.refused("room:sync", {}) == "session.ended"


def test_messages_hold_no_codes_and_end_like_sentences() -> None:
    for kind in ERRORS.values():
        assert kind.message.endswith(".")
        assert 400 <= kind.status <= 503
