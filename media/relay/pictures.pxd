# The picture numbers that a subscriber sees: one after the other, whatever feeds it.
#
# VP8 and VP9 number their pictures in the payload descriptor (picture id, 7 or 15 bits), VP8 and
# some VP9 those of the base layer, too (TL0PICIDX, 8 bits); AV1 numbers its frames in the
# dependency descriptor (16 bits). A decoder that sees them jump back waits, or freezes. They are
# shifted in the copy that goes out by what another source, or a pause, made them jump; within one
# stretch they keep their distances, by which frames refer to each other.
# Sources: RFC 7741, 4.2; RFC 9628, 4.2; RTP Payload Format For AV1, A.8.1.

from libc.stdint cimport uint8_t, uint16_t
from libc.string cimport memcpy
from media.relay.state cimport AV1, DEPENDENCY_DESCRIPTOR, Packet, Pictures
from media.relay.wire cimport get16, put16

cdef enum:
    WIDE = 0x8000                   # the M bit: 15 bits follow, else 7


cdef inline uint16_t picture_id(const uint8_t *field) noexcept nogil:
    return get16(field) & 0x7FFF if field[0] & 0x80 else field[0]


cdef inline bint is_described(const Packet *packet) noexcept nogil:
    """Whether the packet's dependency descriptor goes out with it."""
    return packet.codec.family == AV1 and packet.field_length[DEPENDENCY_DESCRIPTOR] >= 3


cdef inline uint16_t frame_number(const Packet *packet) noexcept nogil:
    """It is described."""
    return get16(packet.data + packet.field_at[DEPENDENCY_DESCRIPTOR] + 1)


cdef inline void pictures_restart(Pictures *pictures, const Packet *packet) noexcept nogil:
    """Go on with this packet at the last picture + 1."""
    cdef const uint8_t *payload = packet.data + packet.payload_at
    if packet.picture_at and pictures.numbered:
        pictures.shift = pictures.last + 1 - picture_id(payload + packet.picture_at)
    if packet.base_at and pictures.base_numbered:
        pictures.base_shift = pictures.base_last + 1 - payload[packet.base_at]
    if is_described(packet) and pictures.frame_numbered:
        pictures.frame_shift = pictures.frame_last + 1 - frame_number(packet)


cdef inline void pictures_write(
    const Pictures *pictures, uint8_t *payload, const Packet *packet
) noexcept nogil:
    """Renumber the packet's copy, whose payload this is."""
    cdef uint8_t *field = payload + packet.picture_at
    cdef uint16_t number
    if packet.picture_at:
        number = picture_id(field) + pictures.shift
        if field[0] & 0x80:
            put16(field, WIDE | number)
        else:
            field[0] = number & 0x7F
    if packet.base_at:
        payload[packet.base_at] += pictures.base_shift


cdef inline uint8_t pictures_describe(
    const Pictures *pictures, uint8_t *into, const Packet *packet
) noexcept nogil:
    """Write the packet's dependency descriptor, renumbered; its length, 0 where none goes out."""
    if not is_described(packet):
        return 0
    memcpy(
        into,
        packet.data + packet.field_at[DEPENDENCY_DESCRIPTOR],
        packet.field_length[DEPENDENCY_DESCRIPTOR],
    )
    put16(into + 1, <uint16_t>(frame_number(packet) + pictures.frame_shift))
    return packet.field_length[DEPENDENCY_DESCRIPTOR]


cdef inline void pictures_note(Pictures *pictures, const Packet *packet) noexcept nogil:
    """This packet is the newest that the subscriber got."""
    cdef const uint8_t *payload = packet.data + packet.payload_at
    if packet.picture_at:
        pictures.numbered = True
        pictures.last = picture_id(payload + packet.picture_at) + pictures.shift
    if packet.base_at:
        pictures.base_numbered = True
        pictures.base_last = payload[packet.base_at] + pictures.base_shift
    if is_described(packet):
        pictures.frame_numbered = True
        pictures.frame_last = frame_number(packet) + pictures.frame_shift
