# Datagrams on their way up to Python: one producer (the relay thread), one consumer.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from media.relay.linux cimport atomic_read_u32, atomic_write_u32

cdef enum:
    RING_SLOTS = 256
    # A STUN request or a DTLS record is one unfragmented datagram.
    RING_DATAGRAM_MAX = 1500

cdef struct Slot:
    int kind
    uint64_t peer
    uint64_t address_high
    uint64_t address_low
    uint64_t connection
    uint16_t port
    uint16_t length
    uint8_t data[RING_DATAGRAM_MAX]

cdef struct Ring:
    uint32_t head                   # atomic, written by the producer
    uint32_t tail                   # atomic, written by the consumer
    Slot *slots


cdef inline Slot *ring_free_slot(Ring *ring) noexcept nogil:
    """The slot to fill, then ring_push; NULL when the ring is full."""
    if ring.head - atomic_read_u32(&ring.tail) >= RING_SLOTS:
        return NULL
    return &ring.slots[ring.head & (RING_SLOTS - 1)]


cdef inline void ring_push(Ring *ring) noexcept nogil:
    atomic_write_u32(&ring.head, ring.head + 1)


cdef inline Slot *ring_oldest(Ring *ring) noexcept nogil:
    """The slot to read, then ring_pop; NULL when the ring is empty."""
    if ring.tail == atomic_read_u32(&ring.head):
        return NULL
    return &ring.slots[ring.tail & (RING_SLOTS - 1)]


cdef inline void ring_pop(Ring *ring) noexcept nogil:
    atomic_write_u32(&ring.tail, ring.tail + 1)
