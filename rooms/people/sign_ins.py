"""Sign-ins as rows, and back. Every function works in the caller's transaction.

A sign-in lasts until it is ended, was not used for `idle`, or is as old as `absolute`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, and_, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from rooms.db.schema import sign_ins, users
from rooms.people.accounts import User, user_of
from rooms.people.secret import sha256_of
from rooms.vocabulary import SignInId, UserId

# Use is written down this often at most; a page asks many times a minute.
NOTED_EVERY: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """idle: how long one lasts unused. absolute: how long at most."""

    idle: timedelta = timedelta(minutes=30)
    absolute: timedelta = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in that is valid, and whose it is."""

    id: SignInId
    user: User
    seen_at: datetime


def id_of(secret: str) -> SignInId:
    """The sign-in that a browser's secret stands for."""
    return SignInId(sha256_of(secret))


async def add(
    connection: AsyncConnection, sign_in: SignInId, user: UserId, now: datetime, last: Lifetimes
) -> None:
    """Store a new sign-in."""
    await connection.execute(
        insert(sign_ins).values(
            id=sign_in, user_id=user, created_at=now, seen_at=now, expires_at=now + last.absolute
        )
    )


async def valid(
    connection: AsyncConnection, which: Collection[SignInId], now: datetime, last: Lifetimes
) -> list[SignIn]:
    """Those of `which` that are not over."""
    found = await connection.execute(
        select(users, sign_ins.c.id.label("sign_in"), sign_ins.c.seen_at)
        .join(sign_ins, sign_ins.c.user_id == users.c.id)
        .where(sign_ins.c.id.in_(which), users.c.disabled_at.is_(None), _lasts(now, last))
    )
    return [SignIn(SignInId(row.sign_in), user_of(row), row.seen_at) for row in found]


async def note_use(connection: AsyncConnection, which: Collection[SignInId], now: datetime) -> None:
    """They were used just now."""
    await connection.execute(update(sign_ins).where(sign_ins.c.id.in_(which)).values(seen_at=now))


async def end(connection: AsyncConnection, sign_in: SignInId) -> bool:
    """End one; whether there was one."""
    done = await connection.execute(delete(sign_ins).where(sign_ins.c.id == sign_in))
    return done.rowcount == 1


async def end_all(connection: AsyncConnection, user: UserId) -> list[SignInId]:
    """End every sign-in of a user; which they were."""
    ended = await connection.execute(
        delete(sign_ins).where(sign_ins.c.user_id == user).returning(sign_ins.c.id)
    )
    return [SignInId(one) for one in ended.scalars()]


async def forget_old(connection: AsyncConnection, now: datetime, last: Lifetimes) -> None:
    """Those that are over by themselves."""
    idle = sign_ins.c.seen_at <= now - last.idle
    await connection.execute(delete(sign_ins).where(or_(sign_ins.c.expires_at <= now, idle)))


def _lasts(now: datetime, last: Lifetimes) -> ColumnElement[bool]:
    return and_(sign_ins.c.expires_at > now, sign_ins.c.seen_at > now - last.idle)
