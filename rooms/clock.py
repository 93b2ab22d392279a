"""The only reader of time. Everything else is given a Clock, or an instant."""

import time
from datetime import UTC, datetime


class SystemClock:
    """The machine's clocks; a `rooms.ports.Clock`."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""
        return time.monotonic()
