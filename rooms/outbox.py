"""Events and their deliveries: stored with the change that caused them, then carried out.

`append` is called inside that change's transaction. The Dispatcher takes what is due, in two
lanes, so that a slow mail server holds up no credit: hooks that store, each in one transaction
that also marks the delivery done; and hooks that send, which hold none. A delivery that fails
is tried again, later and later, and parked when it has failed PARKED_AFTER times.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

import structlog
from prometheus_client import Counter
from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from rooms.db.engine import Database, StorageFailed
from rooms.db.schema import deliveries, events
from rooms.events import CATALOGUE, Event, Recorded, from_json, to_json
from rooms.failpoints import failpoint
from rooms.hooks import Hooks
from rooms.ports import Clock
from rooms.vocabulary import EventId

log = structlog.get_logger(__name__)

# 1, 2, 4 … seconds apart, at most an hour: twelve failures take a little over an hour.
PARKED_AFTER: Final = 12
_FIRST_RETRY_S: Final = 1
_LONGEST_RETRY_S: Final = 3600
# A retry that falls due is noticed this late at most; what is new is taken at once.
_POLL_S: Final = 1.0
_BATCH: Final = 50
# A process that died while it sent has lost its claim by then; nobody sends for that long.
_CLAIM: Final = timedelta(seconds=30)
_SENT_WITHIN_S: Final = 20
# Nobody else writes to SQLite meanwhile.
_STORED_WITHIN_S: Final = 5
# One delivery to a slow mail server, and a database that answers each statement late.
_MOVES_WITHIN_S: Final = 60

Lane: TypeAlias = Literal["store", "send"]

# Made once: to put a statement together takes longer than to carry it out. sent: the names of
# all hooks that send.
_DUE: Final = (
    select(events, deliveries.c.hook, deliveries.c.due_at)
    .join(deliveries, deliveries.c.event_id == events.c.id)
    .where(deliveries.c.state == "pending", deliveries.c.due_at <= bindparam("now"))
    .order_by(events.c.position)
    .limit(_BATCH)
)
_TO_STORE: Final = _DUE.where(deliveries.c.hook.not_in(bindparam("sent", expanding=True)))
_TO_SEND: Final = _DUE.where(deliveries.c.hook.in_(bindparam("sent", expanding=True)))
_DONE: Final = (
    update(deliveries)
    .where(
        deliveries.c.event_id == bindparam("of_event"),
        deliveries.c.hook == bindparam("of_hook"),
        deliveries.c.state == "pending",
    )
    .values(state="done", error_id=None)
)
# By name: an index finds what is one of two, and not what is no third.
_NOT_DONE: Final = (
    select(
        deliveries.c.state,
        deliveries.c.hook,
        func.count().label("number"),
        func.min(events.c.at).label("oldest_at"),
    )
    .join(events, events.c.id == deliveries.c.event_id)
    .where(deliveries.c.state.in_(("pending", "parked")))
    .group_by(deliveries.c.state, deliveries.c.hook)
)


async def append(
    connection: AsyncConnection, hooks: Hooks, happened: Iterable[Event], now: datetime
) -> list[Recorded[Event]]:
    """Store events in this transaction, with a delivery for each hook. Guards may veto.

    Whoever commits wakes the dispatcher.
    """
    recorded = [Recorded(EventId(secrets.token_hex(16)), now, event) for event in happened]
    for one in recorded:
        await hooks.check(connection, one.event)
        await connection.execute(
            insert(events),
            {
                "id": one.id,
                "type": one.event.type,
                "session_id": getattr(one.event, "session", None),
                "at": now,
                "data": to_json(one.event),
            },
        )
        told = [
            {"event_id": one.id, "hook": name, "state": "pending", "attempts": 0, "due_at": now}
            for name in hooks.names(type(one.event))
        ]
        if told:
            await connection.execute(insert(deliveries), told)
    return recorded


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one hook. attempts: those that failed."""

    event_id: EventId
    type: str
    hook: str
    attempts: int
    due_at: datetime
    error_id: str | None


async def parked(connection: AsyncConnection) -> list[Delivery]:
    """The deliveries that were given up, oldest first."""
    found = await connection.execute(
        select(
            deliveries.c.event_id,
            events.c.type,
            deliveries.c.hook,
            deliveries.c.attempts,
            deliveries.c.due_at,
            deliveries.c.error_id,
        )
        .join(events, events.c.id == deliveries.c.event_id)
        .where(deliveries.c.state == "parked")
        .order_by(events.c.position)
    )
    return [Delivery(*row) for row in found]


async def retry_parked(connection: AsyncConnection, now: datetime) -> int:
    """Make every parked delivery due again; how many."""
    done = await connection.execute(
        update(deliveries)
        .where(deliveries.c.state == "parked")
        .values(state="pending", attempts=0, due_at=now)
    )
    return done.rowcount


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is not done. parked: how many, by hook. oldest_at: since when the oldest is pending."""

    pending: int
    parked: Mapping[str, int]
    oldest_at: datetime | None

    def oldest_s(self, now: datetime) -> float | None:
        """How long ago the event of the oldest pending one happened; None while there is none."""
        at = self.oldest_at
        return None if at is None else max(0.0, (now - at).total_seconds())


async def backlog(connection: AsyncConnection) -> Backlog:
    """Look at what is not done. O(that)."""
    rows = (await connection.execute(_NOT_DONE)).all()
    pending = [row for row in rows if row.state == "pending"]
    return Backlog(
        pending=sum(row.number for row in pending),
        parked={row.hook: row.number for row in rows if row.state == "parked"},
        oldest_at=min((row.oldest_at for row in pending), default=None),
    )


class Dispatcher:
    """Carries deliveries out. Run `run()` as a task; `wake()` it after a commit.

    `stop()` ends it between two deliveries. To cancel it is rude: a transaction that is cancelled
    keeps SQLite's lock until its connection is collected.
    """

    def __init__(self, database: Database, hooks: Hooks, clock: Clock) -> None:
        self._database = database
        self._hooks = hooks
        self._clock = clock
        self._woken: dict[Lane, asyncio.Event] = {"store": asyncio.Event(), "send": asyncio.Event()}
        self._moved_at = dict.fromkeys(self._woken, clock.monotonic())
        self._stopping = False
        self.tries = Counter(
            "plumm_outbox_deliveries",
            "Deliveries that were tried, by hook and outcome.",
            ["hook", "outcome"],
            registry=None,
        )

    @property
    def running(self) -> bool:
        """Whether both lanes go on: each began to look or to deliver a short while ago."""
        since = self._clock.monotonic() - _MOVES_WITHIN_S
        return all(moved_at >= since for moved_at in self._moved_at.values())

    def wake(self) -> None:
        """Something new is due."""
        for woken in self._woken.values():
            woken.set()

    async def backlog(self) -> Backlog:
        """What is not done. Raises StorageFailed when that fails or takes too long."""
        async with self._database.answering() as connection:
            return await backlog(connection)

    def stop(self) -> None:
        """Begin no further delivery; `run` returns when those under way are done."""
        self._stopping = True
        self.wake()

    async def run(self) -> None:
        """Deliver until stopped."""
        async with asyncio.TaskGroup() as lanes:
            lanes.create_task(self._run("store", self.store_due))
            lanes.create_task(self._run("send", self.send_due))

    async def store_due(self) -> int:
        """Try what is due to hooks that store, at most a batch; how many were tried."""
        due = await self._due(_TO_STORE)
        for delivery in due:
            if self._stopping:
                return 0
            self._moved("store")
            try:
                async with self._database.transaction() as connection:
                    ours = await self._store(connection, delivery)
                self._delivered(delivery, ours)
            except Exception as failure:  # noqa: BLE001 - whatever a hook raises; logged
                await self._failed(delivery, failure)
            failpoint("delivery.committed")
        return len(due)

    async def send_due(self) -> int:
        """Try what is due to hooks that send, at most a batch; how many were tried."""
        due = await self._due(_TO_SEND)
        for delivery in due:
            if self._stopping:
                return 0
            self._moved("send")
            try:
                if await self._claim(delivery):
                    await self._send(delivery)
            except Exception as failure:  # noqa: BLE001 - whatever a hook raises; logged
                await self._failed(delivery, failure)
        return len(due)

    def _moved(self, lane: Lane) -> None:
        self._moved_at[lane] = self._clock.monotonic()

    async def _run(self, lane: Lane, deliver_due: Callable[[], Awaitable[int]]) -> None:
        woken = self._woken[lane]
        while not self._stopping:
            self._moved(lane)
            woken.clear()
            try:
                while await deliver_due():
                    pass
            except StorageFailed as failure:  # tried again
                log.error("outbox.failed", reason=failure.reason)
            with suppress(TimeoutError):
                # Not wait_for: in Python 3.11 it loses a cancellation that comes with a wake-up.
                async with asyncio.timeout(_POLL_S):
                    await woken.wait()

    async def _due(self, of: Select[Any]) -> Sequence[Row[Any]]:
        values = {"now": self._clock.now(), "sent": self._hooks.sent_names}
        async with self._database.reading() as connection:
            found: Sequence[Row[Any]] = (await connection.execute(of, values)).all()
            return found

    async def _store(self, connection: AsyncConnection, delivery: Row[Any]) -> bool:
        # Marked first: another process that takes it waits for us, and then finds it done.
        if not await self._mark_done(connection, delivery):
            return False
        failpoint("delivery.taken")
        hook = self._hooks.stored_hook(CATALOGUE[delivery.type], delivery.hook)
        async with asyncio.timeout(_STORED_WITHIN_S):
            await hook(connection, _recorded(delivery))
        failpoint("delivery.effect_stored")
        return True

    async def _claim(self, delivery: Row[Any]) -> bool:
        """Make it ours for a while: no other process sends it meanwhile."""
        async with self._database.transaction() as connection:
            claimed = await connection.execute(
                update(deliveries)
                .where(_is(delivery), deliveries.c.due_at == delivery.due_at)
                .values(due_at=self._clock.now() + _CLAIM)
            )
        return claimed.rowcount == 1

    async def _send(self, delivery: Row[Any]) -> None:
        failpoint("delivery.claimed")
        hook = self._hooks.sent_hook(CATALOGUE[delivery.type], delivery.hook)
        async with asyncio.timeout(_SENT_WITHIN_S):
            await hook(_recorded(delivery))
        failpoint("delivery.sent")
        async with self._database.transaction() as connection:
            ours = await self._mark_done(connection, delivery)
        self._delivered(delivery, ours)

    async def _mark_done(self, connection: AsyncConnection, delivery: Row[Any]) -> bool:
        done = await connection.execute(
            _DONE,
            {
                "of_event": delivery.id,
                "of_hook": delivery.hook,
                "done_at": self._clock.now(),
            },
        )
        return done.rowcount == 1

    def _delivered(self, delivery: Row[Any], ours: bool) -> None:
        """ours: False when another process had done it already."""
        if ours:
            self.tries.labels(hook=delivery.hook, outcome="done").inc()
            log.info(
                "event.delivered",
                event_id=delivery.id,
                event_type=delivery.type,
                session=delivery.session_id,
                hook=delivery.hook,
            )

    async def _failed(self, delivery: Row[Any], failure: Exception) -> None:
        error_id = secrets.token_hex(4)
        async with self._database.transaction() as connection:
            attempts = (
                1
                + (
                    await connection.execute(select(deliveries.c.attempts).where(_is(delivery)))
                ).scalar_one()
            )
            wait_s = min(_FIRST_RETRY_S * 2 ** (attempts - 1), _LONGEST_RETRY_S)
            parked = attempts >= PARKED_AFTER
            await connection.execute(
                update(deliveries)
                .where(_is(delivery))
                .values(
                    state="parked" if parked else "pending",
                    attempts=attempts,
                    due_at=self._clock.now() + timedelta(seconds=wait_s),
                    error_id=error_id,
                )
            )
        outcome = "parked" if parked else "failed"
        self.tries.labels(hook=delivery.hook, outcome=outcome).inc()
        log.error(
            "delivery.failed",
            error_id=error_id,
            event_id=delivery.id,
            hook=delivery.hook,
            attempts=attempts,
            exc_info=failure,
        )


def _is(delivery: Row[Any]) -> ColumnElement[bool]:
    """The delivery's own row, while it is pending."""
    return and_(
        deliveries.c.event_id == delivery.id,
        deliveries.c.hook == delivery.hook,
        deliveries.c.state == "pending",
    )


def _recorded(row: Row[Any]) -> Recorded[Event]:
    return Recorded(EventId(row.id), row.at, from_json(row.type, row.data))
