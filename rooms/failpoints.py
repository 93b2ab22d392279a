"""Named places at which tests kill the process, to see that the next start finishes the work.

PLUMM_FAILPOINT=<name>[:<n>] ends the process by SIGKILL at the n-th pass (1 by default); unset,
a failpoint does nothing. The names are listed here, so that a test can visit every one.
"""

import os
import signal
from typing import Final

FAILPOINTS: Final = (
    "end.before_transaction",
    "end.state_stored",
    "end.event_stored",
    "end.committed",
    "end.media_closed",
    "end.told",
    "delivery.taken",
    "delivery.effect_stored",
    "delivery.committed",
    "delivery.claimed",
    "delivery.sent",
)

_name, _, _passes = os.environ.get("PLUMM_FAILPOINT", "").partition(":")
_left = int(_passes or 1) if _name else 0


def failpoint(name: str) -> None:
    """Die here, when this is the place."""
    global _left
    if name != _name:
        return
    _left -= 1
    if _left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
