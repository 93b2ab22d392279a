"""What the process asks of the system."""

import resource
from collections.abc import Iterator

import pytest

from signaling.server import allow_all_descriptors


@pytest.fixture
def _low_limit() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1] // 2, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("_low_limit")
def test_the_server_may_open_as_many_sockets_as_the_system_allows() -> None:
    allow_all_descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == hard
