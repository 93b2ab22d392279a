"""Token buckets: how often someone may do something. Pure; the caller brings the time."""

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

_FIRST_SWEEP: Final = 64


class TokenBucket:
    """Holds `burst` at most, gains `per_second`; starts full. One owner, no lock."""

    def __init__(self, per_second: float, burst: float, now_s: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._level = burst
        self._filled_at_s = now_s

    def take(self, now_s: float) -> bool:
        """Whether one more is allowed at this moment of a monotonic clock. O(1)."""
        self._fill(now_s)
        if self._level < 1:
            return False
        self._level -= 1
        return True

    def is_full(self, now_s: float) -> bool:
        """Whether it is as good as a new one."""
        self._fill(now_s)
        return self._level >= self._burst

    def _fill(self, now_s: float) -> None:
        gained = (now_s - self._filled_at_s) * self._per_second
        self._level = min(self._burst, self._level + gained)
        self._filled_at_s = now_s


K = TypeVar("K", bound=Hashable)


class TokenBuckets(Generic[K]):
    """One bucket a key. A full one is forgotten in time: whoever comes back gets a full one."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._buckets: dict[K, TokenBucket] = {}
        self._sweep_at = _FIRST_SWEEP

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: K, now_s: float) -> bool:
        """Whether the key's bucket allows one more at this moment. O(1), amortised."""
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= self._sweep_at:
                self._sweep(now_s)
            bucket = TokenBucket(self._per_second, self._burst, now_s)
            self._buckets[key] = bucket
        return bucket.take(now_s)

    def _sweep(self, now_s: float) -> None:
        in_use = {key: one for key, one in self._buckets.items() if not one.is_full(now_s)}
        self._buckets = in_use
        self._sweep_at = max(_FIRST_SWEEP, 2 * len(in_use))
