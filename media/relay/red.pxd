# RED: a packet of sound that holds earlier ones again, before its own. Source: RFC 2198, 3.
#
# Forwarded as it is to who takes it; others get its own block alone, which has the packet's
# number and timestamp. Blocks are listed first: four bytes for each earlier one, one for the
# packet's own, whose length is what is left.

from libc.stdint cimport uint8_t, uint16_t
from media.relay.state cimport NO_FAMILY, Negotiated, Packet, RED
from media.relay.wire cimport get16

cdef enum:
    EARLIER = 0x80
    LENGTH = 0x3FF


cdef inline bint red_describe(Packet *packet, const Negotiated *negotiated) noexcept nogil:
    """Find a RED packet's own block; False: malformed, or of a codec that was not agreed on."""
    cdef const uint8_t *payload = packet.data + packet.payload_at
    cdef size_t length = packet.payload_length
    cdef size_t at = 0
    cdef size_t earlier = 0
    while at < length and payload[at] & EARLIER:
        if at + 4 > length:
            return False
        earlier += get16(payload + at + 2) & LENGTH
        at += 4
    # An own block has at least one byte: what has none is padding elsewhere.
    if at + 1 + earlier >= length:
        return False
    packet.own_at = <uint16_t>(at + 1 + earlier)
    packet.own_codec = negotiated.codecs[payload[at]]
    return packet.own_codec.family != NO_FAMILY and packet.own_codec.family != RED


cdef inline Packet red_unwrap(const Packet *packet) noexcept nogil:
    """The packet with its own block alone."""
    cdef Packet own = packet[0]
    own.payload_at += packet.own_at
    own.payload_length -= packet.own_at
    own.codec = packet.own_codec
    return own
