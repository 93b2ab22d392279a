# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Transport-wide congestion control: note arrivals, write feedback.

One log per uplink peer, whose state is all in it; no clock and no socket here.
Source: draft-holmer-rmcat-transport-wide-cc-extensions-01, 3.1.
"""

from libc.stdint cimport int16_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memset
from media.relay.state cimport FEEDBACK_SPAN, FeedbackLog
from media.relay.wire cimport put16, put24, put32

cdef enum:
    TICK_US = 250                   # of a receive delta
    REFERENCE_TICKS = 256           # 64 ms, the reference time's unit
    # Numbers in one message: with 2-byte deltas and 2-bit symbols it is 1,190 bytes.
    STATUSES_MAX = 512
    # How far a packet may come late and still be reported as received after all.
    LATE_MAX = 512
    HEADER = 20
    NOT_RECEIVED = 0
    SMALL_DELTA = 1
    LARGE_DELTA = 2
    RUN_LENGTH_MIN = 14             # a shorter run is no longer as a vector
    ONE_BIT_SYMBOLS = 14
    TWO_BIT_SYMBOLS = 7


cdef inline int64_t *arrival(FeedbackLog *log, int64_t number) noexcept nogil:
    return &log.arrivals_us[number & (FEEDBACK_SPAN - 1)]


cdef void feedback_note(FeedbackLog *log, uint16_t number, int64_t now_us) noexcept nogil:
    """Packet `number` (16 bits, wraps) arrived at now_us (> 0)."""
    cdef int64_t extended, i
    if not log.begun:
        log.begun = True
        # Room below: the first packets may come out of order.
        log.base = log.highest = 65536 + number
        arrival(log, log.base)[0] = now_us
        log.unreported += 1
        return
    extended = log.highest + <int16_t><uint16_t>(number - <uint16_t>log.highest)
    if extended > log.highest:
        if extended - log.highest >= FEEDBACK_SPAN:
            memset(log.arrivals_us, 0, sizeof(log.arrivals_us))
            log.base = extended
        for i in range(max(log.highest + 1, extended - FEEDBACK_SPAN + 1), extended):
            arrival(log, i)[0] = 0
        log.highest = extended
        # What no longer fits is never reported; the sender takes it for lost feedback.
        log.base = max(log.base, extended - FEEDBACK_SPAN + 1)
    elif extended + LATE_MAX <= log.highest:
        return
    elif extended < log.base:
        log.base = extended         # reported as lost before: cover it again
    arrival(log, extended)[0] = now_us
    log.unreported += 1


cdef bint feedback_waits(const FeedbackLog *log) noexcept nogil:
    return log.begun and log.base <= log.highest


cdef size_t feedback_write(FeedbackLog *log, uint8_t *out, uint32_t sender_ssrc) noexcept nogil:
    """Write one RTCP feedback message of at most 1,200 bytes; returns its length, 0: nothing left.

    Covers the next numbers, up to STATUSES_MAX of them; call until feedback_waits is false.
    """
    cdef uint8_t symbols[STATUSES_MAX]
    cdef int16_t deltas[STATUSES_MAX]
    cdef int count = 0
    cdef int delta_count = 0
    cdef int i
    cdef int64_t number, received_us, reference
    cdef int64_t before = 0
    cdef int64_t delta
    cdef size_t at = HEADER
    cdef size_t padding
    # A message begins with a received packet: its arrival is the reference time.
    while log.base <= log.highest and arrival(log, log.base)[0] == 0:
        log.base += 1
    if not feedback_waits(log):
        return 0
    reference = arrival(log, log.base)[0] // (TICK_US * REFERENCE_TICKS)
    before = reference * REFERENCE_TICKS
    number = log.base
    while number <= log.highest and count < STATUSES_MAX:
        received_us = arrival(log, number)[0]
        if received_us == 0:
            symbols[count] = NOT_RECEIVED
        else:
            delta = received_us // TICK_US - before
            if delta < -32768 or delta > 32767:
                break               # the next message has a reference time of its own
            symbols[count] = SMALL_DELTA if 0 <= delta <= 255 else LARGE_DELTA
            deltas[delta_count] = <int16_t>delta
            delta_count += 1
            before += delta
        count += 1
        number += 1
    out[0] = 0x80 | 15              # FMT 15: transport-wide feedback
    out[1] = 205                    # RTPFB (RFC 4585, 6.1)
    put32(out + 4, sender_ssrc)
    put32(out + 8, log.media_ssrc)
    put16(out + 12, <uint32_t>log.base & 0xFFFF)
    put16(out + 14, count)
    put24(out + 16, <uint32_t>reference & 0xFFFFFF)
    out[19] = log.feedback_count
    at += write_chunks(out + at, symbols, count)
    for i in range(delta_count):
        if 0 <= deltas[i] <= 255:
            out[at] = <uint8_t>deltas[i]
            at += 1
        else:
            put16(out + at, <uint16_t>deltas[i])
            at += 2
    padding = (4 - (at & 3)) & 3
    if padding:
        out[0] |= 0x20
        memset(out + at, 0, padding)
        at += padding
        out[at - 1] = <uint8_t>padding
    put16(out + 2, <uint32_t>(at // 4 - 1))
    log.feedback_count += 1
    log.base = number
    if not feedback_waits(log):
        log.unreported = 0
    return at


cdef size_t write_chunks(uint8_t *out, const uint8_t *symbols, int count) noexcept nogil:
    """Packet status chunks for `count` symbols; returns their length in bytes."""
    cdef size_t at = 0
    cdef int i = 0
    cdef int same, taken, j
    cdef uint32_t chunk
    cdef bint large
    while i < count:
        same = 1
        while i + same < count and symbols[i + same] == symbols[i]:
            same += 1
        if same >= RUN_LENGTH_MIN:
            put16(out + at, (<uint32_t>symbols[i] << 13) | <uint32_t>same)
            at += 2
            i += same
            continue
        taken = min(ONE_BIT_SYMBOLS, count - i)
        large = False
        for j in range(taken):
            large = large or symbols[i + j] == LARGE_DELTA
        if large:
            taken = min(TWO_BIT_SYMBOLS, count - i)
        chunk = 0xC000 if large else 0x8000
        for j in range(taken):
            if large:
                chunk |= <uint32_t>symbols[i + j] << (12 - 2 * j)
            else:
                chunk |= <uint32_t>symbols[i + j] << (13 - j)
        put16(out + at, chunk)
        at += 2
        i += taken
    return at
