"""Choosing a password with the token of a mail."""

import asyncio

import pytest

from rooms.events import PasswordChanged, PasswordResetRequested
from rooms.people.errors import (
    PasswordWeak,
    ResetExpired,
    ResetInvalid,
    SignInRefused,
    UserUnknown,
)
from rooms.people.sign_ins import id_of
from tests.unit.rooms.people.office import PASSWORD, Office

NEWER = "another long enough password"


async def test_a_new_password_ends_all_sign_ins_and_replaces_the_old_one(office: Office) -> None:
    lena = await office.lena()
    signed_in = {id_of(await office.sign_in()) for _ in range(2)}
    await office.people.choose_password(await office.people.reset_token(lena.id), NEWER)
    assert office.revoked == signed_in
    with pytest.raises(SignInRefused):
        await office.sign_in()
    assert await office.sign_in(password=NEWER)
    assert PasswordChanged(lena.id) in await office.events()


async def test_a_reset_is_asked_for_by_those_who_have_an_account(office: Office) -> None:
    lena = await office.lena()
    await office.people.add("maya@example.org", "Maya", "client", None)
    await office.people.disable("maya@example.org")
    for email in ("lena@example.org", "nobody@example.org", "maya@example.org", "nonsense"):
        await office.people.request_reset(email)
    asked = [one for one in await office.events() if isinstance(one, PasswordResetRequested)]
    assert asked == [PasswordResetRequested(lena.id)]


async def test_a_token_is_good_once(office: Office) -> None:
    lena = await office.lena()
    token = await office.people.reset_token(lena.id)
    await office.people.choose_password(token, NEWER)
    with pytest.raises(ResetInvalid):
        await office.people.choose_password(token, PASSWORD)


async def test_of_two_who_use_a_token_at_once_one_succeeds(office: Office) -> None:
    lena = await office.lena()
    token = await office.people.reset_token(lena.id)
    outcomes = await asyncio.gather(
        *(office.people.choose_password(token, f"{NEWER} {i}") for i in range(4)),
        return_exceptions=True,
    )
    assert outcomes.count(None) == 1
    assert sum(isinstance(one, ResetInvalid) for one in outcomes) == 3


async def test_using_one_token_spends_the_others(office: Office) -> None:
    lena = await office.lena()
    first, second = [await office.people.reset_token(lena.id) for _ in range(2)]
    await office.people.choose_password(second, NEWER)
    with pytest.raises(ResetInvalid):
        await office.people.choose_password(first, PASSWORD)


async def test_a_token_expires_after_an_hour(office: Office) -> None:
    lena = await office.lena()
    token = await office.people.reset_token(lena.id)
    office.clock.advance(3600)
    await office.people.forget_old()
    with pytest.raises(ResetExpired):
        await office.people.choose_password(token, NEWER)


@pytest.mark.parametrize("token", ["", "nonsense", "\ud800"])
async def test_another_token_is_nobodys(office: Office, token: str) -> None:
    await office.people.reset_token((await office.lena()).id)
    with pytest.raises(ResetInvalid):
        await office.people.choose_password(token, NEWER)


@pytest.mark.parametrize("password", ["", "eleven char", "Lena@Example.org", "x" * 1025])
async def test_a_weak_password_leaves_the_token_good(office: Office, password: str) -> None:
    lena = await office.lena()
    token = await office.people.reset_token(lena.id)
    with pytest.raises(PasswordWeak):
        await office.people.choose_password(token, password)
    await office.people.choose_password(token, NEWER)


async def test_a_closed_account_gets_no_token_and_loses_those_it_has(office: Office) -> None:
    lena = await office.lena()
    token = await office.people.reset_token(lena.id)
    await office.people.disable("lena@example.org")
    with pytest.raises(ResetInvalid):
        await office.people.choose_password(token, NEWER)
    with pytest.raises(UserUnknown):
        await office.people.reset_token(lena.id)


async def test_a_sign_in_begun_with_the_old_password_does_not_outlive_it(office: Office) -> None:
    lena = await office.lena()
    token = await office.people.reset_token(lena.id)
    signing_in = [asyncio.create_task(office.sign_in()) for _ in range(3)]
    await office.people.choose_password(token, NEWER)
    for outcome in await asyncio.gather(*signing_in, return_exceptions=True):
        if isinstance(outcome, str):
            assert not await office.people.sign_in_valid(id_of(outcome))
        else:
            assert isinstance(outcome, SignInRefused)
