"""The people's service on a real database, and what it told whom."""

from collections.abc import Collection
from typing import Final

from argon2 import PasswordHasher
from sqlalchemy import select

from rooms.db.engine import Database
from rooms.db.schema import events
from rooms.events import Event, from_json
from rooms.hooks import Hooks
from rooms.people.accounts import User
from rooms.people.passwords import Passwords
from rooms.people.service import People
from rooms.people.sign_ins import Lifetimes
from rooms.vocabulary import SignInId
from tests.support.fake_clock import FakeClock

# As small as Argon2 can be: these tests are about what follows.
SMALL: Final = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD: Final = "a long enough password"
HOME: Final = "192.0.2.7"


class Office:
    """People, a clock and whatever was revoked."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.database = database
        self.clock = clock
        self.hooks = Hooks()
        self.revoked: set[SignInId] = set()
        self.people = self.another()

    def another(self, hasher: PasswordHasher = SMALL) -> People:
        """Another process on the same database."""
        return People(
            self.clock,
            self.database,
            self.hooks,
            Passwords(hasher),
            lifetimes=Lifetimes(),
            revoked=self._note,
        )

    async def lena(self) -> User:
        return await self.people.add("lena@example.org", "Lena", "therapist", PASSWORD)

    async def sign_in(
        self, email: str = "lena@example.org", password: str = PASSWORD, address: str = HOME
    ) -> str:
        """The secret of a new sign-in."""
        return (await self.people.sign_in(email, password, address)).secret

    async def events(self) -> list[Event]:
        async with self.database.reading() as connection:
            found = await connection.execute(select(events).order_by(events.c.position))
            return [from_json(row.type, row.data) for row in found]

    def _note(self, ended: Collection[SignInId]) -> None:
        self.revoked |= set(ended)
