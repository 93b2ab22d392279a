# Transport-wide feedback about what a peer was sent.

from libc.stdint cimport uint8_t
from media.relay.state cimport History

cdef bint read_transport_feedback(
    History *history, const uint8_t *data, size_t length
) noexcept nogil
