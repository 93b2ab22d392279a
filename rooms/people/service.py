"""The people of the platform: signs them in and out, one transaction a command.

Commands raise what `rooms.people.errors` names, and StorageFailed; then nothing has changed.
No password, name or address is logged. Owned by the event loop.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from rooms import outbox
from rooms.db.engine import Database
from rooms.events import (
    Event,
    PasswordChanged,
    PasswordResetRequested,
    UserAdded,
    UserDisabled,
    UserSignedIn,
    UserSignedOut,
)
from rooms.hooks import Hooks
from rooms.people import accounts, failures, resets, sign_ins
from rooms.people.accounts import Credentials, User
from rooms.people.errors import (
    ResetInvalid,
    SignInRefused,
    SignInRequired,
    TooManyFailures,
    UserUnknown,
)
from rooms.people.passwords import Passwords, check_strength
from rooms.people.secret import new_secret
from rooms.people.sign_ins import Lifetimes, SignIn
from rooms.ports import Clock
from rooms.vocabulary import SignInId, UserId, UserRole

# Told which sign-ins were ended, after they are: whoever holds a socket of theirs closes it.
Revoked = Callable[[Collection[SignInId]], None]


@dataclass(frozen=True, slots=True)
class NewSignIn:
    """secret: what the browser keeps, and nobody else."""

    secret: str
    user: User


class People:
    """All accounts and sign-ins.

    committed: called after each transaction that stored events.
    """

    def __init__(
        self,
        clock: Clock,
        database: Database,
        hooks: Hooks,
        passwords: Passwords,
        *,
        lifetimes: Lifetimes,
        committed: Callable[[], None] = lambda: None,
        revoked: Revoked = lambda _: None,
    ) -> None:
        self._clock = clock
        self._database = database
        self._hooks = hooks
        self._passwords = passwords
        self._lifetimes = lifetimes
        self._committed = committed
        self._revoked = revoked

    # Accounts

    async def add(
        self, email: str, name: str, role: UserRole, password: str | None, by: UserId | None = None
    ) -> User:
        """Make an account; without a password, one is chosen by a reset.

        Raises BadEmail, BadName, UserExists, PasswordWeak.
        """
        password_hash = None
        if password is not None:
            check_strength(password, accounts.normal_email(email))
            password_hash = await self._passwords.hash(password)
        async with self._database.transaction() as connection:
            user = await accounts.add(
                connection, email, name, role, password_hash, self._clock.now()
            )
            await self._append(connection, [UserAdded(user.id, by)])
        self._committed()
        return user

    async def find(self, email: str) -> User:
        """Whose address this is. Raises UserUnknown; for a closed account too."""
        async with self._database.reading() as connection:
            found = await accounts.with_email(connection, email)
        if found is None or found.user.disabled:
            raise UserUnknown
        return found.user

    async def everyone(self) -> list[User]:
        """All accounts, closed ones too, by address."""
        async with self._database.reading() as connection:
            return await accounts.everyone(connection)

    async def disable(self, email: str, by: UserId | None = None) -> User:
        """Close an account and end its sign-ins; again does nothing. Raises UserUnknown."""
        async with self._database.transaction() as connection:
            user, was_open = await accounts.disable(connection, email, self._clock.now())
            if was_open:
                await resets.forget(connection, user.id)
                ended = await sign_ins.end_all(connection, user.id)
                await self._append(connection, [UserDisabled(user.id, by)])
        if was_open:
            self._committed()
            self._revoked(ended)
        return user

    # Sign-ins

    async def sign_in(self, email: str, password: str, address: str) -> NewSignIn:
        """Sign somebody in, who comes from a network address.

        Raises SignInRefused, after the same time whether there is such an account or not;
        TooManyFailures.
        """
        await self._let_through(email, address)
        async with self._database.reading() as connection:
            found = await accounts.with_email(connection, email)
        password_hash = None if found is None else found.password_hash
        if not await self._passwords.verify(password_hash, password):
            raise SignInRefused
        assert found is not None
        newer_hash = None
        if self._passwords.is_outdated(found.password_hash or ""):
            newer_hash = await self._passwords.hash(password)
        new = NewSignIn(new_secret(), found.user)
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await self._check_unchanged(connection, found)
            if newer_hash is not None:
                await accounts.set_password_hash(connection, found.user.id, newer_hash)
            await failures.forget(connection, email, address)
            sign_in = sign_ins.id_of(new.secret)
            await sign_ins.add(connection, sign_in, found.user.id, now, self._lifetimes)
            await self._append(connection, [UserSignedIn(found.user.id)])
        self._committed()
        return new

    async def signed_in(self, secret: str | None) -> SignIn:
        """Whose secret this is; its use makes the sign-in last. Raises SignInRequired."""
        if secret is None:
            raise SignInRequired
        found = await self._valid([sign_ins.id_of(secret)])
        if not found:
            raise SignInRequired
        return found[0]

    async def sign_in_valid(self, sign_in: SignInId) -> bool:
        """Whether this sign-in is not over; asking is a use of it."""
        return bool(await self._valid([sign_in]))

    async def end_stale(self, in_use: Collection[SignInId]) -> None:
        """Note that these are used just now, and say which of them are over after all.

        Whoever keeps sockets calls it often: a call lasts longer than a sign-in may idle, and
        another process may have ended one.
        """
        if not in_use:
            return
        stale = set(in_use) - {one.id for one in await self._valid(in_use)}
        if stale:
            self._revoked(stale)

    async def sign_out(self, user: UserId, sign_in: SignInId, *, everywhere: bool) -> None:
        """End a sign-in, or all of its user's."""
        async with self._database.transaction() as connection:
            if everywhere:
                ended = await sign_ins.end_all(connection, user)
            else:
                ended = [sign_in] if await sign_ins.end(connection, sign_in) else []
            if ended:
                await self._append(connection, [UserSignedOut(user, everywhere)])
        if ended:
            self._committed()
            self._revoked(ended)

    # Passwords

    async def request_reset(self, email: str) -> None:
        """Have a mail sent with which to choose a password; of an unknown address, nothing."""
        async with self._database.reading() as connection:
            found = await accounts.with_email(connection, email)
        if found is None or found.user.disabled:
            return
        async with self._database.transaction() as connection:
            await self._append(connection, [PasswordResetRequested(found.user.id)])
        self._committed()

    async def reset_token(self, user: UserId) -> str:
        """A token with which to choose a password, for the mail; once, and for an hour.

        Raises UserUnknown.
        """
        async with self._database.transaction() as connection:
            found = await accounts.lock(connection, user)
            if found is None or found.user.disabled:
                raise UserUnknown
            return await resets.add(connection, user, self._clock.now())

    async def choose_password(self, token: str, password: str) -> None:
        """Set the password of whoever got this token; all of its sign-ins end.

        Raises ResetInvalid, ResetExpired, PasswordWeak; after the last the token is still good.
        """
        async with self._database.reading() as connection:
            user = await resets.whose(connection, token, self._clock.now())
            found = await accounts.with_id(connection, user)
        assert found is not None
        check_strength(password, found.user.email)
        password_hash = await self._passwords.hash(password)
        async with self._database.transaction() as connection:
            found = await accounts.lock(connection, user)
            if found is None or found.user.disabled:
                raise ResetInvalid
            await resets.use(connection, token)
            await accounts.set_password_hash(connection, user, password_hash)
            ended = await sign_ins.end_all(connection, user)
            await self._append(connection, [PasswordChanged(user)])
        self._committed()
        self._revoked(ended)

    async def forget_old(self) -> None:
        """Delete what is over by itself; call it now and then."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await sign_ins.forget_old(connection, now, self._lifetimes)
            await failures.forget_old(connection, now)
            await resets.forget_old(connection, now)

    def close(self) -> None:
        """Let the threads go."""
        self._passwords.close()

    async def _let_through(self, email: str, address: str) -> None:
        """Count the attempt as failed, for now. Raises TooManyFailures."""
        now = self._clock.now()
        async with self._database.reading() as connection:
            failed = await failures.count(connection, email, address, now)
        if failed >= failures.LIMIT:
            raise TooManyFailures
        async with self._database.transaction() as connection:
            number = await failures.add(connection, email, address, now)
        async with self._database.reading() as connection:
            failed = await failures.count(connection, email, address, now)
        if failed > failures.LIMIT:
            async with self._database.transaction() as connection:
                await failures.take_back(connection, number)
            raise TooManyFailures

    async def _check_unchanged(self, connection: AsyncConnection, found: Credentials) -> None:
        """Raise SignInRefused when the account was closed, or its password changed, meanwhile."""
        current = await accounts.lock(connection, found.user.id)
        if current is None or current.user.disabled or current.password_hash != found.password_hash:
            raise SignInRefused

    async def _valid(self, which: Collection[SignInId]) -> list[SignIn]:
        now = self._clock.now()
        async with self._database.reading() as connection:
            found = await sign_ins.valid(connection, which, now, self._lifetimes)
        unnoted = [one.id for one in found if one.seen_at <= now - sign_ins.NOTED_EVERY]
        if unnoted:
            async with self._database.transaction() as connection:
                await sign_ins.note_use(connection, unnoted, now)
        return found

    async def _append(self, connection: AsyncConnection, happened: Iterable[Event]) -> None:
        await outbox.append(connection, self._hooks, happened, self._clock.now())
