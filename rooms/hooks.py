"""What follows from events: an explicit table, filled by the composition root alone.

- A guard runs in the transaction that makes the event true, and may veto it by raising.
- A hook that is `stored` runs later, in a transaction that also marks the delivery done: what
  it does happens exactly once. It touches the database and nothing else.
- A hook that is `sent` does something outside, such as a mail, and holds no transaction. It
  happens at least once, so it carries the event's id to whoever can tell a second time.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from rooms.events import Event, Recorded

E = TypeVar("E", bound=Event)

Guard: TypeAlias = Callable[[AsyncConnection, E], Awaitable[None]]
StoredHook: TypeAlias = Callable[[AsyncConnection, Recorded[E]], Awaitable[None]]
SentHook: TypeAlias = Callable[[Recorded[E]], Awaitable[None]]


class Hooks:
    """The table. A hook's name is kept with its deliveries: it stays when the code moves."""

    def __init__(self) -> None:
        self._guards: dict[type[Event], list[Guard[Any]]] = {}
        self._stored: dict[tuple[type[Event], str], StoredHook[Any]] = {}
        self._sent: dict[tuple[type[Event], str], SentHook[Any]] = {}

    def guard(self, kind: type[E], guard: Guard[E]) -> None:
        """Ask `guard` before an event of this kind is stored."""
        self._guards.setdefault(kind, []).append(guard)

    def stored(self, kind: type[E], name: str, hook: StoredHook[E]) -> None:
        """Carry every event of this kind on in the database. Raises ValueError for a name twice."""
        self._new(kind, name)
        self._stored[kind, name] = hook

    def sent(self, kind: type[E], name: str, hook: SentHook[E]) -> None:
        """Carry every event of this kind outside. Raises ValueError for a name twice."""
        self._new(kind, name)
        self._sent[kind, name] = hook

    async def check(self, connection: AsyncConnection, event: Event) -> None:
        """Run the guards of an event; whatever one raises vetoes it."""
        for guard in self._guards.get(type(event), ()):
            await guard(connection, event)

    def names(self, kind: type[Event]) -> Sequence[str]:
        """Who is to hear of an event of this kind."""
        return [name for of, name in (*self._stored, *self._sent) if of is kind]

    @property
    def sent_names(self) -> Sequence[str]:
        """The names of all hooks that go outside."""
        return sorted({name for _, name in self._sent})

    def stored_hook(self, kind: type[Event], name: str) -> StoredHook[Any]:
        """Raises LookupError when this version has it no longer."""
        return self._stored[kind, name]

    def sent_hook(self, kind: type[Event], name: str) -> SentHook[Any]:
        """Raises LookupError when this version has it no longer."""
        return self._sent[kind, name]

    def _new(self, kind: type[Event], name: str) -> None:
        if name in self.names(kind):
            raise ValueError(f"{kind.type} has a hook {name} already")
