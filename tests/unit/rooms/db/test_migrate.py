"""Migrations on both databases, and databases that cannot be used."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from rooms.db.engine import Database, DatabaseUnusable, sqlite_url
from rooms.db.migrate import check, migrate, newest
from rooms.db.schema import metadata


async def test_an_empty_database_gets_the_newest_tables_and_again_nothing(
    database_url: str,
) -> None:
    assert await migrate(database_url) == (None, newest())
    assert await migrate(database_url) == (newest(), newest())
    await check(database_url)


async def test_the_migrations_build_exactly_the_schema(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_database_newer_than_the_code_is_refused_and_left_as_it_is(
    database: Database, database_url: str
) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for use in (migrate, check):
        with pytest.raises(DatabaseUnusable, match="newer version"):
            await use(database_url)
    async with database.reading() as connection:
        found = await connection.execute(text("SELECT version_num FROM alembic_version"))
        assert found.scalar_one() == "9999"


async def test_a_database_without_tables_is_older(database_url: str) -> None:
    with pytest.raises(DatabaseUnusable, match="plumm migrate"):
        await check(database_url)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "plumm.sqlite3"
    file.write_bytes(b"not a database, but long enough to be taken for one" * 40)
    with pytest.raises(DatabaseUnusable, match="file is not a database"):
        await migrate(sqlite_url(file))
    assert file.read_bytes().startswith(b"not a database")


async def test_a_path_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="unable to open database file"):
        await migrate(sqlite_url(tmp_path / "missing" / "plumm.sqlite3"))


async def test_a_postgresql_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="cannot use the database"):
        await migrate(f"postgresql://plumm@/plumm?host={tmp_path}")


@pytest.mark.parametrize("url", ["mysql://u:secret@h/d", "secret", ""])
async def test_another_kind_of_database_is_refused_without_repeating_its_url(url: str) -> None:
    with pytest.raises(DatabaseUnusable) as refused:
        await migrate(url)
    assert "secret" not in str(refused.value)
