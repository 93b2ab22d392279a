# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Does a payload begin a keyframe? One function per codec.

This is all the relay reads of a payload, so that it can be replaced by a header extension
(the dependency descriptor says the same) where rooms are encrypted end to end.
"""

from libc.stdint cimport uint8_t, uint32_t
from media.relay.state cimport AV1, H264, VP8, VP9
from media.relay.wire cimport get16


cdef bint begins_keyframe(uint32_t family, const uint8_t *payload, size_t length) noexcept nogil:
    """payload: of one RTP packet, without padding. False too when it is malformed."""
    if family == VP8:
        return vp8(payload, length)
    if family == VP9:
        return vp9(payload, length)
    if family == AV1:
        return av1(payload, length)
    if family == H264:
        return h264(payload, length)
    return False


cdef bint vp8(const uint8_t *payload, size_t length) noexcept nogil:
    """The first partition of a frame whose P bit (0: key) is clear. Source: RFC 7741, 4.2, 4.3."""
    cdef size_t at = 1
    cdef uint8_t extensions
    if length < 1 or (payload[0] & 0x17) != 0x10:     # S set, partition index 0
        return False
    if payload[0] & 0x80:
        if length < 2:
            return False
        extensions = payload[1]
        at = 2
        if extensions & 0x80:
            if length < 3:
                return False
            at += 2 if payload[2] & 0x80 else 1       # picture id of 15 or 7 bits
        if extensions & 0x40:
            at += 1
        if extensions & 0x30:
            at += 1
    return at < length and (payload[at] & 0x01) == 0


cdef bint vp9(const uint8_t *payload, size_t length) noexcept nogil:
    """The start of a frame that is not predicted from another, in the lowest spatial layer.

    Source: RFC 9628, 4.2.
    """
    cdef size_t at = 1
    if length < 1 or (payload[0] & 0x48) != 0x08:     # B set, P clear
        return False
    if payload[0] & 0x80:
        if length < 2:
            return False
        at += 2 if payload[1] & 0x80 else 1
    if payload[0] & 0x20:
        if at >= length or (payload[at] & 0x0E) != 0:  # spatial layer id
            return False
        at += 1
    return at < length


cdef bint av1(const uint8_t *payload, size_t length) noexcept nogil:
    """N: the first packet of a coded video sequence. Source: RTP Payload Format For AV1, 4.4."""
    return length >= 2 and (payload[0] & 0x08) != 0


cdef bint h264(const uint8_t *payload, size_t length) noexcept nogil:
    """A sequence parameter set, or an IDR slice's beginning. Source: RFC 6184, 5.2 to 5.8."""
    cdef size_t at = 1
    cdef size_t unit
    cdef uint8_t kind
    if length < 2:
        return False
    kind = payload[0] & 0x1F
    if kind == 24:                                    # STAP-A
        while at + 2 < length:
            unit = get16(payload + at)
            if unit == 0 or at + 2 + unit > length:
                return False
            if is_h264_key_unit(payload[at + 2] & 0x1F):
                return True
            at += 2 + unit
        return False
    if kind == 28:                                    # FU-A; the S bit begins the unit
        return (payload[1] & 0x80) != 0 and is_h264_key_unit(payload[1] & 0x1F)
    return is_h264_key_unit(kind)


cdef inline bint is_h264_key_unit(uint8_t kind) noexcept nogil:
    return kind == 5 or kind == 7
