"""Fixtures: one server a test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.signaling.harness import Booking, Server, running_server


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running_server(tmp_path) as running:
        yield running


@pytest.fixture
async def booking(server: Server) -> Booking:
    """A session of Lena, the therapist, and Maya."""
    return await server.session()
