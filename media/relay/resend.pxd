# Answering a subscriber's NACK from its source's cache.

from libc.stdint cimport uint8_t
from media.relay.state cimport Shard, Subscription

cdef void answer_nack(
    Shard *shard, Subscription *subscription, const uint8_t *items, size_t length
) noexcept nogil
