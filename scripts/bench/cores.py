"""Which core does what, and how much CPU a process used there."""

import os
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

SERVER_CORE = 0
LOAD_CORE = 1


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """The calling thread, and every thread and process it starts meanwhile, runs on `core`.

    Raises OSError when the machine has no such core.
    """
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def stepping_back() -> Iterator[None]:
    """The calling thread lets the process's other threads have its core first: a pump that is
    kept waiting by clients in Python would take its own delay for the server's.

    Whoever may not raise a priority stays behind afterwards, too, with all that is started then.
    """
    before = os.getpriority(os.PRIO_PROCESS, 0)
    # Of the thread alone.  Source: setpriority(2), C library/kernel differences.
    os.setpriority(os.PRIO_PROCESS, 0, min(19, before + 10))
    try:
        yield
    finally:
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, before)


class CpuMeter:
    """CPU time of one process in ns: all its threads, those that ended included, and what the
    kernel's packet thread does on its behalf on the server's core.

    Loopback delivery runs in the sender's context as a rule, but moves to ksoftirqd under
    load; without it a saturated server would look cheaper than it is.
    """

    def __init__(self, pid: int) -> None:
        # The CPU clock of another process.  Source: Linux, posix-timers_types.h,
        # MAKE_PROCESS_CPUCLOCK with CPUCLOCK_SCHED (2).
        self._clock = (~pid << 3) | 2
        self._softirq = _softirq_schedstat(SERVER_CORE)

    def own_ns(self) -> int:
        """The process alone."""
        return time.clock_gettime_ns(self._clock)

    def read_ns(self) -> int:
        """The process and the kernel's packet thread."""
        return self.own_ns() + int(self._softirq.read_text().split()[0])

    async def share_during(self, waiting: Awaitable[object]) -> float:
        """The share of a core that the process alone uses meanwhile."""
        start_ns, started_ns = self.own_ns(), time.monotonic_ns()
        await waiting
        return (self.own_ns() - start_ns) / (time.monotonic_ns() - started_ns)


@dataclass(frozen=True, slots=True)
class CoreUse:
    """Busy time of the two cores since boot, in ticks of 10 ms, one sample each."""

    server_ticks: int
    load_ticks: int

    @classmethod
    def read(cls) -> "CoreUse":
        busy = {}
        for line in Path("/proc/stat").read_text().splitlines():
            name, *ticks = line.split()
            # user nice system idle iowait irq softirq steal  (proc(5))
            if name in (f"cpu{SERVER_CORE}", f"cpu{LOAD_CORE}"):
                busy[name] = sum(map(int, ticks[:3])) + sum(map(int, ticks[5:8]))
        return cls(busy[f"cpu{SERVER_CORE}"], busy[f"cpu{LOAD_CORE}"])

    def foreign(self, server_ns: int, load_ns: int, elapsed_ns: int) -> float:
        """Fraction of the more disturbed core that others used since `self` was read.

        server_ns, load_ns: CPU time of the benchmark's own processes on each core meanwhile.
        """
        now = CoreUse.read()
        tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        on_server = (now.server_ticks - self.server_ticks) * tick_ns - server_ns
        on_load = (now.load_ticks - self.load_ticks) * tick_ns - load_ns
        return max(on_server, on_load, 0) / elapsed_ns


class OtherWork:
    """What everybody but the benchmark and its servers does on both cores, from now on."""

    def __init__(self) -> None:
        self._began, self._cores, self._own_s = time.monotonic(), CoreUse.read(), _own_cpu_s()

    def share(self) -> float:
        """Of one core; once the servers that were started meanwhile are stopped."""
        now = CoreUse.read()
        ticks = (now.server_ticks - self._cores.server_ticks) + (
            now.load_ticks - self._cores.load_ticks
        )
        others_s = ticks / os.sysconf("SC_CLK_TCK") - (_own_cpu_s() - self._own_s)
        return max(0.0, others_s) / (time.monotonic() - self._began)


def _own_cpu_s() -> float:
    """Of this process, and of all it waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _softirq_schedstat(core: int) -> Path:
    name = f"ksoftirqd/{core}"
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text().strip() == name:
                return comm.with_name("schedstat")
        except OSError:  # the process ended meanwhile
            continue
    raise RuntimeError(f"{name} is not to be seen: run outside of a PID namespace of its own")


def resident_mib(pid: int) -> float:
    """RSS of one process in MiB.  Source: proc(5), VmRSS of status."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no memory: it ended")


def receive_drops(port: int) -> int:
    """Datagrams that the kernel dropped before the UDP sockets on `port`, full buffers mostly."""
    drops = 0
    for table in ("udp", "udp6"):
        path = Path("/proc/net") / table
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            if int(fields[1].rsplit(":", 1)[1], 16) == port:
                drops += int(fields[-1])
    return drops
