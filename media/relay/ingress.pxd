# One received batch: whose is each packet, and what is it?

from libc.stdint cimport uint8_t, uint64_t
from media.relay.state cimport Address, Binding, Shard

cdef enum:
    # As core.pyi's STUN, DTLS and CLOSED
    STUN_DATAGRAM = 1
    DTLS_DATAGRAM = 2
    CLOSED_CONNECTION = 3

cdef void ingest_batch(Shard *shard, int messages) noexcept nogil

# For packets that did not come as datagrams
cdef Binding *find_binding(Shard *shard, const Address *address) noexcept nogil
cdef void ingest(
    Shard *shard, uint8_t *data, size_t length, const Address *source, Binding *binding
) noexcept nogil
cdef bint pass_up(
    Shard *shard,
    int kind,
    uint64_t peer,
    const Address *source,
    const uint8_t *data,
    size_t length,
) noexcept nogil
