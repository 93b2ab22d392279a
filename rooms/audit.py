"""The audit log: who did what, when; never names or contents.

A stored hook on every event appends one row. Rows are chained by hashes, so that a changed,
missing or reordered one is found (`verify`), and the database refuses to change or delete one
(migrations). Its own table has one owner: this module.
"""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from rooms.db.schema import audit
from rooms.events import CATALOGUE, Event, Recorded
from rooms.hooks import Hooks
from rooms.vocabulary import EventId

HOOK: Final = "audit"
_BEGINNING: Final = bytes(32)
_NEWEST: Final = audit.select().order_by(audit.c.position.desc()).limit(1)
# Of PostgreSQL's advisory locks, this one is ours: one row is appended at a time.
_LOCK: Final = 0x0061_7564_6974


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. actor: the user or participant who did it, None for time or the command line.

    subject: the session it was done in, else the user it was done to.
    """

    position: int
    event_id: EventId
    at: datetime
    actor: str | None
    action: str
    subject: str | None
    hash: bytes


class BrokenChain(Exception):
    """A row is not as it was written, or one before it is missing."""

    def __init__(self, position: int) -> None:
        super().__init__(f"the audit log was changed at row {position}")
        self.position = position


def add_to(hooks: Hooks) -> None:
    """Log every event of the catalogue."""
    for kind in CATALOGUE.values():
        hooks.stored(kind, HOOK, append)


async def append(connection: AsyncConnection, recorded: Recorded[Event]) -> None:
    """Append one event; a `rooms.hooks.StoredHook`."""
    if connection.dialect.name == "postgresql":  # SQLite has one writer
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    last = (await connection.execute(_NEWEST)).one_or_none()
    position, before = (1, _BEGINNING) if last is None else (last.position + 1, last.hash)
    actor, subject = _who(recorded.event)
    entry = Entry(position, recorded.id, recorded.at, actor, recorded.event.type, subject, b"")
    entry = replace(entry, hash=_hash(before, entry))
    await connection.execute(insert(audit), asdict(entry))


async def verify(connection: AsyncConnection) -> tuple[int, bytes]:
    """Walk the chain; how many rows it has, and the last one's hash. Raises BrokenChain.

    Rows cut off at the end are seen by whoever kept an earlier count and hash.
    """
    count, before = 0, _BEGINNING
    async for row in entries(connection):
        if row.position != count + 1 or row.hash != _hash(before, row):
            raise BrokenChain(count + 1)
        count, before = row.position, row.hash
    return count, before


async def entries(connection: AsyncConnection) -> AsyncIterator[Entry]:
    """Every row, oldest first."""
    async with connection.stream(select(audit).order_by(audit.c.position)) as found:
        async for row in found:
            yield Entry(*row)


def _who(event: Event) -> tuple[str | None, str | None]:
    """(actor, subject) of an event, by the names of its fields."""
    said: dict[str, Any] = {field.name: getattr(event, field.name) for field in fields(event)}
    user = said.get("user")
    by_itself = said.get("ended_by") or said.get("participant") or user
    actor = said.get("by", by_itself)
    return actor, said.get("session") or user


def _hash(before: bytes, entry: Entry) -> bytes:
    """Over an entry, but for its own hash, and the hash of the one before."""
    at = entry.at.isoformat()
    row = [entry.position, entry.event_id, at, entry.actor, entry.action, entry.subject]
    return hashlib.sha256(before + json.dumps(row, separators=(",", ":")).encode()).digest()
