# Transport-wide congestion control feedback.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from media.relay.state cimport FeedbackLog

cdef void feedback_note(FeedbackLog *log, uint16_t number, int64_t now_us) noexcept nogil
cdef bint feedback_waits(const FeedbackLog *log) noexcept nogil
cdef size_t feedback_write(FeedbackLog *log, uint8_t *out, uint32_t sender_ssrc) noexcept nogil
