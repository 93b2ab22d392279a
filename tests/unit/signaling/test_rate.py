"""The token bucket."""

from signaling.rate import TokenBucket, TokenBuckets


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


def test_each_key_has_a_bucket_of_its_own() -> None:
    buckets = TokenBuckets[str](per_second=1, burst=2)
    assert [buckets.take(key, 0.0) for key in "aaabb"] == [True, True, False, True, True]


def test_full_buckets_are_forgotten_and_those_in_use_are_not() -> None:
    buckets = TokenBuckets[int](per_second=1, burst=1)
    now_s = 0.0
    for key in range(10_000):
        now_s += 0.1
        buckets.take(key, now_s)
        assert not buckets.take(key, now_s)
    assert len(buckets) <= 100
