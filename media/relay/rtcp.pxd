# RTCP: what a peer's packets mean, and the packets that the relay writes.

from libc.stdint cimport int64_t, uint8_t, uint32_t
from media.relay.state cimport Peer, Shard, Stream, Subscription

cdef enum:
    # The sender of what the relay itself says, as libwebrtc's receive-only side uses.
    RELAY_SSRC = 1
    REPORT_BLOCKS_MAX = 31          # RC is five bits

cdef Stream *read_rtcp(
    Shard *shard, Peer *peer, const uint8_t *data, size_t length
) noexcept nogil
cdef size_t write_sender_report(
    uint8_t *out, const Subscription *subscription, const Stream *stream
) noexcept nogil
cdef size_t write_receiver_report(uint8_t *out, Peer *peer, int64_t now_us) noexcept nogil
cdef size_t write_remb(
    uint8_t *out, int64_t bits_a_second, uint32_t media_ssrc
) noexcept nogil
cdef size_t write_pli(uint8_t *out, uint32_t media_ssrc) noexcept nogil
cdef size_t write_nack(
    uint8_t *out, uint32_t media_ssrc, const int64_t *numbers, int count
) noexcept nogil
