"""One RTP packet of the load: header, extensions, a payload that looks like its codec, a stamp.

Only what a relay reads is real: MID and transport-wide sequence number, the VP8 descriptor
and frame tag, enough to find a keyframe. The last 16 bytes of a payload are the stamp, which
survives a relay that rewrites the header or the picture id.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy
from media.relay.wire cimport put16, put32

cdef enum:
    HEADER_BYTES = 12
    STAMP_BYTES = 16
    STAMP_MAGIC = 0x504D5550
    # Header, extension block of at most 24 bytes, VP8 descriptor and keyframe tag, stamp.
    LEAST_PACKET_BYTES = 72
    MOST_MID_BYTES = 16


cdef struct Stamp:
    uint32_t magic
    uint32_t flow
    uint64_t sent_ns


cdef inline uint32_t timestamp_at(uint64_t now_ns, uint32_t clock_khz) noexcept nogil:
    """Every flow's clock is the monotonic one."""
    return <uint32_t>(now_ns * clock_khz // 1_000_000)


cdef inline int write_header(
    uint8_t *packet, bint marker, uint8_t payload_type, uint16_t seq16, uint32_t timestamp,
    uint32_t ssrc,
) noexcept nogil:
    """The fixed header with X set; returns its length.  Source: RFC 3550, 5.1."""
    packet[0] = 0x90
    packet[1] = payload_type | (0x80 if marker else 0)
    put16(packet + 2, seq16)
    put32(packet + 4, timestamp)
    put32(packet + 8, ssrc)
    return HEADER_BYTES


cdef inline int write_extensions(
    uint8_t *at, uint8_t mid_id, const uint8_t *mid, int mid_bytes, uint8_t twcc_id,
    uint16_t transport_seq16,
) noexcept nogil:
    """One-byte extensions; an id of 0 leaves one out. Returns the length.

    Source: RFC 8285, 4.2; RFC 8843, 15; draft-holmer-rmcat-transport-wide-cc-extensions-01, 2.
    """
    cdef int used = 4
    if twcc_id:
        at[used] = <uint8_t>(twcc_id << 4) | 1
        put16(at + used + 1, transport_seq16)
        used += 3
    if mid_id:
        at[used] = <uint8_t>(mid_id << 4) | <uint8_t>(mid_bytes - 1)
        memcpy(at + used + 1, mid, mid_bytes)
        used += 1 + mid_bytes
    while used & 3:
        at[used] = 0
        used += 1
    put16(at, 0xBEDE)
    put16(at + 2, <uint16_t>(used // 4 - 1))
    return used


cdef inline void write_vp8(
    uint8_t *payload, bint first, bint keyframe, uint16_t picture_id15
) noexcept nogil:
    """Descriptor with a 15-bit picture id, then a frame tag.  Source: RFC 7741, 4.2 and 4.3."""
    payload[0] = 0x90 if first else 0x80
    payload[1] = 0x80
    put16(payload + 2, picture_id15 | 0x8000)
    if first:
        payload[4] = 0x10 | (0 if keyframe else 1)
        payload[5] = payload[6] = 0
        if keyframe:
            # Start code, then 640 by 480.
            payload[7] = 0x9D
            payload[8] = 0x01
            payload[9] = 0x2A
            payload[10] = 0x80
            payload[11] = 0x02
            payload[12] = 0xE0
            payload[13] = 0x01


cdef inline void write_stamp(uint8_t *end, uint32_t flow, uint64_t sent_ns) noexcept nogil:
    cdef Stamp stamp
    stamp.magic = STAMP_MAGIC
    stamp.flow = flow
    stamp.sent_ns = sent_ns
    memcpy(end - STAMP_BYTES, &stamp, STAMP_BYTES)


cdef inline bint read_stamp(const uint8_t *end, Stamp *stamp) noexcept nogil:
    memcpy(stamp, end - STAMP_BYTES, STAMP_BYTES)
    return stamp.magic == STAMP_MAGIC
