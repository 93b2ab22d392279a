# Verbs on peers. Each takes the lock itself and lets go of it before it returns.

from libc.stdint cimport uint64_t
from media.relay.state cimport (
    Address,
    Binding,
    Connection,
    FeedbackLog,
    History,
    Negotiated,
    Shard,
    srtp_t,
)
from media.relay.verbs cimport Outcome

cdef bint init_shard(Shard *shard) noexcept nogil
cdef void free_shard(Shard *shard) noexcept nogil

cdef uint64_t add_peer(Shard *shard) noexcept nogil
cdef Outcome configure_peer(
    Shard *shard,
    uint64_t handle,
    const Negotiated *negotiated,
    FeedbackLog **log,
    History **history,
) noexcept nogil
cdef Outcome remove_peer(Shard *shard, uint64_t handle) noexcept nogil
cdef Outcome expect(
    Shard *shard, uint64_t handle, const char *text, size_t length
) noexcept nogil
cdef void forget(Shard *shard, const char *text, size_t length) noexcept nogil
cdef void unbind(Shard *shard, Binding *binding, Connection **closing) noexcept nogil
cdef Outcome bind(Shard *shard, uint64_t handle, const Address *address) noexcept nogil
cdef Outcome select(Shard *shard, uint64_t handle, const Address *address) noexcept nogil
cdef Outcome set_sessions(
    Shard *shard, uint64_t handle, srtp_t *receive, srtp_t *send
) noexcept nogil
