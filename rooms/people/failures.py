"""Wrong passwords, counted for one account from one network address.

Only hashes are stored. An attempt is stored before its password is looked at, and counted when
it is: of any number that come at once, LIMIT are let through and no more.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, and_, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from rooms.db.schema import sign_in_failures
from rooms.people.secret import sha256_of

LIMIT: Final = 5
WINDOW: Final = timedelta(minutes=15)


async def add(connection: AsyncConnection, email: str, address: str, now: datetime) -> int:
    """Count an attempt as failed until it is known better; its id."""
    added = await connection.execute(
        insert(sign_in_failures)
        .values(account=_account(email), address=sha256_of(address), at=now)
        .returning(sign_in_failures.c.id)
    )
    number: int = added.scalar_one()
    return number


async def count(connection: AsyncConnection, email: str, address: str, now: datetime) -> int:
    """How many failed lately."""
    recent = sign_in_failures.c.at > now - WINDOW
    found = await connection.execute(
        select(func.count()).select_from(sign_in_failures).where(_of(email, address), recent)
    )
    return found.scalar_one()


async def take_back(connection: AsyncConnection, number: int) -> None:
    """The attempt was not let through: it does not count."""
    await connection.execute(delete(sign_in_failures).where(sign_in_failures.c.id == number))


async def forget(connection: AsyncConnection, email: str, address: str) -> None:
    """The password was right."""
    await connection.execute(delete(sign_in_failures).where(_of(email, address)))


async def forget_old(connection: AsyncConnection, now: datetime) -> None:
    """Those that count no longer."""
    await connection.execute(delete(sign_in_failures).where(sign_in_failures.c.at <= now - WINDOW))


def _of(email: str, address: str) -> ColumnElement[bool]:
    return and_(
        sign_in_failures.c.account == _account(email),
        sign_in_failures.c.address == sha256_of(address),
    )


def _account(email: str) -> str:
    # As `accounts.normal_email` compares, and without asking whether it is one.
    return sha256_of(email.strip().lower())
