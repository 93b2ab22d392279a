"""Accounts as rows, and back. Every function works in the caller's transaction."""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from rooms.db.schema import users
from rooms.people.errors import BadEmail, BadName, UserExists, UserUnknown
from rooms.vocabulary import UserId, UserRole

# As browsers check <input type=email>, with a dot in the domain. Source: HTML, 4.10.5.1.5.
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL: Final = re.compile(rf"[a-z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})+")
_LONGEST_NAME: Final = 80
_LONGEST_EMAIL: Final = 254  # RFC 5321, 4.5.3.1.3, without the angle brackets


@dataclass(frozen=True, slots=True)
class User:
    """One account. email: in lower case."""

    id: UserId
    email: str
    name: str
    role: UserRole
    disabled: bool


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account and the hash of its password; None where none was chosen yet."""

    user: User
    password_hash: str | None


def normal_email(text: str) -> str:
    """The address as it is stored and compared. Raises BadEmail."""
    email = text.strip().lower()
    if len(email) > _LONGEST_EMAIL or not _EMAIL.fullmatch(email):
        raise BadEmail
    return email


def normal_name(text: str) -> str:
    """A name as it is stored: of 1 to 80 characters, in one line. Raises BadName."""
    name = text.strip()
    if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable():
        raise BadName
    return name


async def add(
    connection: AsyncConnection,
    email: str,
    name: str,
    role: UserRole,
    password_hash: str | None,
    now: datetime,
) -> User:
    """Store a new account. Raises BadEmail, BadName, UserExists."""
    user = User(
        UserId(secrets.token_hex(8)), normal_email(email), normal_name(name), role, disabled=False
    )
    if await with_email(connection, user.email) is not None:
        raise UserExists
    await connection.execute(
        insert(users).values(
            id=user.id,
            email=user.email,
            name=user.name,
            role=user.role,
            password_hash=password_hash,
            created_at=now,
        )
    )
    return user


async def with_email(connection: AsyncConnection, email: str) -> Credentials | None:
    """Whose address this is, closed accounts too; anything that is no address is nobody's."""
    try:
        address = normal_email(email)
    except BadEmail:
        return None
    return await _one(connection, users.c.email == address)


async def with_id(connection: AsyncConnection, user: UserId) -> Credentials | None:
    """The account of this id, a closed one too."""
    return await _one(connection, users.c.id == user)


async def lock(connection: AsyncConnection, user: UserId) -> Credentials | None:
    """The same, and nobody else changes it before this transaction is over."""
    return await _one(connection, users.c.id == user, locked=True)


async def everyone(connection: AsyncConnection) -> list[User]:
    """All accounts, by address."""
    return [user_of(row) for row in await connection.execute(select(users).order_by(users.c.email))]


async def set_password_hash(connection: AsyncConnection, user: UserId, password_hash: str) -> None:
    """Replace the hash of a password."""
    await connection.execute(
        update(users).where(users.c.id == user).values(password_hash=password_hash)
    )


async def disable(connection: AsyncConnection, email: str, now: datetime) -> tuple[User, bool]:
    """Close an account; it and whether it was open before. Raises UserUnknown."""
    found = await with_email(connection, email)
    if found is None:
        raise UserUnknown
    done = await connection.execute(
        update(users)
        .where(users.c.id == found.user.id, users.c.disabled_at.is_(None))
        .values(disabled_at=now)
    )
    return found.user, done.rowcount == 1


def user_of(row: Row[Any]) -> User:
    """A row that has all columns of `users`."""
    return User(UserId(row.id), row.email, row.name, row.role, row.disabled_at is not None)


async def _one(
    connection: AsyncConnection, which: ColumnElement[bool], *, locked: bool = False
) -> Credentials | None:
    query = select(users).where(which)
    found = await connection.execute(query.with_for_update() if locked else query)
    row = found.one_or_none()
    return None if row is None else Credentials(user_of(row), row.password_hash)
