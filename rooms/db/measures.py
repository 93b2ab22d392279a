"""What the database costs: counters for Prometheus, owned by the `Database` and read by others.

Durations are real ones, of real I/O: no clock that tests move.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Final

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.registry import Collector
from sqlalchemy import Engine, QueuePool, event

# SQLite answers within 0.1 ms and commits within a few; a statement that hangs is cut off at 5 s.
_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_VERBS: Final = frozenset({"begin", "delete", "insert", "select", "update"})


class Measures:
    """Counts from its making on."""

    def __init__(self, engine: Engine) -> None:
        self._statements = Histogram(
            "plumm_database_statement_seconds",
            "How long one statement took, by its verb.",
            ["verb"],
            buckets=_SECONDS,
            registry=None,
        )
        self._transactions = Histogram(
            "plumm_database_transaction_seconds",
            "How long a transaction that writes took: the wait for its turn, and the commit, too.",
            buckets=_SECONDS,
            registry=None,
        )
        self._failures = Counter(
            "plumm_database_failures",
            "Transactions that the database failed.",
            registry=None,
        )
        self._connections = Gauge(
            "plumm_database_connections",
            "Connections of the pool, by state.",
            ["state"],
            registry=None,
        )
        if isinstance(pool := engine.pool, QueuePool):
            self._connections.labels(state="in_use").set_function(pool.checkedout)
            self._connections.labels(state="idle").set_function(pool.checkedin)
        event.listen(engine, "before_cursor_execute", self._begin)
        event.listen(engine, "after_cursor_execute", self._end)

    @property
    def metrics(self) -> Sequence[Collector]:
        """All of it."""
        return self._statements, self._transactions, self._failures, self._connections

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Take the time of a transaction, however it ends."""
        with self._transactions.time():
            yield

    def failed(self) -> None:
        """The database failed a transaction."""
        self._failures.inc()

    def _begin(
        self, _c: object, _cursor: object, _sql: str, _p: object, context: Any, _m: object
    ) -> None:
        context.plumm_began_s = perf_counter()

    def _end(
        self, _c: object, _cursor: object, sql: str, _p: object, context: Any, _m: object
    ) -> None:
        verb = sql.partition(" ")[0].lower()
        took_s = perf_counter() - context.plumm_began_s
        self._statements.labels(verb=verb if verb in _VERBS else "other").observe(took_s)
