"""ICE servers: who gets which, and credentials that coturn computes the same way."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from signaling.turn import OUTLIVE, IceServers, StunServer, TurnServer
from tests.unit.signaling.harness import running_server

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
TURN = ("turn:turn.test:3478?transport=udp", "turns:turn.test")


def only_turn(servers: tuple[StunServer | TurnServer, ...]) -> TurnServer:
    (server,) = servers
    assert isinstance(server, TurnServer)
    return server


def test_without_servers_there_are_none() -> None:
    assert IceServers((), "").of("maya", NOW, NOW) == ()


def test_stun_servers_need_no_credentials() -> None:
    servers = IceServers(("stun:stun.test", *TURN), "s").of("maya", NOW, NOW)
    assert servers[0] == StunServer(("stun:stun.test",))
    assert [server.urls for server in servers] == [("stun:stun.test",), TURN]


def test_the_password_is_the_signed_user_name() -> None:
    server = only_turn(IceServers(TURN, "north").of("maya", NOW, NOW))
    signed = hmac.new(b"north", server.username.encode(), hashlib.sha1).digest()
    assert base64.b64decode(server.credential) == signed


@pytest.mark.parametrize(
    ("ends_at", "expires"),
    [
        (NOW + timedelta(hours=1), NOW + timedelta(hours=1) + OUTLIVE),
        (NOW - timedelta(hours=9), NOW + OUTLIVE),
    ],
    ids=["booked", "overtime"],
)
def test_credentials_outlive_the_session(ends_at: datetime, expires: datetime) -> None:
    server = only_turn(IceServers(TURN, "s").of("maya", ends_at, NOW))
    assert server.username == f"{int(expires.timestamp())}:maya"


def test_a_credential_is_not_shown() -> None:
    server = only_turn(IceServers(TURN, "s").of("maya", NOW, NOW))
    assert server.credential not in repr(server)


async def test_joining_hands_them_out_and_joining_again_renews_them(tmp_path: Path) -> None:
    async with running_server(
        tmp_path, turn_urls=("stun:stun.test", *TURN), turn_secret=SecretStr("north")
    ) as server:
        booking = await server.session()
        stun, turn = (await booking.join("Maya")).welcome["ice_servers"]
        assert stun == {"urls": ["stun:stun.test"]}
        assert turn["urls"] == list(TURN)
        assert turn["username"].endswith(f":{booking.person('Maya').id}")
        server.clock.advance(9 * 3600)
        _, renewed = (await booking.join("Maya")).welcome["ice_servers"]
        assert int(renewed["username"].split(":")[0]) > int(turn["username"].split(":")[0])
