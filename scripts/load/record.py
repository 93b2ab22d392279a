"""What was done in a load test, what it took, and what failed. Owned by the test's event loop."""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from scripts.client.transport import ConnectionFailed
from scripts.load.target import NoTarget, Usage
from signaling.client import RefusedByServer

Doing: TypeAlias = Literal[
    "open", "join", "first_media", "leave", "refresh", "reconnect", "move", "mute", "camera", "end"
]

DOINGS: Final[dict[Doing, tuple[str, str]]] = {
    "open": ("Session", "from asking for one to its links"),
    "join": ("Join", "from the link to SRTP keys"),
    "first_media": ("First media", "from the link to a packet of somebody else's"),
    "leave": ("Leave", "to the server's word"),
    "refresh": ("Refresh", "from a new connection's begin to its first packet"),
    "reconnect": ("Reconnect", "from a dropped socket to being in by another"),
    "move": ("Move", "from another source port to the first packet at it"),
    "mute": ("Mute, unmute", "to the server's word"),
    "camera": ("Camera off, on", "to the server's word"),
    "end": ("End", "from the therapist's word to each one's hearing of it"),
}
"""By the report's order: the name of each, and what its time is of."""


@dataclass(frozen=True, slots=True)
class Done:
    """at_s: of its begin, since the test's. took_s: None where it failed.

    failure: the server's code, or what the script says of it (`failure_code`); None where it
    went well.
    """

    doing: Doing
    at_s: float
    took_s: float | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """How it was at one moment, and what media there was since the sample before.

    at_s: since the test's begin. people: who sends. p99_ms: the delay of that share of packets,
    None without any. usage: what the server said of itself, None where it did not.
    """

    at_s: float
    rooms: int
    people: int
    sent: int
    received: int
    missing: int
    p99_ms: float | None
    usage: Usage | None


@dataclass(slots=True)
class Attempt:
    """well: it was done."""

    well: bool = False


@dataclass(slots=True)
class Record:
    """done: in the order of their ends. late_s: how long after its time each action began."""

    now: Callable[[], float] = time.monotonic
    done: list[Done] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.now()

    @property
    def elapsed_s(self) -> float:
        return self.now() - self._began

    @property
    def failed(self) -> int:
        return sum(one.failure is not None for one in self.done)

    def well(self, doing: Doing, began: float, ended: float | None = None) -> None:
        """It went well, from one time to another, by default now."""
        took_s = (self.now() if ended is None else ended) - began
        self.done.append(Done(doing, began - self._began, took_s))

    def wrong(self, doing: Doing, began: float, failure: str) -> None:
        self.done.append(Done(doing, began - self._began, failure=failure))

    @contextmanager
    def failures_of(self, doing: Doing, began: float | None = None) -> Iterator[Attempt]:
        """Whatever fails inside is noted, and goes no further. began: None for now."""
        began = self.now() if began is None else began
        attempt = Attempt()
        try:
            yield attempt
        # A client that crashes is one failure of many things that are measured.
        except Exception as error:  # noqa: BLE001
            self.wrong(doing, began, failure_code(error))
        else:
            attempt.well = True

    async def of(
        self, doing: Doing, work: Awaitable[float | None], began: float | None = None
    ) -> bool:
        """Do the work and note what it took; False where it failed, whatever the reason.

        The work's result is when it was done, None for now. began: None for now.
        """
        began = self.now() if began is None else began
        with self.failures_of(doing, began) as attempt:
            self.well(doing, began, await work)
        return attempt.well


def failure_code(error: Exception) -> str:
    """The server's code; else `another_address`, `no_connection`, `timeout`, `server_gone`, or
    `crashed.` and the exception's name: our own fault."""
    match error:
        case RefusedByServer():
            return error.code
        case NoTarget():
            return "another_address"
        case ConnectionFailed():
            return "no_connection"
        case TimeoutError():
            return "timeout"
        case OSError():
            return "server_gone"
    return f"crashed.{type(error).__name__}"
