"""One RTP packet of the load: header, extensions, payload, a stamp.

A payload ends with the stamp where its decoder reads on no more: behind a VP8 frame, whose last
partition ends where it likes, and in the padding of an Opus packet. So it survives a relay that
rewrites header, picture id or padding, and browsers show and play what they get.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from media.relay.wire cimport put16, put32

cdef enum:
    HEADER_BYTES = 12
    STAMP_BYTES = 16
    STAMP_MAGIC = 0x504D5550
    DESCRIPTOR_BYTES = 4
    MOST_EXTENSION_BYTES = 24
    # So that the longest picture of the recording is within one batch of packets.
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


cdef inline int write_vp8_descriptor(
    uint8_t *payload, bint first, uint16_t picture_id15
) noexcept nogil:
    """With a 15-bit picture id; returns its length.  Source: RFC 7741, 4.2."""
    payload[0] = 0x90 if first else 0x80
    payload[1] = 0x80
    put16(payload + 2, picture_id15 | 0x8000)
    return DESCRIPTOR_BYTES


cdef inline int write_opus(
    uint8_t *payload, const uint8_t *frame, int frame_bytes, int payload_bytes
) noexcept nogil:
    """An Opus packet with padding, where the stamp finds room; returns its length.

    frame: one of code 0. payload_bytes: what padding fills up to, as far as the stamp allows.
    Source: RFC 6716, 3.2.5 (code 3: one frame, constant, padded; 255 stands for 254 and more).
    """
    # With the bytes that tell how much it is.
    cdef int padding = max(payload_bytes - frame_bytes - 1, STAMP_BYTES + 1)
    cdef int length = frame_bytes + 1 + padding
    cdef int at = 2
    payload[0] = frame[0] | 3
    payload[1] = 0x41
    while padding > 255:
        payload[at] = 255
        at += 1
        padding -= 255
    payload[at] = <uint8_t>(padding - 1)
    at += 1
    memcpy(payload + at, frame + 1, frame_bytes - 1)
    at += frame_bytes - 1
    memset(payload + at, 0, length - at)
    return length


cdef inline void write_stamp(uint8_t *end, uint32_t flow, uint64_t sent_ns) noexcept nogil:
    cdef Stamp stamp
    stamp.magic = STAMP_MAGIC
    stamp.flow = flow
    stamp.sent_ns = sent_ns
    memcpy(end - STAMP_BYTES, &stamp, STAMP_BYTES)


cdef inline bint read_stamp(const uint8_t *end, Stamp *stamp) noexcept nogil:
    memcpy(stamp, end - STAMP_BYTES, STAMP_BYTES)
    return stamp.magic == STAMP_MAGIC
