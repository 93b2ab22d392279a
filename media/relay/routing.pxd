# Verbs on tracks and subscriptions. Each takes the lock itself and lets go of it before it
# returns; the last two are parts of others, under the lock.

from libc.stdint cimport uint32_t, uint64_t
from media.relay.state cimport Shard, Subscription, Track
from media.relay.verbs cimport Outcome

cdef Outcome add_track(
    Shard *shard,
    uint64_t peer,
    const Track *wanted,
    const uint32_t *ssrcs,
    int ssrc_count,
    const uint32_t *rtx_ssrcs,
    int rtx_ssrc_count,
    uint64_t *handle,
) noexcept nogil
cdef Outcome remove_track(Shard *shard, uint64_t handle) noexcept nogil
cdef Outcome set_forwarding(Shard *shard, uint64_t handle, bint enabled) noexcept nogil
cdef Outcome request_keyframe(Shard *shard, uint64_t handle) noexcept nogil

cdef Outcome add_subscription(
    Shard *shard, uint64_t peer, const Subscription *wanted, uint64_t *handle
) noexcept nogil
cdef Outcome remove_subscription(Shard *shard, uint64_t handle) noexcept nogil
cdef Outcome set_source(
    Shard *shard, uint64_t handle, bint attached, uint64_t track
) noexcept nogil
cdef Outcome set_layer(Shard *shard, uint64_t handle, int spatial, int temporal) noexcept nogil
cdef Outcome set_playout_delay(Shard *shard, uint64_t handle, int delay_ms) noexcept nogil

cdef void unlink_track(Shard *shard, Track *track) noexcept nogil
cdef void retire_subscription(Shard *shard, Subscription *subscription) noexcept nogil
