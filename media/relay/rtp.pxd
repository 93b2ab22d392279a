# RTP packets: find the parts of one, write one anew for a subscriber.

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from media.relay.state cimport Packet, Subscription

cdef bint parse_rtp(Packet *packet, size_t length, const uint8_t *extension_names) noexcept nogil
cdef size_t write_rtp(
    uint8_t *out,
    const Packet *packet,
    const Subscription *subscription,
    uint8_t payload_type,
    uint16_t sequence,
    uint32_t timestamp,
    uint32_t send_time,
) noexcept nogil
cdef size_t write_rtx(
    uint8_t *out,
    const Packet *packet,
    const Subscription *subscription,
    uint16_t original,
    uint32_t timestamp,
    uint32_t send_time,
) noexcept nogil
cdef size_t write_padding(
    uint8_t *out, const Subscription *subscription, uint8_t payload_type, uint32_t send_time
) noexcept nogil
cdef bint unwrap_rtx(Packet *packet, uint8_t payload_type, uint32_t ssrc) noexcept nogil
