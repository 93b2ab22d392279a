"""What the sessions of this process did: counters for Prometheus, owned by the `SessionService`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Literal, TypeAlias, get_args

from prometheus_client import Counter, Gauge
from prometheus_client.registry import Collector

from rooms.errors import RoomsError
from rooms.session import Ended
from rooms.vocabulary import Status

Command: TypeAlias = Literal[
    "join",
    "admit",
    "leave",
    "set_state",
    "end",
    "end_by_admin",
    "confirm",
    "expire",
    "lose_socket",
    "stop_waiting",
    "media_changed",
    "quality_changed",
    "speaker_changed",
]


class Measures:
    """Counts from its making on. statuses: how many sessions are in use now, by status."""

    def __init__(self, statuses: Callable[[], Mapping[Status, int]]) -> None:
        self._commands = Counter(
            "plumm_rooms_commands",
            "Commands and news of sessions, by outcome: ok, or an error code.",
            ["command", "outcome"],
            registry=None,
        )
        self._ends = Counter(
            "plumm_rooms_ends", "Sessions that ended here, by cause.", ["cause"], registry=None
        )
        self._sessions = Gauge(
            "plumm_rooms_sessions", "Sessions in use now, by status.", ["status"], registry=None
        )
        for status in get_args(Status):
            self._sessions.labels(status=status).set_function(partial(_of, statuses, status))

    @property
    def metrics(self) -> Sequence[Collector]:
        """All of it."""
        return self._commands, self._ends, self._sessions

    @contextmanager
    def counted(self, command: Command) -> Iterator[None]:
        """Count a command by what comes of it."""
        outcome = "cancelled"
        try:
            yield
            outcome = "ok"
        except RoomsError as refusal:
            outcome = refusal.code
            raise
        except Exception:
            outcome = "internal"
            raise
        finally:
            self._commands.labels(command=command, outcome=outcome).inc()

    def ended(self, ended: Ended) -> None:
        """A session ended, and it is stored."""
        self._ends.labels(cause=ended.cause).inc()


def _of(statuses: Callable[[], Mapping[Status, int]], status: Status) -> int:
    return statuses().get(status, 0)
