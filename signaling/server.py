"""The process: listen, serve, and go when told to."""

import asyncio
import gc
import os
import resource
import signal
import socket
from collections.abc import Callable

import structlog
from aiohttp import web

from rooms.db.engine import DatabaseUnusable
from signaling.settings import BadSettings, Settings
from signaling.wiring import Plumm

log = structlog.get_logger(__name__)

# Requests that are still being answered when the server is told to go.
_REQUESTS_END_WITHIN_S = 0.3
# A page asks for what it needs within a second or two; aiohttp would wait for an hour.
_KEEP_ALIVE_S = 15.0


class CannotListen(Exception):
    """A port that cannot be opened; the message is one line for a person."""

    def __init__(self, what: str, host: str, port: int, reason: OSError) -> None:
        why = os.strerror(reason.errno) if reason.errno else str(reason)
        super().__init__(f"cannot open the {what} port {port} on {host or 'all addresses'}: {why}")
        self.host = host
        self.port = port


async def serve(settings: Settings, on_ready: Callable[[Settings], None]) -> None:
    """Serve until SIGTERM or SIGINT; returns once everything is closed.

    on_ready is called once, with the settings as they turned out (a free port was picked).
    Raises CannotListen when a port is taken or an address is not ours, BadSettings when the
    host has no address or the data directory cannot be used, DatabaseUnusable.
    """
    allow_all_descriptors()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    listener = listen(settings.host, settings.port)
    settings = settings.model_copy(update={"port": listener.getsockname()[1]})
    try:
        plumm = await Plumm.start(settings)
    except (BadSettings, DatabaseUnusable):
        listener.close()
        raise
    except OSError as error:
        listener.close()
        raise CannotListen("media", settings.relay_host, settings.media_port, error) from error
    runner = web.AppRunner(
        plumm.app,
        access_log=None,
        keepalive_timeout=_KEEP_ALIVE_S,
        shutdown_timeout=_REQUESTS_END_WITHIN_S,
    )
    await runner.setup()
    try:
        site = web.SockSite(runner, listener)
        await site.start()
        # What is loaded now stays: without this, each full collection walks all of it again and
        # holds up the loop for 50 ms.
        gc.collect()
        gc.freeze()
        log.info("server.started", port=settings.port, media_port=plumm.sfu.port)
        on_ready(settings)
        await stopping.wait()
        log.info("server.stopping")
        await site.stop()
    finally:
        await plumm.stop()
        await runner.cleanup()
    log.info("server.stopped")


def allow_all_descriptors() -> None:
    """Raise the limit on open files as far as this process may: each socket is one.

    Most systems set it to 1,024, for the sake of programs that use select(), and allow far more.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; an empty host is every address, IPv4 and IPv6.

    Raises CannotListen, and BadSettings for a host that has no address.
    """
    both = host in ("", "::") and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both or ":" in host else socket.AF_INET
    try:
        socket.getaddrinfo(host or None, port, family)
    # UnicodeError: no such name can be (an empty label, one of more than 63 characters).
    except (socket.gaierror, UnicodeError) as error:
        raise BadSettings(f"PLUMM_HOST: no address is known of {host}") from error
    try:
        return socket.create_server((host, port), family=family, backlog=128, dualstack_ipv6=both)
    except OSError as error:
        raise CannotListen("web", host, port, error) from error
