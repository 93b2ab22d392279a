# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Objects by handle, nodes by hash. Only verbs allocate; look-ups never do.

A handle is kind (4 bits), generation (32), index (24): a slot's generation grows when its
object goes, so that a stale handle finds nothing.

A node is any structure that begins with its own uint64_t hash; the table holds pointers.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from media.relay.state cimport Address, HashTable, Slots

cdef enum:
    INDEX_BITS = 24
    GENERATION_BITS = 32
    SLOTS_AT_FIRST = 16
    NODES_AT_FIRST = 64


cdef void slots_init(Slots *slots, uint64_t kind) noexcept nogil:
    slots.kind = kind
    slots.capacity = 0
    slots.free_count = 0
    slots.free = NULL
    slots.generations = NULL
    slots.items = NULL


cdef void slots_free(Slots *slots) noexcept nogil:
    free(slots.free)
    free(slots.generations)
    free(slots.items)


cdef bint slots_grow(Slots *slots) noexcept nogil:
    cdef uint32_t capacity = slots.capacity * 2 if slots.capacity else SLOTS_AT_FIRST
    cdef uint32_t i
    cdef void *grown
    if capacity > <uint32_t>1 << INDEX_BITS:
        return False
    grown = realloc(slots.free, capacity * sizeof(uint32_t))
    if grown == NULL:
        return False
    slots.free = <uint32_t *>grown
    grown = realloc(slots.generations, capacity * sizeof(uint32_t))
    if grown == NULL:
        return False
    slots.generations = <uint32_t *>grown
    grown = realloc(slots.items, capacity * sizeof(void *))
    if grown == NULL:
        return False
    slots.items = <void **>grown
    for i in range(slots.capacity, capacity):
        slots.generations[i] = 1
        slots.items[i] = NULL
        slots.free[slots.free_count] = capacity - 1 - (i - slots.capacity)
        slots.free_count += 1
    slots.capacity = capacity
    return True


cdef uint64_t slots_add(Slots *slots, void *item) noexcept nogil:
    """The new handle, never 0; 0: no memory."""
    cdef uint32_t index
    if slots.free_count == 0 and not slots_grow(slots):
        return 0
    slots.free_count -= 1
    index = slots.free[slots.free_count]
    slots.items[index] = item
    return (
        slots.kind << (GENERATION_BITS + INDEX_BITS)
        | <uint64_t>slots.generations[index] << INDEX_BITS
        | index
    )


cdef uint32_t slots_used(const Slots *slots) noexcept nogil:
    """How many objects there are."""
    return slots.capacity - slots.free_count


cdef void *slots_get(const Slots *slots, uint64_t handle) noexcept nogil:
    """NULL: stale, or of another kind."""
    cdef uint32_t index = <uint32_t>(handle & ((1 << INDEX_BITS) - 1))
    if handle >> (GENERATION_BITS + INDEX_BITS) != slots.kind or index >= slots.capacity:
        return NULL
    if slots.generations[index] != <uint32_t>(handle >> INDEX_BITS):
        return NULL
    return slots.items[index]


cdef void slots_remove(Slots *slots, uint64_t handle) noexcept nogil:
    cdef uint32_t index = <uint32_t>(handle & ((1 << INDEX_BITS) - 1))
    slots.items[index] = NULL
    slots.generations[index] += 1
    slots.free[slots.free_count] = index
    slots.free_count += 1


cdef bint table_init(HashTable *table) noexcept nogil:
    table.mask = NODES_AT_FIRST - 1
    table.count = 0
    table.nodes = <uint64_t **>calloc(NODES_AT_FIRST, sizeof(uint64_t *))
    return table.nodes != NULL


cdef void table_free(HashTable *table) noexcept nogil:
    free(table.nodes)


cdef void place_node(HashTable *table, uint64_t *node) noexcept nogil:
    cdef uint64_t at = node[0] & table.mask
    while table.nodes[at] != NULL:
        at = (at + 1) & table.mask
    table.nodes[at] = node


cdef bint table_add(HashTable *table, void *node) noexcept nogil:
    """False: no memory. At most half full: probes stay short."""
    cdef uint64_t **old = table.nodes
    cdef uint32_t old_size = table.mask + 1
    cdef uint32_t i
    if (table.count + 1) * 2 > old_size:
        table.nodes = <uint64_t **>calloc(<size_t>old_size * 2, sizeof(uint64_t *))
        if table.nodes == NULL:
            table.nodes = old
            return False
        table.mask = old_size * 2 - 1
        for i in range(old_size):
            if old[i] != NULL:
                place_node(table, old[i])
        free(old)
    place_node(table, <uint64_t *>node)
    table.count += 1
    return True


cdef void table_remove(HashTable *table, void *node) noexcept nogil:
    """Close the hole by moving back what probed past it: no tombstones."""
    cdef uint64_t hole = (<uint64_t *>node)[0] & table.mask
    cdef uint64_t at, home
    while table.nodes[hole] != <uint64_t *>node:
        if table.nodes[hole] == NULL:
            return
        hole = (hole + 1) & table.mask
    at = (hole + 1) & table.mask
    while table.nodes[at] != NULL:
        home = table.nodes[at][0] & table.mask
        if ((at - home) & table.mask) >= ((at - hole) & table.mask):
            table.nodes[hole] = table.nodes[at]
            hole = at
        at = (at + 1) & table.mask
    table.nodes[hole] = NULL
    table.count -= 1


cdef void *table_find(const HashTable *table, uint64_t hash, uint64_t **cursor) noexcept nogil:
    """The next node with this hash, or NULL. cursor[0]: NULL at first, else the last answer."""
    cdef uint64_t at = hash & table.mask
    if cursor[0] != NULL:
        while table.nodes[at] != cursor[0]:
            at = (at + 1) & table.mask
        at = (at + 1) & table.mask
    while table.nodes[at] != NULL:
        if table.nodes[at][0] == hash:
            cursor[0] = table.nodes[at]
            return table.nodes[at]
        at = (at + 1) & table.mask
    return NULL


cdef inline uint64_t mix(uint64_t value) noexcept nogil:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014)."""
    value = (value ^ (value >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    value = (value ^ (value >> 27)) * <uint64_t>0x94D049BB133111EB
    return value ^ (value >> 31)


cdef uint64_t hash_address(const Address *address, uint64_t seed) noexcept nogil:
    cdef uint64_t value = mix(address.low ^ seed) ^ address.high ^ address.connection
    return mix(value ^ (<uint64_t>address.port << 48))


cdef uint64_t hash_bytes(const uint8_t *data, size_t length, uint64_t seed) noexcept nogil:
    """FNV-1a, mixed: the keys are ours, the seed keeps strangers from choosing collisions."""
    cdef uint64_t value = <uint64_t>0xCBF29CE484222325 ^ seed
    cdef size_t i
    for i in range(length):
        value = (value ^ data[i]) * <uint64_t>0x100000001B3
    return mix(value)
