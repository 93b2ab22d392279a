"""What an admin sees of the server: figures and ids, and nobody's name."""

import json
from typing import Any

import pytest
from sqlalchemy import text

from tests.unit.signaling.harness import Booking, Server

PASSWORD = "a long enough password"


@pytest.fixture
async def cookie(server: Server) -> str:
    people = server.plumm.people
    await people.add("root@example.org", "Root Admin", "admin", PASSWORD)
    return (await people.sign_in("root@example.org", PASSWORD, "192.0.2.1")).secret


async def operations(server: Server, cookie: str) -> Any:
    headers = {"Cookie": f"__Host-plumm={cookie}"}
    response = await server.http.get(f"{server.url}/api/operations", headers=headers)
    assert response.status == 200, await response.text()
    return await response.json()


async def test_an_empty_server_tells_zeros(server: Server, cookie: str) -> None:
    found = await operations(server, cookie)
    assert (found["rooms"], found["participants"], found["sockets"]) == (0, 0, 0)
    assert (found["worst_rooms"], found["qualities"], found["refusing"]) == ([], {}, [])
    assert len(found["relays"]) == 1
    assert found["loop_lag"].keys() == {"p50_s", "p99_s", "max_s"}


async def test_a_room_is_told_by_its_id_and_nobody_by_a_name(booking: Booking, cookie: str) -> None:
    await booking.join("Lena")
    await booking.join("Maya")
    found = await operations(booking.server, cookie)
    assert (found["rooms"], found["participants"], found["sockets"]) == (1, 2, 2)
    (room,) = found["worst_rooms"]
    assert room["session_id"] == booking.id
    ids = {booking.person(name).id for name in ("Lena", "Maya")}
    assert {line["participant"] for line in room["lines"]} == ids
    for word in ("Lena", "Maya", "Root", "example.org", booking.session.title):
        assert word not in json.dumps(found)


async def test_what_waits_and_what_was_given_up_is_told(booking: Booking, cookie: str) -> None:
    server = booking.server
    server.plumm.dispatcher.stop()
    await server.session()
    server.clock.advance(30)
    async with server.plumm.database.transaction() as connection:
        await connection.execute(
            text(
                "INSERT INTO deliveries (event_id, hook, state, attempts, due_at)"
                " SELECT id, 'mail', 'parked', 12, at FROM events"
                " ORDER BY position DESC LIMIT 1"
            )
        )
    outbox = (await operations(server, cookie))["outbox"]
    assert outbox["pending"] > 0
    assert outbox["oldest_s"] == 30
    assert outbox["parked"] == [{"hook": "mail", "number": 1}]


async def test_without_a_database_that_answers_the_rest_is_told(
    server: Server, cookie: str
) -> None:
    async with server.plumm.database.transaction() as connection:
        await connection.execute(text("ALTER TABLE deliveries RENAME TO elsewhere"))
    found = await operations(server, cookie)
    assert found["outbox"] is None
    assert found["rooms"] == 0
