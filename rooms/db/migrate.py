"""Bring a database to the tables of this version, or say why that cannot be.

A migration runs in one transaction: either all of it is there, or nothing changed.
"""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from rooms.db.engine import DatabaseUnusable, engine_of, reason_of

_MIGRATIONS: Final = Path(__file__).with_name("migrations")


async def migrate(url: str) -> tuple[str | None, str]:
    """Upgrade to the newest tables; (revision before, revision after). Idempotent.

    Raises DatabaseUnusable: cannot be opened, is newer than this version, or is full.
    """
    engine = engine_of(url)
    try:
        async with engine.begin() as connection:
            before = await connection.run_sync(_revision)
            _known(before)
            await connection.run_sync(_upgrade)
    except (SQLAlchemyError, OSError) as error:
        raise DatabaseUnusable(f"cannot use the database: {reason_of(error)}") from error
    finally:
        await engine.dispose()
    return before, newest()


async def check(url: str) -> None:
    """Raise DatabaseUnusable unless the database has exactly the tables of this version."""
    engine = engine_of(url)
    try:
        async with engine.connect() as connection:
            found = await connection.run_sync(_revision)
    except (SQLAlchemyError, OSError) as error:
        raise DatabaseUnusable(f"cannot use the database: {reason_of(error)}") from error
    finally:
        await engine.dispose()
    _known(found)
    if found != newest():
        older = "has no tables yet" if found is None else "is older than this version"
        raise DatabaseUnusable(f"the database {older}; run `plumm migrate`")


def newest() -> str:
    """The revision of this version's tables."""
    head = _scripts().get_current_head()
    assert head is not None
    return head


def _known(revision: str | None) -> None:
    if revision is None:
        return
    known = {script.revision for script in _scripts().walk_revisions()}
    if revision not in known:
        raise DatabaseUnusable(
            "the database was made by a newer version of Plumm; this one cannot use it"
        )


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config
