# The last packets of a track, for subscribers that ask for one again.
#
# One ring of bytes: each packet as parsed and as received, decrypted, oldest overwritten
# first. An entry per number says where, or only that it arrived.

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset
from media.relay.state cimport CACHE_BYTES, CACHE_PACKETS, Cache, CacheEntry, Packet


cdef inline void cache_clear(Cache *cache) noexcept nogil:
    memset(cache.entries, 0, sizeof(cache.entries))


cdef inline bint cache_knows(const Cache *cache, int64_t sequence_ext) noexcept nogil:
    """Whether this number arrived, as far as is remembered."""
    return cache.entries[sequence_ext & (CACHE_PACKETS - 1)].sequence_ext == sequence_ext


cdef inline void cache_put(Cache *cache, const Packet *packet) noexcept nogil:
    """Note that the packet arrived, and keep it if it has a payload."""
    cdef CacheEntry *entry = &cache.entries[packet.sequence_ext & (CACHE_PACKETS - 1)]
    cdef size_t length = <size_t>packet.payload_at + packet.payload_length
    # Multiples of 8: every Packet is aligned.
    cdef size_t size = (sizeof(Packet) + length + 7) & ~<size_t>7
    cdef uint64_t at = cache.written & (CACHE_BYTES - 1)
    entry.sequence_ext = packet.sequence_ext
    entry.kept = packet.payload_length > 0
    if not entry.kept:
        return
    if at + size > CACHE_BYTES:
        cache.written += CACHE_BYTES - at
        at = 0
    entry.start = cache.written
    cache.written += size
    memcpy(&cache.data[at], packet, sizeof(Packet))
    memcpy(&cache.data[at + sizeof(Packet)], packet.data, length)


cdef inline Packet *cache_find(Cache *cache, int64_t sequence_ext) noexcept nogil:
    """The packet, good until the next cache_put; NULL: not kept, or overwritten."""
    cdef CacheEntry *entry = &cache.entries[sequence_ext & (CACHE_PACKETS - 1)]
    cdef Packet *packet
    if entry.sequence_ext != sequence_ext or not entry.kept:
        return NULL
    if cache.written - entry.start > CACHE_BYTES:
        return NULL
    packet = <Packet *>&cache.data[entry.start & (CACHE_BYTES - 1)]
    packet.data = <uint8_t *>packet + sizeof(Packet)
    return packet
