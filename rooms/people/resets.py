"""Password resets as rows. Every function works in the caller's transaction."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from rooms.db.schema import password_resets
from rooms.people.errors import ResetExpired, ResetInvalid
from rooms.people.secret import new_secret, sha256_of
from rooms.vocabulary import UserId

LIFETIME: Final = timedelta(hours=1)
# Until then whoever comes late is told that it expired, and not that it never was.
_REMEMBERED: Final = timedelta(days=1)


async def add(connection: AsyncConnection, user: UserId, now: datetime) -> str:
    """Store a new reset; its token."""
    token = new_secret()
    await connection.execute(
        insert(password_resets).values(id=sha256_of(token), user_id=user, expires_at=now + LIFETIME)
    )
    return token


async def whose(connection: AsyncConnection, token: str, now: datetime) -> UserId:
    """Who may choose a password with this token. Raises ResetInvalid, ResetExpired."""
    found = await connection.execute(
        select(password_resets).where(password_resets.c.id == sha256_of(token))
    )
    row = found.one_or_none()
    if row is None:
        raise ResetInvalid
    if row.expires_at <= now:
        raise ResetExpired
    return UserId(row.user_id)


async def use(connection: AsyncConnection, token: str) -> None:
    """Use it up, and with it every other of the same user. Raises ResetInvalid when it was."""
    used = await connection.execute(
        delete(password_resets)
        .where(password_resets.c.id == sha256_of(token))
        .returning(password_resets.c.user_id)
    )
    user = used.scalar_one_or_none()
    if user is None:
        raise ResetInvalid
    await forget(connection, UserId(user))


async def forget(connection: AsyncConnection, user: UserId) -> None:
    """No token of this user is good any more."""
    await connection.execute(delete(password_resets).where(password_resets.c.user_id == user))


async def forget_old(connection: AsyncConnection, now: datetime) -> None:
    """Those that expired long ago."""
    await connection.execute(
        delete(password_resets).where(password_resets.c.expires_at <= now - _REMEMBERED)
    )
