# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What a video packet is: its layer, its place in its frame, its picture numbers, a keyframe?

From the dependency descriptor where there is one, else from the payload descriptor and the
payload; picture numbers are in the payload descriptor alone. That is the packetizer's: rooms
that are encrypted end to end leave it readable. A malformed one tells nothing, and the packet
goes on as it is: decoders are strict. One function per codec.
"""

from libc.stdint cimport uint8_t
from media.relay.dependency cimport read_dependency
from media.relay.keyframe cimport begins_keyframe
from media.relay.state cimport AV1, DEPENDENCY_DESCRIPTOR, Packet, Stream, VP8, VP9


cdef void describe(Stream *stream, Packet *packet) noexcept nogil:
    """Fill in what state.Packet has of video."""
    cdef const uint8_t *payload = packet.data + packet.payload_at
    packet.keyframe = packet.begins_frame = packet.ends_frame = packet.switches = False
    packet.picture_at = packet.base_at = packet.spatial = packet.temporal = 0
    if packet.codec.family == VP8:
        vp8(packet, payload, packet.payload_length)
    elif packet.codec.family == VP9:
        vp9(packet, payload, packet.payload_length)
    if packet.field_length[DEPENDENCY_DESCRIPTOR] == 0 or not read_dependency(stream, packet):
        # Whoever sends one sends it always: what says nothing is late, and no place to begin.
        packet.keyframe = stream.dependencies.template_count == 0 and begins_keyframe(
            packet.codec.family, payload, packet.payload_length
        )
    if packet.codec.family != VP9 and packet.codec.family != AV1:
        # Left out, they would be missed: VP8 counts its pictures, H264 its frames.
        packet.spatial = packet.temporal = 0


cdef inline size_t picture_length(const uint8_t *field) noexcept nogil:
    return 2 if field[0] & 0x80 else 1


cdef void vp8(Packet *packet, const uint8_t *payload, size_t length) noexcept nogil:
    """Source: RFC 7741, 4.2."""
    cdef size_t at = 2
    cdef size_t end
    # Behind the descriptor comes at least one byte of a picture.
    if length < 3 or not payload[0] & 0x80:
        return
    if payload[1] & 0x80:
        at += picture_length(payload + at)
    end = at + (1 if payload[1] & 0x40 else 0) + (1 if payload[1] & 0x30 else 0)
    if end >= length:
        return
    if payload[1] & 0x80:
        packet.picture_at = 2
    if payload[1] & 0x40:
        packet.base_at = <uint8_t>at


cdef void vp9(Packet *packet, const uint8_t *payload, size_t length) noexcept nogil:
    """Source: RFC 9628, 4.2."""
    cdef size_t at = 1
    cdef uint8_t layer = 0
    cdef bint flexible, layered
    if length < 2:
        return
    flexible = payload[0] & 0x10 != 0
    layered = payload[0] & 0x20 != 0
    if payload[0] & 0x80:
        at += picture_length(payload + at)
    if layered:
        if at >= length:
            return
        layer = payload[at]
        at += 1 if flexible else 2          # flexible mode has no TL0PICIDX
    if at >= length:
        return
    if payload[0] & 0x80:
        packet.picture_at = 1
    if layered and not flexible:
        packet.base_at = <uint8_t>(at - 1)
    packet.begins_frame = payload[0] & 0x08 != 0
    packet.ends_frame = payload[0] & 0x04 != 0
    packet.temporal = layer >> 5
    packet.spatial = layer >> 1 & 7
    packet.switches = packet.begins_frame and layer & 0x10 != 0
