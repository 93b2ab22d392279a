"""A token bucket: how many events a socket may send. Pure; the caller brings the time."""


class TokenBucket:
    """Holds `burst` at most, gains `per_second`; starts full. One owner, no lock."""

    def __init__(self, per_second: float, burst: float, now_s: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._level = burst
        self._filled_at_s = now_s

    def take(self, now_s: float) -> bool:
        """Whether one more is allowed at this moment of a monotonic clock. O(1)."""
        gained = (now_s - self._filled_at_s) * self._per_second
        self._level = min(self._burst, self._level + gained)
        self._filled_at_s = now_s
        if self._level < 1:
            return False
        self._level -= 1
        return True
