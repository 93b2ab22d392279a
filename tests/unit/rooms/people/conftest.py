"""Fixtures of the people's tests."""

from collections.abc import AsyncIterator

import pytest

from rooms.db.engine import Database
from tests.support.fake_clock import FakeClock
from tests.unit.rooms.people.office import Office


@pytest.fixture
async def office(database: Database) -> AsyncIterator[Office]:
    """The people of an empty database of each kind."""
    made = Office(database, FakeClock())
    yield made
    made.people.close()
