"""The sessions of whoever is signed in: the list, the way in, and the word after the end."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
import socketio
from aiohttp import ClientResponse
from structlog.testing import capture_logs

from rooms.db.engine import StorageFailed
from rooms.lifecycle import GRACE
from rooms.people.accounts import User
from rooms.receipt import verify
from rooms.service import Person
from rooms.session import Session
from rooms.vocabulary import UserRole
from signaling.tokens import JOIN_TOKENS_BURST
from tests.support.eventually import eventually
from tests.unit.signaling.harness import Client, Json, Server

PASSWORD = "a long enough password"


@dataclass(frozen=True, slots=True)
class Visitor:
    """One who is signed in, or with no cookie one who is not."""

    server: Server
    user: User | None = None
    cookie: str = ""

    async def get(self, path: str) -> ClientResponse:
        return await self.server.http.get(self.server.url + path, headers=self._headers())

    async def post(self, path: str, json: object = None, **headers: str) -> ClientResponse:
        return await self.server.http.post(
            self.server.url + path, json=json or {}, headers=self._headers() | headers
        )

    async def join(self, session: Session) -> Client:
        """Come in by the account, over a real socket."""
        answer = await self.post(f"/api/my/sessions/{session.id}/join-token")
        assert answer.status == 200, await answer.text()
        client = Client(self.server.url)
        self.server.sockets.append(client)
        await client.connect((await answer.json())["token"])
        client.welcome = await client.done("room:join", {})
        return client

    def _headers(self) -> dict[str, str]:
        return {"Cookie": f"__Host-plumm={self.cookie}"} if self.cookie else {}


async def visitor(server: Server, name: str, role: UserRole) -> Visitor:
    user = await server.plumm.people.add(f"{name.lower()}@example.org", name, role, PASSWORD)
    return await signed_in(server, user)


async def signed_in(server: Server, user: User | None) -> Visitor:
    assert user is not None
    new = await server.plumm.people.sign_in(user.email, PASSWORD, "127.0.0.1")
    return Visitor(server, user, new.secret)


@pytest.fixture
async def lena(server: Server) -> Visitor:
    return await visitor(server, "Lena", "therapist")


@pytest.fixture
async def maya(server: Server) -> Visitor:
    return await visitor(server, "Maya", "client")


@pytest.fixture
async def session(server: Server, lena: Visitor, maya: Visitor) -> Session:
    """Lena's and Maya's, with a guest; it starts now."""
    assert lena.user is not None
    assert maya.user is not None
    return await server.plumm.rooms.create(
        [
            Person("Lena", "therapist", lena.user.id),
            Person("Maya", "client", maya.user.id),
            Person("Noor", "client"),
        ],
        title="Talk",
        starts_at=server.clock.now(),
        length=timedelta(minutes=60),
    )


async def code_of(response: ClientResponse) -> tuple[int, str]:
    body: Json = await response.json()
    return response.status, body["error"]["code"]


async def only_row(who: Visitor) -> Json:
    answer = await who.get("/api/my/sessions")
    assert answer.status == 200, await answer.text()
    (row,) = (await answer.json())["sessions"]
    found: Json = row
    return found


async def timed_out(session: Session, lena: Visitor, maya: Visitor) -> tuple[Visitor, Visitor]:
    """Both meet, and nobody presses End; both sign in again when it is over."""
    server = lena.server
    for who in (lena, maya):
        client = await who.join(session)
        server.sfu.says(session.id, client.welcome["participant_id"], "connected")
    await server.plumm.rooms.settle()
    server.clock.advance(4 * 3600)
    await server.plumm.rooms.expire()
    return await signed_in(server, lena.user), await signed_in(server, maya.user)


async def test_each_sees_the_session_as_their_own(
    session: Session, lena: Visitor, maya: Visitor
) -> None:
    row = await only_row(lena)
    assert (row["id"], row["title"], row["status"], row["role"]) == (
        session.id,
        "Talk",
        "scheduled",
        "therapist",
    )
    assert row["opens_at"] == "2026-11-22T09:45:00Z"
    assert [(one["name"], one["guest"]) for one in row["with"]] == [("Maya", False), ("Noor", True)]
    assert (row["ended"], row["confirmable"], row["attendance"]) == (None, False, None)
    assert (await only_row(maya))["role"] == "client"


@pytest.mark.usefixtures("session")
async def test_nobody_else_sees_it(server: Server) -> None:
    for role in ("therapist", "client", "support", "admin"):
        stranger = await visitor(server, f"stranger-{role}", role)
        assert (await (await stranger.get("/api/my/sessions")).json())["sessions"] == []


async def test_who_is_signed_in_comes_in_without_a_link(
    session: Session, lena: Visitor, maya: Visitor
) -> None:
    therapist = await lena.join(session)
    assert therapist.welcome["role"] == "therapist"
    assert (await maya.join(session)).welcome["role"] == "client"


async def test_somebody_elses_session_is_unknown(session: Session, server: Server) -> None:
    for role in ("therapist", "client", "support", "admin"):
        stranger = await visitor(server, f"stranger-{role}", role)
        for verb in ("join-token", "guest-link", "confirm"):
            answer = await stranger.post(f"/api/my/sessions/{session.id}/{verb}")
            assert await code_of(answer) == (404, "session.unknown")
        answer = await stranger.get(f"/api/my/sessions/{session.id}/receipt")
        assert await code_of(answer) == (404, "session.unknown")


async def test_without_a_sign_in_nothing_is_told(session: Session, server: Server) -> None:
    nobody = Visitor(server)
    assert await code_of(await nobody.get("/api/my/sessions")) == (401, "sign_in.required")
    for verb in ("join-token", "guest-link", "confirm"):
        answer = await nobody.post(f"/api/my/sessions/{session.id}/{verb}")
        assert await code_of(answer) == (401, "sign_in.required")


async def test_a_page_of_another_site_commands_nothing(session: Session, lena: Visitor) -> None:
    for verb in ("join-token", "guest-link", "confirm"):
        answer = await lena.post(
            f"/api/my/sessions/{session.id}/{verb}", Origin="https://elsewhere.example"
        )
        assert await code_of(answer) == (403, "origin.forbidden")


async def test_a_room_that_is_not_open_yet_says_when(server: Server, lena: Visitor) -> None:
    assert lena.user is not None
    later = await server.plumm.rooms.create(
        [Person("Lena", "therapist", lena.user.id)],
        title="Later",
        starts_at=server.clock.now() + timedelta(hours=1),
        length=timedelta(minutes=60),
    )
    answer = await lena.post(f"/api/my/sessions/{later.id}/join-token")
    assert await code_of(answer) == (409, "session.not_open")
    assert (await answer.json())["error"]["opens_at"] == "2026-11-22T10:45:00Z"


async def test_join_tokens_are_given_at_a_bounded_rate(session: Session, lena: Visitor) -> None:
    path = f"/api/my/sessions/{session.id}/join-token"
    for _ in range(JOIN_TOKENS_BURST):
        assert (await lena.post(path)).status == 200
    assert await code_of(await lena.post(path)) == (429, "rate.limited")


async def test_the_therapist_hands_a_link_to_a_guest(session: Session, lena: Visitor) -> None:
    noor = (await only_row(lena))["with"][1]["participant_id"]
    answer = await lena.post(f"/api/my/sessions/{session.id}/guest-link", {"participant_id": noor})
    address, token = (await answer.json())["url"].split("#")
    assert address == f"{lena.server.url}/room/{session.id}"
    grant = lena.server.plumm.tokens.read_link(token)
    assert (grant.participant, grant.role, grant.sign_in) == (noor, "client", None)


async def test_a_client_hands_on_no_link_and_nobody_one_of_a_therapist(
    session: Session, lena: Visitor, maya: Visitor
) -> None:
    path = f"/api/my/sessions/{session.id}/guest-link"
    therapist = next(one.id for one in session.invited if one.role == "therapist")
    for who in (lena, maya):
        refused = await who.post(path, {"participant_id": therapist})
        assert await code_of(refused) == (403, "role.forbidden")
    assert await code_of(await lena.post(path, {})) == (400, "message.malformed")


async def test_a_session_that_timed_out_is_confirmed_by_its_therapist(
    session: Session, lena: Visitor, maya: Visitor
) -> None:
    lena, maya = await timed_out(session, lena, maya)
    row = await only_row(lena)
    assert (row["ended"]["cause"], row["confirmable"]) == ("timeout", True)
    assert [one["name"] for one in row["attendance"]["people"]] == ["Lena", "Maya", "Noor"]
    assert row["attendance"]["people"][0]["intervals"]
    client_row = await only_row(maya)
    assert (client_row["confirmable"], client_row["attendance"]) == (False, None)
    path = f"/api/my/sessions/{session.id}/confirm"
    assert await code_of(await maya.post(path)) == (403, "role.forbidden")
    confirmed = await (await lena.post(path)).json()
    assert confirmed["ended"]["confirmed_at"] == "2026-11-22T14:00:00Z"
    assert not confirmed["confirmable"]
    assert await (await lena.post(path)).json() == confirmed


async def test_a_session_that_goes_on_is_not_confirmed(session: Session, lena: Visitor) -> None:
    refused = await lena.post(f"/api/my/sessions/{session.id}/confirm")
    assert await code_of(refused) == (409, "session.not_confirmable")


async def test_the_receipt_is_a_file_that_verifies_and_a_later_one_tells_of_the_confirmation(
    session: Session, lena: Visitor, maya: Visitor
) -> None:
    path = f"/api/my/sessions/{session.id}/receipt"
    assert await code_of(await lena.get(path)) == (409, "session.not_over")
    lena, maya = await timed_out(session, lena, maya)
    for who in (lena, maya):
        answer = await who.get(path)
        assert "attachment" in answer.headers["Content-Disposition"]
        text = await answer.read()
        said = verify(text, lena.server.plumm.notary.public_key)
        assert (said["session"], said["cause"]) == (session.id, "timeout")
    await lena.post(f"/api/my/sessions/{session.id}/confirm")
    again = await (await lena.get(path)).read()
    assert verify(again, lena.server.plumm.notary.public_key)["confirmed_at"]


# When the sign-in ends


async def test_signing_out_everywhere_ends_what_was_joined_by_it(
    session: Session, server: Server, lena: Visitor, maya: Visitor
) -> None:
    client, therapist = await maya.join(session), await lena.join(session)
    assert (await maya.post("/api/sign-out", {"everywhere": True})).status == 204
    await eventually(client.is_closed)
    participant = client.welcome["participant_id"]
    assert ("remove_participant", session.id, participant) in server.sfu.calls
    await eventually(lambda: len(therapist.last("room:state")["participants"]) == 1)
    assert not therapist.is_closed()


async def test_where_leaving_cannot_be_stored_the_grace_ends_what_was_joined(
    session: Session, server: Server, maya: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_seat: object) -> None:
        raise StorageFailed("full")

    client = await maya.join(session)
    monkeypatch.setattr(server.plumm.rooms, "leave", fails)
    with capture_logs() as logs:
        await maya.post("/api/sign-out", {"everywhere": True})
        await eventually(client.is_closed)
    assert [entry["event_name"] for entry in logs if entry["event"] == "event.failed"] == [
        "signed_out"
    ]
    await server.plumm.rooms.settle()
    server.clock.advance(GRACE.total_seconds())
    await server.plumm.rooms.expire()
    assert server.plumm.rooms.state(session.id).participants == ()


async def test_a_join_token_ends_with_its_sign_in(
    session: Session, server: Server, maya: Visitor
) -> None:
    answer = await maya.post(f"/api/my/sessions/{session.id}/join-token")
    token = (await answer.json())["token"]
    await maya.post("/api/sign-out", {})
    client = Client(server.url)
    server.sockets.append(client)
    with pytest.raises(socketio.exceptions.ConnectionError):
        await client.connect(token)
    assert client.refusal["data"]["code"] == "sign_in.required"


async def test_one_whose_account_is_closed_is_out_of_the_room(
    session: Session, server: Server, maya: Visitor
) -> None:
    client = await maya.join(session)
    await server.plumm.people.disable("maya@example.org")
    await eventually(client.is_closed)


async def test_an_admin_ends_any_session_by_the_account_and_nobody_else_does(
    session: Session, server: Server, lena: Visitor
) -> None:
    path = f"/api/sessions/{session.id}/end"
    assert await code_of(await lena.post(path)) == (403, "role.forbidden")
    admin = await visitor(server, "Ada", "admin")
    assert (await (await admin.post(path)).json())["cause"] == "admin"


async def test_a_session_for_accounts_is_made_by_their_addresses(
    server: Server, lena: Visitor, maya: Visitor
) -> None:
    admin = {"Authorization": f"Bearer {server.plumm.tokens.admin()}"}
    wanted = {"therapist_email": "lena@example.org", "client_email": "MAYA@example.org"}
    answer = await Visitor(server).post("/api/sessions", wanted, **admin)
    assert answer.status == 201
    assert (await only_row(lena))["with"][0]["name"] == "Maya"
    assert (await only_row(maya))["with"][0]["name"] == "Lena"
    nobody = wanted | {"client_email": "nobody@example.org"}
    refused = await Visitor(server).post("/api/sessions", nobody, **admin)
    assert await code_of(refused) == (404, "user.unknown")
    swapped = {"therapist_email": "maya@example.org", "client_email": "lena@example.org"}
    refused = await Visitor(server).post("/api/sessions", swapped, **admin)
    assert await code_of(refused) == (403, "role.forbidden")
