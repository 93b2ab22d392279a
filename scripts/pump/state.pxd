"""All that the pump's thread works on. Python objects own the peers and flows (engine.pyx)."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from media.relay.locks cimport Turnstile
from media.relay.reception cimport Reception
from media.relay.state cimport FeedbackLog
from scripts.pump cimport linux, wire

ctypedef int (*Crypt)(void *session, void *packet, int *length) noexcept nogil

cdef enum:
    BATCH = 64
    SLOT_BYTES = 2048
    MOST_BURST = 16
    BUCKETS = 768
    # Of one peer: sound, picture and retransmissions of 20 others.
    MOST_SOURCES = 64
    PAYLOAD_TYPES = 128

cdef enum Kind:
    AUDIO = 0
    VIDEO = 1


# A picture or 20 ms of sound, encoded; and all there is of one kind.
cdef struct Frame:
    const uint8_t *data
    int length


cdef struct Clip:
    Frame *frames
    uint32_t count


# One SSRC that a peer receives.
cdef struct Source:
    uint32_t ssrc
    uint32_t clock_khz              # 0: no media, but RTX
    Reception reception
    # The last sender report: the middle of its NTP time, and when it came; 0: none.
    uint32_t report_ntp_middle
    uint64_t reported_ns


cdef struct Peer:
    int fd
    void *seal
    void *open
    Flow *flows
    uint16_t transport_seq
    uint32_t others                 # who get a copy of what it sends
    uint64_t received
    uint64_t to_check
    uint64_t first_media_ns         # 0: nothing yet
    # What it tells the server.
    uint8_t twcc_id                 # 0: no transport-wide feedback
    bint tells_reception
    uint32_t clocks_khz[PAYLOAD_TYPES]
    FeedbackLog feedback
    Source sources[MOST_SOURCES]
    int source_count
    uint32_t turns                  # reports made


cdef struct Flow:
    Peer *peer
    Flow *next                      # of the same peer
    uint32_t number                 # in stamps
    Kind kind
    uint32_t clock_khz
    uint32_t ssrc
    uint8_t payload_type
    uint8_t mid[wire.MOST_MID_BYTES]
    int mid_bytes
    uint8_t mid_id
    uint8_t twcc_id
    int burst
    int packet_bytes
    double packets_per_second
    uint16_t seq
    uint16_t picture_id
    const Clip *clip
    uint32_t frame                  # of the clip, the next one
    bint keyframe_due
    bint paused
    uint64_t sent
    uint64_t sent_bytes
    uint64_t due_ns
    uint64_t period_ns


cdef struct Batch:
    uint8_t buffers[BATCH][SLOT_BYTES]
    linux.iovec vectors[BATCH]
    linux.mmsghdr messages[BATCH]


cdef struct Engine:
    # Held by whoever looks at anything but counters, `running` aside.
    Turnstile lock
    int epoll
    Peer **peers
    uint32_t peer_count
    uint32_t reporting              # whose turn to report it is
    uint64_t report_ns              # when
    Flow **heap                     # of the flows that send, the one due first on top
    uint32_t heap_count
    double scale                    # of every flow's own pace
    double phase                    # of the next flow's first turn, in its period
    uint64_t elapsed_ns             # on the schedule
    bint running
    bint flat_out
    uint32_t check_every
    Crypt protect
    Crypt unprotect
    Crypt protect_rtcp
    Crypt unprotect_rtcp
    uint64_t sent
    uint64_t unsent
    uint64_t expected
    uint64_t received
    uint64_t received_bytes
    int64_t missing
    uint64_t repeats
    uint64_t authenticated
    uint64_t refused
    uint64_t rtcp
    uint64_t rtcp_refused
    uint64_t reports
    uint64_t other
    uint64_t keyframes
    uint64_t slipped_ns
    uint64_t delays[BUCKETS]
    Clip pictures
    Clip sounds
    uint8_t report[SLOT_BYTES]
    Batch outgoing
    Batch incoming
