"""Visits every session once in an interval, a part of them at a time.

A visit takes a fraction of a millisecond; those of hundreds of sessions in one go would hold up
the event loop, and with it every handshake. Owned by whoever made it, on that loop.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from math import ceil
from secrets import token_hex
from typing import Final

import structlog

from media.participant import Session

log = structlog.get_logger(__name__)

_PARTS: Final = 8


class Rounds:
    """Goes round from its making until `stop`.

    visit: told a session's id and its members; what it raises is logged, and the others are
    visited. finish: called when a round is over.
    """

    def __init__(
        self,
        interval_s: float,
        sessions: Mapping[str, Session],
        visit: Callable[[str, Session], None],
        finish: Callable[[], None],
    ) -> None:
        self._sessions = sessions
        self._visit = visit
        self._finish = finish
        self._present: Iterator[None] = iter(())
        self._part = 0
        self._share = 0
        self._pause_s = interval_s / _PARTS
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._pause_s, self._go_on)

    def stop(self) -> None:
        self._timer.cancel()

    def go_round(self) -> None:
        """Visit every session now."""
        for _ in self._round():
            pass

    def _go_on(self) -> None:
        self._timer = self._loop.call_later(self._pause_s, self._go_on)
        if self._part == 0:
            for _ in self._present:  # its end, if a full share came just to it
                pass
            self._present = self._round()
            self._share = ceil(len(self._sessions) / _PARTS)
        for _ in islice(self._present, self._share):
            pass
        self._part = (self._part + 1) % _PARTS

    def _round(self) -> Iterator[None]:
        """One step a session."""
        for session, members in list(self._sessions.items()):
            # It may have ended, or begun anew, since the round began.
            if self._sessions.get(session) is members:
                try:
                    self._visit(session, members)
                except Exception as failure:  # the others go on
                    log.error("round.failed", error_id=token_hex(4), exc_info=failure)
            yield
        self._finish()
