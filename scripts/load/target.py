"""The server under test: its proof that it may be loaded, rooms in it, and its own figures."""

import hmac
import secrets
from dataclasses import dataclass
from typing import Final, Self

import aiohttp

from rooms.clock import SystemClock
from signaling.client import post
from signaling.tokens import Tokens

_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
_CPU: Final = "process_cpu_seconds_total"
_RSS: Final = "process_resident_memory_bytes"


class NoTarget(Exception):
    """A server that is not to be loaded; the message is one line for a person."""


@dataclass(frozen=True, slots=True)
class Usage:
    """cpu_s: CPU time of the server since its start. rss_bytes: its memory now."""

    cpu_s: float
    rss_bytes: float


class Target:
    """Made by `await Target.prove(url, key)` alone: nothing is sent to another server."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        self._tokens = Tokens(key, SystemClock())

    @classmethod
    async def prove(cls, url: str, key: str) -> Self:
        """Have the server prove that it has this key; neither is told to it. Raises NoTarget."""
        target = cls(url, key)
        refusal = f"{target.url} takes no load test by this key, or is at another address"
        nonce = secrets.token_hex(32)
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as http,
                # Who redirects proves nothing of itself.
                http.post(
                    f"{target.url}/api/load-test", json={"nonce": nonce}, allow_redirects=False
                ) as response,
            ):
                said: object = await response.json() if response.status == 200 else None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NoTarget(refusal) from error
        match said:
            case {"proof": str(proof)} if hmac.compare_digest(
                proof.encode(), target._tokens.load_proof(nonce, target.url).encode()
            ):
                return target
        raise NoTarget(refusal)

    async def open_room(self, people: int) -> list[str]:
        """The links of a fresh session, the therapist's first.

        Raises RefusedByServer, ConnectionError, and NoTarget where they lead to another server.
        """
        made = await post(
            f"{self.url}/api/load-test/sessions",
            self._tokens.load(),
            {"people": people},
            expected=("urls",),
        )
        urls: list[str] = made["urls"]
        if not all(url.startswith(f"{self.url}/room/") for url in urls):
            raise NoTarget(f"the rooms of {self.url} are at another address: use that")
        return urls

    async def usage(self) -> Usage | None:
        """What the server says it uses; None where it does not say."""
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as http,
                http.get(f"{self.url}/metrics", allow_redirects=False) as response,
            ):
                return read_usage(await response.text())
        except (aiohttp.ClientError, OSError, ValueError):
            return None


def read_usage(exposition: str) -> Usage | None:
    """The process's figures in Prometheus' text format; None where they are missing."""
    samples = dict(
        line.split()[:2] for line in exposition.splitlines() if line.startswith((_CPU, _RSS))
    )
    if not {_CPU, _RSS} <= samples.keys():
        return None
    return Usage(float(samples[_CPU]), float(samples[_RSS]))
