"""Signing in, staying signed in, and signing out."""

import asyncio

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, select

from rooms.db.schema import sign_in_failures, sign_ins, users
from rooms.events import UserAdded, UserDisabled, UserSignedIn, UserSignedOut
from rooms.people import failures
from rooms.people.errors import (
    BadEmail,
    SignInRefused,
    SignInRequired,
    TooManyFailures,
    UserExists,
    UserUnknown,
)
from rooms.people.sign_ins import id_of
from tests.unit.rooms.people.office import HOME, PASSWORD, Office

MINUTE = 60
HOUR = 60 * MINUTE


async def test_the_right_password_signs_in_whatever_the_case_of_the_address(
    office: Office,
) -> None:
    lena = await office.lena()
    new = await office.people.sign_in(" Lena@Example.ORG", PASSWORD, HOME)
    assert new.user == lena
    assert (await office.people.signed_in(new.secret)).user == lena
    assert await office.events() == [UserAdded(lena.id), UserSignedIn(lena.id)]


async def test_only_hashes_are_stored(office: Office) -> None:
    await office.lena()
    secret = await office.sign_in()
    with pytest.raises(SignInRefused):
        await office.sign_in(password="a wrong password")
    async with office.database.reading() as connection:
        stored = [
            str(row)
            for table in (users, sign_ins, sign_in_failures)
            for row in await connection.execute(select(table))
        ]
    assert len(stored) == 3
    assert not [row for row in stored if secret in row or PASSWORD in row or HOME in row]


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("lena@example.org", "a wrong password"),
        ("nobody@example.org", PASSWORD),
        ("not an address", PASSWORD),
        ("lena@example.org", ""),
        ("lena@example.org", "half a pair \ud800"),
        ("\ud800@example.org", PASSWORD),
    ],
)
async def test_anything_else_is_refused_in_the_same_words(
    office: Office, email: str, password: str
) -> None:
    await office.lena()
    with pytest.raises(SignInRefused) as refused:
        await office.sign_in(email, password)
    assert str(refused.value) == ""


async def test_who_has_no_password_yet_cannot_sign_in(office: Office) -> None:
    await office.people.add("maya@example.org", "Maya", "client", None)
    for password in ("", PASSWORD, "nobody has this password"):
        with pytest.raises(SignInRefused):
            await office.sign_in("maya@example.org", password)


async def test_after_five_failures_even_the_right_password_is_refused_for_15_minutes(
    office: Office,
) -> None:
    await office.lena()
    for _ in range(failures.LIMIT):
        with pytest.raises(SignInRefused):
            await office.sign_in(password="a wrong password")
    with pytest.raises(TooManyFailures):
        await office.sign_in()
    office.clock.advance(15 * MINUTE - 1)
    with pytest.raises(TooManyFailures):
        await office.sign_in()
    office.clock.advance(1)
    assert await office.sign_in()


async def test_failures_for_an_unknown_account_count_alike(office: Office) -> None:
    for _ in range(failures.LIMIT):
        with pytest.raises(SignInRefused):
            await office.sign_in("nobody@example.org")
    with pytest.raises(TooManyFailures):
        await office.sign_in("NOBODY@example.org")


async def test_failures_hold_up_neither_other_addresses_nor_other_accounts(
    office: Office,
) -> None:
    await office.lena()
    await office.people.add("maya@example.org", "Maya", "client", PASSWORD)
    for _ in range(failures.LIMIT):
        with pytest.raises(SignInRefused):
            await office.sign_in(password="a wrong password")
    assert await office.sign_in(address="192.0.2.8")
    assert await office.sign_in("maya@example.org")


async def test_a_success_forgets_the_failures_before_it(office: Office) -> None:
    await office.lena()
    for _ in range(3):
        for _ in range(failures.LIMIT - 1):
            with pytest.raises(SignInRefused):
                await office.sign_in(password="a wrong password")
        await office.sign_in()


async def test_of_many_guesses_at_once_five_are_looked_at(office: Office) -> None:
    await office.lena()
    guesses = [office.sign_in(password=f"a wrong password {i}") for i in range(20)]
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)
    assert sum(isinstance(one, SignInRefused) for one in outcomes) <= failures.LIMIT
    assert sum(isinstance(one, TooManyFailures) for one in outcomes) >= 20 - failures.LIMIT


async def test_a_sign_in_ends_30_minutes_after_its_last_use(office: Office) -> None:
    await office.lena()
    secret = await office.sign_in()
    for _ in range(4):
        office.clock.advance(29 * MINUTE)
        await office.people.signed_in(secret)
    office.clock.advance(30 * MINUTE)
    with pytest.raises(SignInRequired):
        await office.people.signed_in(secret)


async def test_a_sign_in_ends_after_12_hours_however_much_it_is_used(office: Office) -> None:
    await office.lena()
    secret = await office.sign_in()
    for _ in range(12 * 4 - 1):
        office.clock.advance(15 * MINUTE)
        await office.people.signed_in(secret)
    office.clock.advance(15 * MINUTE)
    with pytest.raises(SignInRequired):
        await office.people.signed_in(secret)


@pytest.mark.parametrize("secret", [None, "", "nonsense", "x" * 5000, "\ud800"])
async def test_another_secret_is_nobodys(office: Office, secret: str | None) -> None:
    await office.lena()
    await office.sign_in()
    with pytest.raises(SignInRequired):
        await office.people.signed_in(secret)


async def test_what_is_stored_is_not_a_secret_that_signs_in(office: Office) -> None:
    await office.lena()
    stored = id_of(await office.sign_in())
    with pytest.raises(SignInRequired):
        await office.people.signed_in(stored)


async def test_signing_out_ends_this_sign_in_alone(office: Office) -> None:
    lena = await office.lena()
    here, there = await office.sign_in(), await office.sign_in()
    await office.people.sign_out(lena.id, id_of(here), everywhere=False)
    assert not await office.people.sign_in_valid(id_of(here))
    assert await office.people.sign_in_valid(id_of(there))
    assert office.revoked == {id_of(here)}
    assert (await office.events())[-1] == UserSignedOut(lena.id)


async def test_signing_out_everywhere_ends_all_of_ones_own(office: Office) -> None:
    lena = await office.lena()
    await office.people.add("maya@example.org", "Maya", "client", PASSWORD)
    lenas = {id_of(await office.sign_in()) for _ in range(3)}
    mayas = id_of(await office.sign_in("maya@example.org"))
    await office.people.sign_out(lena.id, min(lenas), everywhere=True)
    assert office.revoked == lenas
    assert await office.people.sign_in_valid(mayas)
    assert (await office.events())[-1] == UserSignedOut(lena.id, everywhere=True)


async def test_a_closed_account_is_signed_out_and_cannot_sign_in(office: Office) -> None:
    lena = await office.lena()
    secret = await office.sign_in()
    await office.people.disable("LENA@example.org")
    await office.people.disable("lena@example.org")
    assert office.revoked == {id_of(secret)}
    with pytest.raises(SignInRequired):
        await office.people.signed_in(secret)
    with pytest.raises(SignInRefused):
        await office.sign_in()
    with pytest.raises(UserUnknown):
        await office.people.find("lena@example.org")
    assert (await office.events()).count(UserDisabled(lena.id)) == 1


async def test_what_another_process_ended_is_noticed(office: Office) -> None:
    await office.lena()
    ended, kept = id_of(await office.sign_in()), id_of(await office.sign_in())
    other = office.another()
    await other.sign_out((await office.people.find("lena@example.org")).id, ended, everywhere=False)
    other.close()
    office.revoked.clear()
    await office.people.end_stale({ended, kept})
    assert office.revoked == {ended}


async def test_a_call_that_goes_on_keeps_its_sign_in(office: Office) -> None:
    await office.lena()
    secret = await office.sign_in()
    for _ in range(10):
        office.clock.advance(20 * MINUTE)
        await office.people.end_stale([id_of(secret)])
    assert office.revoked == set()
    await office.people.signed_in(secret)


async def test_a_hash_of_older_parameters_is_replaced_at_the_next_sign_in(office: Office) -> None:
    await office.lena()
    newer = office.another(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    await newer.sign_in("lena@example.org", PASSWORD, HOME)
    newer.close()
    async with office.database.reading() as connection:
        stored = (await connection.execute(select(users.c.password_hash))).scalar_one()
    assert "m=16,t=2" in stored
    assert await office.sign_in()


async def test_what_is_over_is_forgotten(office: Office) -> None:
    await office.lena()
    await office.sign_in()
    with pytest.raises(SignInRefused):
        await office.sign_in(password="a wrong password")
    office.clock.advance(HOUR)
    await office.people.forget_old()
    async with office.database.reading() as connection:
        for table in (sign_ins, sign_in_failures):
            left = await connection.execute(select(func.count()).select_from(table))
            assert left.scalar_one() == 0


async def test_an_address_belongs_to_one_account(office: Office) -> None:
    await office.lena()
    with pytest.raises(UserExists):
        await office.people.add("LENA@example.org", "Another", "client", PASSWORD)


@pytest.mark.parametrize(
    "email",
    [
        "lena",
        "lena@",
        "@example.org",
        "lena@localhost",
        "lena@example.org\nBcc: all@example.org",
        "lena@example.org, maya@example.org",
        "<lena@example.org>",
        "le na@example.org",
        "lena@-example.org",
        f"{'l' * 250}@example.org",
        "löwe@example.org",
    ],
)
async def test_what_is_no_address_has_no_account(office: Office, email: str) -> None:
    with pytest.raises(BadEmail):
        await office.people.add(email, "Lena", "therapist", PASSWORD)
