"""`plumm` with leaks planted: `python -m tests.support.leaky_server serve`.

Each ended session leaves some memory, a descriptor and a task behind.
"""

import asyncio
import os
from typing import Final

from rooms.service import SessionService
from rooms.session import Ended, Seat
from signaling.cli import main

LEAKED_BYTES: Final = 64 * 1024

_kept: list[object] = []
_end = SessionService.end


async def _leaking_end(self: SessionService, seat: Seat) -> Ended:
    _kept.append(os.urandom(LEAKED_BYTES))
    _kept.append(os.open(os.devnull, os.O_RDONLY))
    _kept.append(asyncio.create_task(asyncio.Event().wait()))
    return await _end(self, seat)


if __name__ == "__main__":
    SessionService.end = _leaking_end  # type: ignore[method-assign]
    main()
