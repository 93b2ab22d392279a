"""A hook whose effects can be counted: one row for each time it was carried out."""

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Column, Integer, MetaData, Table, Text, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from rooms.events import Recorded

# Not unique by event: what happens twice is to be seen, not refused.
effects = Table(
    "test_effects",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("hook", Text, nullable=False),
)


def stores(name: str) -> Callable[[AsyncConnection, Recorded[Any]], Awaitable[None]]:
    """A `rooms.hooks.StoredHook` for any event."""

    async def hook(connection: AsyncConnection, recorded: Recorded[Any]) -> None:
        await connection.execute(insert(effects).values(event_id=recorded.id, hook=name))

    return hook
