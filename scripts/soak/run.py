"""A soak: rounds of rooms that come and go, each followed by a rest at which the server is read."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from scripts.bench.server import Server
from scripts.client.crowd import Crowd
from scripts.soak.churn import live
from scripts.soak.verdict import FEWEST_RESTS, Rest

# What is to come back to where it was: as /metrics calls it, a label's value behind the dot.
COUNTS: Final[Mapping[str, str]] = {
    "process_open_fds": "descriptors",
    "plumm_signaling_sockets": "sockets",
    "plumm_held.tasks": "tasks",
    "plumm_held.relay_peers": "relay_peers",
    "plumm_held.relay_tracks": "relay_tracks",
    "plumm_held.relay_subscriptions": "relay_subscriptions",
}
_RSS: Final = "process_resident_memory_bytes"
# The database and its log: the pool keeps as many connections as were ever needed at once.
_OPEN_A_CONNECTION: Final = 2
_LOOK_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Pace:
    """How much happens between two rests. sends_s: how long each room sends, twice.

    rests_s: how long a rest is at the most, when something is left.
    """

    rooms_a_round: int = 6
    at_once: int = 3
    sends_s: float = 1.0
    rests_s: float = 10.0


@dataclass(slots=True)
class Soak:
    """rooms: so many so far. rests: those after the warm-up, the baseline first."""

    server: Server
    crowd: Crowd
    pace: Pace
    rooms: int = 0
    rests: list[Rest] = field(default_factory=list)
    _least: dict[str, float] = field(default_factory=dict)

    async def run(
        self, seconds: float, warm_up_s: float, tell: Callable[[Rest], None] = lambda _: None
    ) -> None:
        """Go on for so long, the warm-up included, and until there are rests enough to judge by;
        `tell` hears of each.

        Raises ExceptionGroup of what `churn.live` raises.
        """
        began = time.monotonic()
        while (at_s := time.monotonic() - began) < seconds or len(self.rests) < FEWEST_RESTS:
            await self._round()
            rest = await self._rest(began)
            if at_s >= warm_up_s:
                self.rests.append(rest)
            tell(rest)

    async def _round(self) -> None:
        turn = asyncio.Semaphore(self.pace.at_once)

        async def one(number: int) -> None:
            async with turn:
                await live(self.server, self.crowd, number, self.pace.sends_s)

        async with asyncio.TaskGroup() as rooms:
            for _ in range(self.pace.rooms_a_round):
                rooms.create_task(one(self.rooms))
                self.rooms += 1

    async def _rest(self, began: float) -> Rest:
        """Wait until nobody is there and no more is held than at earlier rests; not for ever.

        Sockets linger, connections say farewell: what goes by itself is gone in a few seconds.
        """
        until = time.monotonic() + self.pace.rests_s
        async with aiohttp.ClientSession() as http:
            while True:
                await asyncio.sleep(_LOOK_S)
                said = await read(http, self.server)
                counts = _counts(said)
                if self._settled(counts) or time.monotonic() > until:
                    self._least = {
                        name: min(count, self._least.get(name, count))
                        for name, count in counts.items()
                    }
                    return Rest(time.monotonic() - began, said[_RSS], counts)

    def _settled(self, counts: Mapping[str, float]) -> bool:
        if not self._least:
            return counts["sockets"] == counts["relay_peers"] == 0
        return all(count <= self._least[name] for name, count in counts.items())


def _counts(said: Mapping[str, float]) -> dict[str, float]:
    counts = {name: said[sample] for sample, name in COUNTS.items()}
    pooled = said["plumm_database_connections.idle"] + said["plumm_database_connections.in_use"]
    counts["descriptors"] -= _OPEN_A_CONNECTION * pooled
    return counts


async def read(http: aiohttp.ClientSession, server: Server) -> dict[str, float]:
    """The server's figures, by name, and a label's value behind a dot."""
    async with http.get(f"{server.url}/metrics") as response:
        response.raise_for_status()
        families = text_string_to_metric_families(await response.text())
        return {
            ".".join((sample.name, *sample.labels.values())): sample.value
            for family in families
            for sample in family.samples
        }
