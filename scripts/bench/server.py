"""A Plumm server of the benchmark's own: a real `plumm serve` with its own data and ports."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from rooms.clock import SystemClock
from scripts.bench.cores import on_core
from scripts.ports import free_port
from signaling.tokens import Tokens

SERVE: Final[Sequence[str | Path]] = (Path(sys.executable).with_name("plumm"), "serve")
_START_TIMEOUT_S: Final = 20.0
_STOP_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Room:
    """The links of a fresh session's two participants."""

    therapist_url: str
    client_url: str


class Server:
    """A running server. `media_port` is where all media goes; data: its folder."""

    def __init__(self, pid: int, url: str, media_port: int, data: Path) -> None:
        self.pid = pid
        self.url = url
        self.media_port = media_port
        self._data = data

    async def open_room(self) -> Room:
        """A session that starts now."""
        secret = (self._data / "secret").read_text().strip()
        async with (
            aiohttp.ClientSession() as http,
            http.post(
                f"{self.url}/api/sessions",
                json={"therapist": "Dr. Lena Hart", "client": "Maya Lind"},
                headers={"Authorization": f"Bearer {Tokens(secret, SystemClock()).admin()}"},
            ) as response,
        ):
            response.raise_for_status()
            body = await response.json()
            return Room(body["therapist_url"], body["client_url"])


@asynccontextmanager
async def running_server(
    core: int | None, command: Sequence[str | Path] = SERVE
) -> AsyncIterator[Server]:
    """Start a server on `core`, or on every core; stop it and remove its data afterwards.

    Raises RuntimeError with the end of its log when it does not come up.
    """
    with tempfile.TemporaryDirectory(prefix="plumm-bench-") as folder:
        with nullcontext() if core is None else on_core(core):
            process, server, log = _spawn(command, Path(folder))
        try:
            await _until_healthy(process, server.url, log)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _spawn(
    command: Sequence[str | Path], folder: Path
) -> tuple[subprocess.Popen[bytes], Server, Path]:
    """The process, how to reach it once it is up, and its log."""
    port, media_port = free_port(), free_port()
    url, data = f"http://127.0.0.1:{port}", folder / "data"
    environment = {
        "PATH": os.environ["PATH"],
        "PLUMM_HOST": "127.0.0.1",
        "PLUMM_PORT": str(port),
        "PLUMM_MEDIA_PORT": str(media_port),
        "PLUMM_ADVERTISED_IP": "127.0.0.1",
        "PLUMM_DATA_DIR": str(data),
        # What it can do is measured, not when it says that it has enough to do.
        "PLUMM_MAX_PEOPLE": "1000000",
        "PLUMM_BUSY_LAG_MS": "60000",
        "PLUMM_BUSY_RELAY_PERCENT": "1000",
    }
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return process, Server(process.pid, url, media_port, data), log


async def _until_healthy(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    reason = "never asked"
    async with aiohttp.ClientSession() as http:
        for _ in range(int(_START_TIMEOUT_S / 0.1)):
            if process.poll() is not None:
                reason = f"it ended with status {process.returncode}"
                break
            try:
                async with http.get(f"{url}/healthz") as response:
                    if response.status == 200:
                        return
                    reason = f"/healthz answered {response.status}"
            except aiohttp.ClientError as error:
                reason = str(error)
            await asyncio.sleep(0.1)
    raise RuntimeError(f"the server did not start: {reason}\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
