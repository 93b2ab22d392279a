"""Connections to the database, and transactions on them.

SQLite writes one transaction at a time: ours queue in the process, first come first served,
rather than spin in its busy handler. Owned by the event loop.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final, Self

from prometheus_client.registry import Collector
from sqlalchemy import Connection, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from rooms.db.measures import Measures
from rooms.errors import RoomsError

_BUSY_MS: Final = 5000
_ANSWERS_WITHIN_S: Final = 2.0
# Ours take milliseconds; whoever waits longer for a PostgreSQL that hangs waits in vain.
_STATEMENT_WITHIN_S: Final = 5.0
_DRIVERS: Final = {"postgresql": "postgresql+asyncpg", "sqlite": "sqlite+aiosqlite"}


class DatabaseUnusable(Exception):
    """The database cannot be worked with as it is; the message is one line for a person."""


class StorageFailed(RoomsError):
    """The database refused to store or read: full, gone, or locked for too long."""

    code = "storage.unavailable"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the database failed: {reason}")
        self.reason = reason


class Database:
    """One database. Made by `await Database.open(url)`, ended by `await close()`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._measures = Measures(engine.sync_engine)
        self._one_writer = asyncio.Lock() if engine.dialect.name == "sqlite" else nullcontext()

    @classmethod
    async def open(cls, url: str) -> Self:
        """url: postgresql://… or sqlite:///<path>. Raises DatabaseUnusable."""
        database = cls(engine_of(url, _STATEMENT_WITHIN_S))
        try:
            async with database.reading() as connection:
                await _assert_durable(connection)
        except StorageFailed as failure:
            await database.close()
            raise DatabaseUnusable(f"cannot use the database: {failure.reason}") from failure
        except DatabaseUnusable:
            await database.close()
            raise
        return database

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that may write; committed on leaving, rolled back when anything raises.

        Raises StorageFailed when the database fails; then nothing of it was stored.
        """
        with self._measures.transaction():
            async with self._one_writer:
                with self._failures():
                    async with self._engine.begin() as connection:
                        yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads, and waits for no writer. Raises StorageFailed."""
        with self._failures():
            async with self._engine.connect() as connection:
                await connection.execution_options(plumm_reading=True)
                await connection.begin()
                yield connection

    async def check(self) -> None:
        """Read something. Raises StorageFailed when that fails or takes too long."""
        async with self.answering() as connection:
            await connection.execute(text("SELECT version_num FROM alembic_version"))

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[AsyncConnection]:
        """`reading`, for who would rather know soon: StorageFailed, too, where it takes long."""
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN_S), self.reading() as connection:
                yield connection
        except TimeoutError:
            raise StorageFailed(f"no answer within {_ANSWERS_WITHIN_S:.0f} s") from None

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    @property
    def metrics(self) -> Sequence[Collector]:
        """What it costs."""
        return self._measures.metrics

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """The database's own errors as StorageFailed."""
        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            self._measures.failed()
            raise StorageFailed(reason_of(error)) from error


def sqlite_url(path: Path) -> str:
    """The URL of an SQLite file."""
    return f"sqlite:///{path.absolute()}"


def engine_of(url: str, answers_within_s: float | None = None) -> AsyncEngine:
    """An engine for a URL without a driver's name. Raises DatabaseUnusable for another scheme.

    answers_within_s: how long PostgreSQL may take to connect, and for each statement.
    """
    try:
        parsed = make_url(url)
        driver = _DRIVERS[parsed.drivername]
    except (ArgumentError, KeyError):
        # Not repeated: it may hold a password.
        raise DatabaseUnusable(
            "the database's URL begins with postgresql:// or sqlite:///"
        ) from None
    engine = create_async_engine(
        parsed.set(drivername=driver),
        # A connection that the server closed meanwhile is made anew.
        pool_pre_ping=parsed.drivername == "postgresql",
        # Errors are logged; values may be names.
        hide_parameters=True,
        connect_args={"timeout": answers_within_s, "command_timeout": answers_within_s}
        if parsed.drivername == "postgresql" and answers_within_s is not None
        else {},
    )
    if parsed.drivername == "sqlite":
        event.listen(engine.sync_engine, "connect", _set_up_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def reason_of(error: Exception) -> str:
    """What the driver said, in one line, without the statement and its values."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return str(cause).strip().partition("\n")[0] or type(cause).__name__


def _set_up_sqlite(connection: Any, _record: object) -> None:
    # Transactions are begun by us alone, see _begin_sqlite.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        cursor.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
    except Exception:
        connection.close()  # nobody else knows of it yet
        raise
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE: a transaction that reads and then writes never finds that another one wrote.
    reading = connection.get_execution_options().get("plumm_reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


async def _assert_durable(connection: AsyncConnection) -> None:
    if connection.dialect.name != "sqlite":
        await connection.execute(text("SELECT 1"))
        return
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    for pragma, value in wanted.items():
        found = (await connection.execute(text(f"PRAGMA {pragma}"))).scalar_one()
        if found != value:
            raise DatabaseUnusable(f"SQLite refuses {pragma} = {value}: it says {found}")
