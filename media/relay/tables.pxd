# Objects by handle, nodes by hash. Only verbs allocate; look-ups never do.

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from media.relay.state cimport Address, HashTable, Slots

cdef enum:
    # The kinds of handles: a track's is never good for a peer.
    PEERS = 1
    TRACKS = 2
    SUBSCRIPTIONS = 3
    CONNECTIONS = 4

cdef void slots_init(Slots *slots, uint64_t kind) noexcept nogil
cdef void slots_free(Slots *slots) noexcept nogil
cdef uint64_t slots_add(Slots *slots, void *item) noexcept nogil
cdef void *slots_get(const Slots *slots, uint64_t handle) noexcept nogil
cdef uint32_t slots_used(const Slots *slots) noexcept nogil
cdef void slots_remove(Slots *slots, uint64_t handle) noexcept nogil

cdef bint table_init(HashTable *table) noexcept nogil
cdef void table_free(HashTable *table) noexcept nogil
cdef bint table_add(HashTable *table, void *node) noexcept nogil
cdef void table_remove(HashTable *table, void *node) noexcept nogil
cdef void *table_find(const HashTable *table, uint64_t hash, uint64_t **cursor) noexcept nogil

cdef inline bint same_address(const Address *one, const Address *other) noexcept nogil:
    return (
        one.low == other.low
        and one.high == other.high
        and one.port == other.port
        and one.connection == other.connection
    )


cdef uint64_t hash_address(const Address *address, uint64_t seed) noexcept nogil
cdef uint64_t hash_bytes(const uint8_t *data, size_t length, uint64_t seed) noexcept nogil
