"""What a peer tells the server of what it receives and sends, as a browser does."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from scripts.pump.state cimport Engine, Peer

cdef bint note_packet(
    Peer *peer, const uint8_t *packet, int length, uint64_t now_ns, int64_t *missing
) noexcept nogil
cdef void note_sender_report(Peer *peer, const uint8_t *report, uint64_t now_ns) noexcept nogil
cdef void report(Engine *engine, Peer *peer, uint64_t now_ns) noexcept nogil
