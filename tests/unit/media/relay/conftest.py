from collections.abc import Callable, Iterator
from typing import Any

import pytest

from media.relay import Relay
from tests.unit.media.relay.browser import Browser
from tests.unit.media.relay.call import Call


@pytest.fixture
def relay() -> Iterator[Relay]:
    relay = Relay("127.0.0.1")
    relay.start()
    yield relay
    relay.stop()


@pytest.fixture
def browser(relay: Relay) -> Iterator[Callable[..., Browser]]:
    """Make connected browsers; options as Browser's."""
    made: list[Browser] = []

    def make(**options: Any) -> Browser:
        made.append(Browser(relay, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def call(relay: Relay, browser: Callable[..., Browser]) -> Call:
    """An audio track from one browser to another."""
    return Call(relay, browser(), browser())


@pytest.fixture
def video_call(relay: Relay, browser: Callable[..., Browser]) -> Call:
    return Call(relay, browser(), browser(), "video")
