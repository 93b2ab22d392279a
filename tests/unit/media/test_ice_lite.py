"""The ICE-lite agent, driven by bytes and a time of the test's choosing."""

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from media.ice_lite import CONSENT_S, FRESH_S, Address, Credentials, IceLite, Verdict

REMOTE = "clientUfrag"
WIFI: Address = ("192.0.2.1", 4000)
CABLE: Address = ("192.0.2.2", 5000)
IPV6: Address = ("2001:db8::1", 6000)


def check(
    local: Credentials,
    *,
    remote: str = REMOTE,
    priority: int = 100,
    nominate: bool = False,
    pwd: str | None = None,
) -> bytes:
    """A browser's binding request."""
    attributes: dict[str, object] = {
        "USERNAME": f"{local.ufrag}:{remote}",
        "ICE-CONTROLLING": 1,
        "PRIORITY": priority,
    }
    if nominate:
        attributes["USE-CANDIDATE"] = None
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes=attributes)
    request.add_message_integrity((pwd or local.pwd).encode())
    return bytes(request)


@pytest.fixture
def ice() -> IceLite:
    return IceLite(Credentials.generate(), REMOTE)


def accepted(verdict: Verdict | None) -> Verdict:
    assert verdict is not None, "the check was not accepted"
    return verdict


def test_the_first_valid_check_selects_its_address_without_nomination(ice: IceLite) -> None:
    verdict = accepted(ice.receive(check(ice.local), WIFI, now=0))
    assert verdict.selected
    assert ice.selected == WIFI


@pytest.mark.parametrize("address", [WIFI, IPV6])
def test_the_reply_is_signed_and_says_where_the_check_came_from(
    ice: IceLite, address: Address
) -> None:
    request = check(ice.local)
    reply = stun.parse_message(accepted(ice.receive(request, address, now=0)).reply)
    assert reply.message_class == stun.Class.RESPONSE
    assert reply.transaction_id == stun.parse_message(request).transaction_id
    assert reply.attributes["XOR-MAPPED-ADDRESS"] == address
    assert reply.check_message_integrity(ice.local.pwd.encode())


def test_a_check_with_a_wrong_password_gets_no_reply(ice: IceLite) -> None:
    assert ice.receive(check(ice.local, pwd="x" * 24), WIFI, now=0) is None
    assert ice.selected is None


def test_a_check_for_another_agent_gets_no_reply(ice: IceLite) -> None:
    other = Credentials("another", ice.local.pwd)
    assert ice.receive(check(other), WIFI, now=0) is None


def test_a_client_that_restarts_is_heard_from_new_ports_before_its_offer_has_come(
    ice: IceLite,
) -> None:
    ice.receive(check(ice.local, nominate=True), WIFI, now=0)
    early = accepted(ice.receive(check(ice.local, remote="anew", nominate=True), CABLE, now=1))
    assert early.selected
    assert early.retired is None
    old, new = ice.local, Credentials.generate()
    ice.restart(new, "anew")
    verdict = accepted(ice.receive(check(new, remote="anew", nominate=True), CABLE, now=2))
    assert verdict.selected
    assert verdict.retired == old.ufrag


def test_an_unsigned_check_gets_no_reply(ice: IceLite) -> None:
    request = stun.Message(
        stun.Method.BINDING,
        stun.Class.REQUEST,
        attributes={"USERNAME": f"{ice.local.ufrag}:{REMOTE}"},
    )
    assert ice.receive(bytes(request), WIFI, now=0) is None


def test_a_signed_response_is_no_check(ice: IceLite) -> None:
    reply = accepted(ice.receive(check(ice.local), WIFI, now=0)).reply
    assert ice.receive(reply, WIFI, now=1) is None


def test_a_later_nomination_moves_the_media(ice: IceLite) -> None:
    ice.receive(check(ice.local), WIFI, now=0)
    assert accepted(ice.receive(check(ice.local, nominate=True), CABLE, now=0.1)).selected
    assert ice.selected == CABLE


def test_a_check_without_nomination_leaves_the_media_where_it_is(ice: IceLite) -> None:
    ice.receive(check(ice.local), WIFI, now=0)
    assert not accepted(ice.receive(check(ice.local), CABLE, now=0.1)).selected
    assert ice.selected == WIFI


def test_a_nomination_of_lower_priority_is_answered_but_not_followed(ice: IceLite) -> None:
    ice.receive(check(ice.local, priority=200, nominate=True), WIFI, now=0)
    verdict = accepted(ice.receive(check(ice.local, priority=100, nominate=True), CABLE, now=0.05))
    assert not verdict.selected
    assert ice.selected == WIFI


def test_a_nomination_of_lower_priority_wins_once_the_selected_address_fell_silent(
    ice: IceLite,
) -> None:
    ice.receive(check(ice.local, priority=200, nominate=True), WIFI, now=0)
    verdict = accepted(
        ice.receive(check(ice.local, priority=100, nominate=True), CABLE, now=FRESH_S + 0.1)
    )
    assert verdict.selected


def test_old_credentials_answer_until_the_new_ones_are_used(ice: IceLite) -> None:
    old, new = ice.local, Credentials.generate()
    ice.receive(check(old), WIFI, now=0)
    assert ice.restart(new, "restarted") is None
    assert accepted(ice.receive(check(old), WIFI, now=1)).retired is None

    verdict = accepted(ice.receive(check(new, remote="restarted"), CABLE, now=2))
    assert verdict.selected
    assert verdict.retired == old.ufrag
    assert ice.receive(check(old), WIFI, now=3) is None


def test_old_credentials_cannot_take_the_media_back_during_a_restart(ice: IceLite) -> None:
    old = ice.local
    ice.receive(check(old), WIFI, now=0)
    ice.restart(Credentials.generate(), "restarted")
    assert not accepted(ice.receive(check(old, nominate=True), CABLE, now=1)).selected


def test_a_second_restart_drops_the_one_that_never_came_about(ice: IceLite) -> None:
    first, unused, second = ice.local, Credentials.generate(), Credentials.generate()
    assert ice.restart(unused, "one") is None
    assert ice.restart(second, "two") == unused.ufrag
    assert ice.receive(check(unused, remote="one"), WIFI, now=0) is None
    assert ice.receive(check(first), WIFI, now=0) is not None


def test_consent_lasts_thirty_seconds_after_the_last_check(ice: IceLite) -> None:
    assert not ice.consent_expired(now=0)
    ice.receive(check(ice.local), WIFI, now=10)
    assert not ice.consent_expired(now=10 + CONSENT_S)
    assert ice.consent_expired(now=10 + CONSENT_S + 0.1)


def test_after_lost_consent_the_next_check_selects_again(ice: IceLite) -> None:
    ice.receive(check(ice.local), WIFI, now=0)
    ice.lose_consent()
    assert ice.selected is None
    assert accepted(ice.receive(check(ice.local), WIFI, now=40)).selected


TCP: Address = ("192.0.2.1", 4000, 7)


def test_a_tcp_connection_is_an_address_of_its_own(ice: IceLite) -> None:
    ice.receive(check(ice.local, priority=100, nominate=True), TCP, now=0)
    verdict = accepted(ice.receive(check(ice.local, priority=200, nominate=True), WIFI, now=0.1))
    assert verdict.selected
    assert ice.selected == WIFI


def test_the_browser_is_told_the_address_of_its_tcp_connection(ice: IceLite) -> None:
    reply = stun.parse_message(accepted(ice.receive(check(ice.local), TCP, now=0)).reply)
    assert reply.attributes["XOR-MAPPED-ADDRESS"] == TCP[:2]


def test_after_the_selected_connection_ended_any_address_is_selected(ice: IceLite) -> None:
    ice.receive(check(ice.local, priority=200, nominate=True), TCP, now=0)
    ice.lose_address(TCP)
    assert ice.selected is None
    assert accepted(ice.receive(check(ice.local, priority=100), WIFI, now=0.1)).selected
    assert accepted(
        ice.receive(check(ice.local, priority=100, nominate=True), CABLE, now=0.2)
    ).selected
    assert not ice.consent_expired(now=CONSENT_S)


def test_a_connection_that_was_not_selected_ends_without_effect(ice: IceLite) -> None:
    ice.receive(check(ice.local), WIFI, now=0)
    ice.lose_address(TCP)
    assert ice.selected == WIFI


def test_consent_expires_without_a_selected_address_too(ice: IceLite) -> None:
    ice.receive(check(ice.local), TCP, now=0)
    ice.lose_address(TCP)
    assert ice.consent_expired(now=CONSENT_S + 0.1)


@given(st.binary(max_size=600))
def test_any_bytes_are_answered_or_ignored(data: bytes) -> None:
    assert IceLite(Credentials.generate(), REMOTE).receive(data, WIFI, now=0) is None


@given(st.integers(0, 200), st.integers(0, 255), st.integers(0, 200))
def test_any_damaged_check_is_ignored(position: int, value: int, cut: int) -> None:
    ice = IceLite(Credentials("serverOne", "p" * 24), REMOTE)
    whole = check(ice.local)
    damaged = bytearray(whole)
    damaged[position % (len(damaged) - 8)] = value  # 8: FINGERPRINT comes after what is signed
    if bytes(damaged) != whole:
        assert ice.receive(bytes(damaged), WIFI, now=0) is None
    assert ice.receive(whole[: len(whole) - 1 - cut % len(whole)], WIFI, now=0) is None


def test_an_attribute_of_a_wrong_length_is_ignored(ice: IceLite) -> None:
    """aioice 0.13 lets struct.error through for a PRIORITY of two bytes."""
    body = bytes.fromhex("0024000200010000")
    header = bytes.fromhex("0001") + len(body).to_bytes(2, "big") + stun.COOKIE.to_bytes(4, "big")
    assert ice.receive(header + bytes(12) + body, WIFI, now=0) is None
