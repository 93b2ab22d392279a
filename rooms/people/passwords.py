"""Passwords: hashed with Argon2id, in threads of their own and never on the event loop.

Sources: RFC 9106; NIST SP 800-63B, 5.1.1.2 (length, no rules of composition).
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from rooms.people.errors import PasswordWeak, TooManyFailures

MIN_CHARACTERS: Final = 12
MAX_CHARACTERS: Final = 1024

# OWASP's smallest set for Argon2id: 20 MiB and some 25 ms each. One lane: the relay has the
# other cores.
HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
_THREADS: Final = 2
_NICE: Final = 10
# More than these take longer than people wait.
_AT_ONCE_MAX: Final = 64

R = TypeVar("R")


def check_strength(password: str, email: str) -> None:
    """Raises PasswordWeak: too short (or too long to hash), or the e-mail address."""
    if not MIN_CHARACTERS <= len(password) <= MAX_CHARACTERS:
        raise PasswordWeak
    if password.strip().lower() == email.lower():
        raise PasswordWeak


class Passwords:
    """Hashes and verifies. Raises TooManyFailures when more wait than may. `close()` ends it."""

    def __init__(self, hasher: PasswordHasher = HASHER) -> None:
        self._hasher = hasher
        self._threads = ThreadPoolExecutor(
            _THREADS,
            thread_name_prefix="password",
            # Behind calls. On Linux a nice value is the thread's own (sched(7)).
            initializer=os.nice,
            initargs=(_NICE,),
        )
        self._at_once = 0
        # What an unknown account's password is compared with, so that it takes as long.
        self._nobodys = hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        """The password's hash, with its parameters and salt."""
        return await self._in_thread(lambda: self._hasher.hash(_bytes(password)))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether it is the password of this hash; of None, no, after the same time."""
        expected = self._nobodys if password_hash is None else password_hash
        matches = await self._in_thread(lambda: self._matches(expected, password))
        return matches and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Whether it was made with other parameters than are used now."""
        return self._hasher.check_needs_rehash(password_hash)

    def close(self) -> None:
        """Let the threads end; what they do is finished."""
        self._threads.shutdown(wait=False)

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _in_thread(self, work: Callable[[], R]) -> R:
        if self._at_once >= _AT_ONCE_MAX:
            raise TooManyFailures
        self._at_once += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._at_once -= 1


def _bytes(password: str) -> bytes:
    # JSON may hold half a surrogate pair, which strict UTF-8 refuses.
    return password.encode("utf-8", "surrogatepass")
