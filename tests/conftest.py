"""Fixtures for all tests: the databases that the product runs on."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from rooms.db.engine import Database, sqlite_url
from rooms.db.migrate import migrate
from tests.support.postgres import Postgres

# `make nightly`: pytest --hypothesis-profile=nightly
settings.register_profile("nightly", max_examples=10_000)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "plumm.sqlite3")
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A database with this version's tables, of each kind."""
    await migrate(database_url)
    opened = await Database.open(database_url)
    yield opened
    await opened.close()
