"""What a forwarded packet costs: the relay and two yardsticks, in turns, at the same loads.

Each server is on its own core, one at a time under load; a machine's mood changes over
minutes, so that only neighbours in time are compared and the median of the rounds counts.
"""

import asyncio
import math
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from statistics import median
from typing import Final, Protocol

from scripts.bench.cores import SERVER_CORE, CoreUse, CpuMeter, receive_drops
from scripts.bench.filling import fill_in_fresh_rooms
from scripts.bench.ratios import GROWTH
from scripts.bench.server import running_server
from scripts.bench.yardstick import Yardstick
from scripts.pump import Pump

# Ten rooms of two: each packet is forwarded once, the yardsticks' way.
PAIRS: Final = 10
# All are counted; one in eight is also authenticated and timed.
CHECK_EVERY: Final = 8
ROUNDS: Final = 5
WARM_UP_S: Final = 0.3
MEASURE_S: Final = 1.2
# Other work on either core above this spoils a sample: it is taken again, this often in all.
MOST_FOREIGN: Final = 0.10
RETAKES: Final = 12

LOADS: Final[Mapping[str, float]] = {
    "saturated": math.inf,
    "at_20000": 20e3,
    "at_60000": 60e3,
    # Half of what one relay thread is to forward at the least.
    "at_75000": 75e3,
}
_ABOVE_ASYNCIO: Final = ("at_60000", "at_75000")
# At ten times the rooms, between the same two neighbours.
_GROWTH_LOAD: Final = "at_60000"
_GROWTH_ROUNDS: Final = 3


class Target(Protocol):
    """A server under load, and the load."""

    @property
    def name(self) -> str: ...
    @property
    def pid(self) -> int: ...
    @property
    def port(self) -> int: ...
    @property
    def pump(self) -> Pump: ...


@dataclass(frozen=True, slots=True)
class RelayTarget:
    pid: int
    port: int
    pump: Pump
    name: str = "relay"


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement; fields are named as in the result.

    busy, foreign: fraction of the server's core that the server used, and of either core that
    neither the server nor the load did.
    """

    us_per_packet: float
    packets_per_second: float
    loss: float
    delay_p50_us: float
    delay_p99_us: float
    busy: float
    receive_drops: float
    unauthentic: float
    foreign: float

    @property
    def spoilt(self) -> bool:
        return self.foreign > MOST_FOREIGN


async def measure(target: Target, packets_per_second: float) -> Sample:
    """Load one server for a moment; the warm-up is not counted."""
    server, load = CpuMeter(target.pid), CpuMeter(os.getpid())
    target.pump.start(packets_per_second)
    await asyncio.sleep(WARM_UP_S)
    drops = receive_drops(target.port)
    cores = CoreUse.read()
    started_ns, load_ns, server_ns = time.monotonic_ns(), load.own_ns(), server.read_ns()
    before = target.pump.figures()
    await asyncio.sleep(MEASURE_S)
    server_ns, load_ns = server.read_ns() - server_ns, load.own_ns() - load_ns
    period = target.pump.figures().since(before)
    elapsed_ns = time.monotonic_ns() - started_ns
    foreign = cores.foreign(server_ns, load_ns, elapsed_ns)
    drops = receive_drops(target.port) - drops
    await asyncio.to_thread(target.pump.stop)
    if period.received == 0:
        raise RuntimeError(f"{target.name} forwarded nothing at {packets_per_second:,.0f} pps")
    return Sample(
        us_per_packet=server_ns / 1000 / period.received,
        packets_per_second=period.received * 1e9 / elapsed_ns,
        loss=period.loss(),
        delay_p50_us=period.delay_us(50) or 0,
        delay_p99_us=period.delay_us(99) or 0,
        busy=server_ns / elapsed_ns,
        receive_drops=drops,
        unauthentic=period.refused,
        foreign=foreign,
    )


async def compare(tell: Callable[[str], None], rounds: int = ROUNDS) -> dict[str, float]:
    """Measure all servers at all loads, interleaved; the medians as flat figures."""
    samples: dict[tuple[str, str], list[Sample]] = {}
    retakes = RETAKES
    async with AsyncExitStack() as stack:
        targets: list[Target] = []
        for style in ("bare", "asyncio"):
            yardstick = Yardstick(style, PAIRS, CHECK_EVERY)
            stack.callback(yardstick.close)
            targets.append(yardstick)
        relay = await stack.enter_async_context(_relay(PAIRS))
        targets.insert(1, relay)
        for number in range(rounds):
            for load, packets_per_second in LOADS.items():
                for target in targets:
                    tell(f"Forwarding, round {number + 1} of {rounds}: {target.name} {load}")
                    if target.name == "asyncio_loop" and load in _ABOVE_ASYNCIO:
                        continue  # more than it can carry: as saturated
                    sample = await measure(target, packets_per_second)
                    while sample.spoilt and retakes > 0:
                        retakes -= 1
                        sample = await measure(target, packets_per_second)
                    samples.setdefault((target.name, load), []).append(sample)
        growth = await _growth(relay, tell)
    return summarise(samples) | {f"relay.{_GROWTH_LOAD}.us_per_packet.{GROWTH}": growth}


async def _growth(small: RelayTarget, tell: Callable[[str], None]) -> float:
    """What a packet costs in ten times the rooms, at the same rate of them all: as a ratio."""
    ratios: list[float] = []
    tell(f"Filling {10 * PAIRS} rooms")
    async with _relay(10 * PAIRS) as large:
        for number in range(_GROWTH_ROUNDS):
            tell(f"Forwarding in {10 * PAIRS} rooms, round {number + 1} of {_GROWTH_ROUNDS}")
            few = await measure(small, LOADS[_GROWTH_LOAD])
            many = await measure(large, LOADS[_GROWTH_LOAD])
            ratios.append(many.us_per_packet / few.us_per_packet)
    return median(ratios)


def summarise(samples: Mapping[tuple[str, str], Sequence[Sample]]) -> dict[str, float]:
    """Medians by (server, load), and of each round's ratios between neighbours.

    Spoilt samples count only where there are no others.
    """
    figures: dict[str, float] = {}
    for (name, load), taken in samples.items():
        used = [one for one in taken if not one.spoilt] or taken
        for field in Sample.__slots__:
            figures[f"{name}.{load}.{field}"] = median(getattr(one, field) for one in used)
        costs = [one.us_per_packet for one in used]
        figures[f"{name}.{load}.us_per_packet_least"] = min(costs)
        figures[f"{name}.{load}.us_per_packet_most"] = max(costs)
        pairs = list(zip(samples.get(("relay", load), ()), taken, strict=False))
        clean = [pair for pair in pairs if not any(one.spoilt for one in pair)]
        if name != "relay" and pairs:
            figures[f"relay.{load}.ratio_to_{name}"] = median(
                ours.us_per_packet / theirs.us_per_packet for ours, theirs in clean or pairs
            )
    return figures


@asynccontextmanager
async def _relay(pairs: int) -> AsyncIterator[RelayTarget]:
    """A server with so many rooms, connected."""
    async with running_server(SERVER_CORE) as server, AsyncExitStack() as stack:
        pump = Pump(check_every=CHECK_EVERY)
        filled = await fill_in_fresh_rooms(stack, server, pairs)
        stack.callback(pump.stop)
        for pair in filled:
            for peer in pair:
                peer.send_by(pump)
        yield RelayTarget(server.pid, server.media_port, pump)
