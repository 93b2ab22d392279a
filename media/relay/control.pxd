# The verbs' effects on a shard. Each takes the lock itself and lets go of it before it returns.

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from media.relay.state cimport (
    Address,
    FeedbackLog,
    Negotiated,
    Peer,
    Shard,
    Subscription,
    Track,
    srtp_t,
)

cdef enum Outcome:
    DONE
    UNKNOWN_HANDLE
    NO_MEMORY
    NOT_BOUND
    SSRC_IN_USE
    WRONG_KIND

cdef bint init_shard(Shard *shard) noexcept nogil
cdef void free_shard(Shard *shard) noexcept nogil

cdef uint64_t add_peer(Shard *shard) noexcept nogil
cdef Outcome configure_peer(
    Shard *shard, uint64_t handle, const Negotiated *negotiated, FeedbackLog **log
) noexcept nogil
cdef Outcome remove_peer(Shard *shard, uint64_t handle) noexcept nogil
cdef Outcome expect(
    Shard *shard, uint64_t handle, const char *text, size_t length
) noexcept nogil
cdef void forget(Shard *shard, const char *text, size_t length) noexcept nogil
cdef Outcome bind(Shard *shard, uint64_t handle, const Address *address) noexcept nogil
cdef Outcome select(Shard *shard, uint64_t handle, const Address *address) noexcept nogil
cdef Outcome set_sessions(
    Shard *shard, uint64_t handle, srtp_t *receive, srtp_t *send
) noexcept nogil

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
