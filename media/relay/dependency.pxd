# The dependency descriptor: which layer a packet is of, and where its stream may be entered.

from media.relay.state cimport Packet, Stream

cdef bint read_dependency(Stream *stream, Packet *packet) noexcept nogil
