"""The token bucket."""

from signaling.rate import TokenBucket


def test_a_burst_is_allowed_then_only_the_steady_rate() -> None:
    bucket = TokenBucket(per_second=20, burst=40, now_s=0.0)
    assert sum(bucket.take(0.0) for _ in range(100)) == 40
    assert sum(bucket.take(0.5) for _ in range(100)) == 10


def test_a_long_silence_earns_no_more_than_a_burst() -> None:
    bucket = TokenBucket(per_second=20, burst=40, now_s=0.0)
    assert sum(bucket.take(3600.0) for _ in range(100)) == 40


def test_what_is_refused_costs_nothing() -> None:
    bucket = TokenBucket(per_second=1, burst=1, now_s=0.0)
    assert [bucket.take(at) for at in (0.0, 0.25, 0.5, 1.0)] == [True, False, False, True]
