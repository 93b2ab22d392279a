"""The one boundary between sockets and the product, the same for every event.

Who may connect; how often it may speak; which handler answers; and how anything raised
becomes an ack. Every event is acked. A refused one has changed nothing; one that fails for a
fault of ours is logged under an id, which the ack carries. Owned by the event loop.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final

import structlog

from media.errors import MediaError
from rooms.errors import NotJoined, RoomsError, SeatReplaced, SessionOver
from rooms.vocabulary import SignInId
from signaling.admission import as_refused
from signaling.errors import Refused, error_body
from signaling.handlers import CLIENT_EVENTS, Event, Services
from signaling.link import Link
from signaling.members import Connection
from signaling.metrics import Metrics
from signaling.protocol import EVENTS_BURST, EVENTS_PER_SECOND, MAX_SOCKETS
from signaling.rate import TokenBuckets
from signaling.tokens import Grant, Tokens

log = structlog.get_logger(__name__)

# Refusals of a participant that speaks too often, before its socket is closed.
PATIENCE: Final = 200

# An End must not be lost behind what was sent before it. Who floods with it is sent away.
_HEARD_ABOVE_THE_RATE: Final = frozenset({"session:end", "room:leave"})


class Hub:
    """The `signaling.transport.Application` of the rooms."""

    def __init__(
        self,
        services: Services,
        tokens: Tokens,
        sign_in_valid: Callable[[SignInId], Awaitable[bool]],
        metrics: Metrics,
        events: Mapping[str, Event[Any]] = CLIENT_EVENTS,
    ) -> None:
        self._services = services
        self._tokens = tokens
        self._sign_in_valid = sign_in_valid
        self._leaving: set[asyncio.Task[None]] = set()
        self._metrics = metrics
        self._events = events
        self._connections: dict[Link, Connection] = {}
        # A participant's, not a socket's: more sockets are not more events.
        self._allowed = TokenBuckets[Grant](EVENTS_PER_SECOND, EVENTS_BURST)
        self._patience = TokenBuckets[Grant](EVENTS_PER_SECOND, PATIENCE)

    async def admit(self, link: Link, auth: object) -> None:
        """Let in whoever brings a join token of a session that is not over, or raise Refused."""
        try:
            grant = await self._granted(auth)
        except (Refused, RoomsError) as refusal:
            raise as_refused(refusal) from None
        except Exception as failure:
            raise Refused("internal", error_id=_logged(failure, event_name="connect")) from failure
        connection = Connection(link, grant)
        self._connections[link] = connection
        self._services.members.connect(connection)

    async def answer(self, link: Link, name: str | None, args: tuple[object, ...]) -> object:
        """The ack of one event, counted by its outcome and timed."""
        known = "unknown" if name not in self._events else name
        began_s = self._services.clock.monotonic()
        ack = await self._ack(link, name, args)
        self._metrics.acks.labels(event=known).observe(self._services.clock.monotonic() - began_s)
        outcome = "ok" if ack["ok"] else ack["error"]["code"]
        self._metrics.events.labels(event=known, outcome=outcome).inc()
        return ack

    def gone(self, link: Link) -> None:
        """The socket is closed; its participant's grace begins."""
        connection = self._connections.pop(link)
        connection.gone = True
        log.info(
            "link.closed",
            session=connection.grant.session,
            participant=connection.grant.participant,
            in_room=connection.seat is not None,
            silence_s=round(link.silence_s, 1),
        )
        self._lose_seat(connection)

    def sign_ins_over(self, ended: Collection[SignInId]) -> None:
        """Whoever came in by one of these is out: nothing more is answered, no media flows."""
        for connection in list(self._connections.values()):
            if connection.grant.sign_in in ended and not connection.signed_out:
                connection.signed_out = True
                self._put_out(connection)

    def _put_out(self, connection: Connection) -> None:
        task = asyncio.get_running_loop().create_task(self._leave(connection))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _leave(self, connection: Connection) -> None:
        """The seat is kept until its socket is gone: where this fails, the grace ends it."""
        try:
            if connection.seat is not None:
                await self._services.rooms.leave(connection.seat)
        except (NotJoined, SeatReplaced, SessionOver):
            pass  # it is out already
        except Exception as failure:  # noqa: BLE001 - nobody else hears of it
            _logged(failure, event_name="signed_out")
        connection.link.disconnect()

    async def _ack(self, link: Link, name: str | None, args: tuple[object, ...]) -> dict[str, Any]:
        connection = self._connections[link]
        was_signed_out = connection.signed_out
        try:
            if not self._may_speak(connection) and name not in _HEARD_ABOVE_THE_RATE:
                raise Refused("rate.limited")
            if was_signed_out:
                raise Refused("sign_in.required")
            if name is None or len(args) != 1:
                raise Refused("message.malformed")
            event = self._events.get(name)
            if event is None:
                raise Refused("message.unknown_event")
            data = await event.answer(self._services, connection, args[0])
        except (Refused, RoomsError, MediaError) as refusal:
            return _refusal(as_refused(refusal))
        except Exception as failure:  # noqa: BLE001 - ours; logged with its traceback
            return _refusal(Refused("internal", error_id=_logged(failure, event_name=name)))
        finally:
            # While it was answered: leave no seat behind.
            if connection.gone:
                self._lose_seat(connection)
            elif connection.signed_out and not was_signed_out:
                self._put_out(connection)
        return {"ok": True, "data": data}

    async def _granted(self, auth: object) -> Grant:
        grant = self._tokens.read_join(auth.get("token") if isinstance(auth, dict) else None)
        if grant.sign_in is not None and not await self._sign_in_valid(grant.sign_in):
            raise Refused("sign_in.required")
        await self._services.admission.check(grant)
        if self._services.members.sockets_of(grant) >= MAX_SOCKETS:
            raise Refused("rate.limited")
        return grant

    def _may_speak(self, connection: Connection) -> bool:
        """Whether the participant may send one more event; who never lets up is sent away."""
        now_s = self._services.clock.monotonic()
        if self._allowed.take(connection.grant, now_s):
            return True
        if not self._patience.take(connection.grant, now_s) and not connection.link.closing:
            self._metrics.dropped_sockets.labels(reason="rate.limited").inc()
            connection.link.disconnect()
        return False

    def _lose_seat(self, connection: Connection) -> None:
        seat, grant = connection.seat, connection.grant
        rooms, members = self._services.rooms, self._services.members
        members.disconnect(connection)
        if seat is not None:
            rooms.lose_socket(seat, connection.link.silence_s)
        if connection.waiting and not members.is_waiting(grant):
            rooms.stop_waiting(grant.session, grant.participant)


def _refusal(refused: Refused) -> dict[str, Any]:
    return {"ok": False, "error": error_body(refused)}


def _logged(failure: Exception, event_name: str | None) -> str:
    """Log a fault of ours; the id under which it is found."""
    error_id = secrets.token_hex(4)
    log.error("event.failed", error_id=error_id, event_name=event_name, exc_info=failure)
    return error_id
