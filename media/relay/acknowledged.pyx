# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Transport-wide feedback about what a peer was sent: what arrived, how fast, how late.

Only sums are kept here; what they mean for the peer's rate is media/bandwidth.py's business.
Source: draft-holmer-rmcat-transport-wide-cc-extensions-01, 3.1.
"""

from libc.stdint cimport int16_t, int64_t, uint8_t, uint16_t, uint32_t
from media.relay.history cimport HISTORY_FIRST, history_entry
from media.relay.state cimport HISTORY_SPAN, History, LOST, Probe, RECEIVED, Sent
from media.relay.wire cimport get16, get32

cdef enum:
    TICK_US = 250                   # of a receive delta
    REFERENCE_US = 64000
    NOT_RECEIVED = 0
    SMALL_DELTA = 1
    LARGE_DELTA = 2
    # Later than this against the first packet is a clock that was set, or a lie.
    DELAY_MAX_US = 60000000


cdef bint read_transport_feedback(
    History *history, const uint8_t *data, size_t length
) noexcept nogil:
    """data: one message from its base sequence number on. False: malformed.

    What a malformed one says before its fault holds.
    """
    cdef int count, taken, i
    cdef int covered = 0
    cdef size_t chunk_at = 8
    cdef size_t delta_at = 8
    cdef uint32_t chunk, symbol
    cdef int64_t number, arrival_us
    cdef int64_t before_us = history.last_arrival_us
    cdef int64_t first_us = 0
    cdef int64_t last_us = 0
    cdef bint contiguous
    if length < 8:
        return False
    count = get16(data + 2)
    # More than is remembered: nobody's, and long work for few bytes.
    if count == 0 or count > HISTORY_SPAN:
        return False
    while covered < count:
        if delta_at + 2 > length:
            return False
        covered += symbols_of(get16(data + delta_at))
        delta_at += 2
    number = history.next - 1
    number += <int16_t><uint16_t>(get16(data) - <uint16_t>number)
    contiguous = number <= history.reported
    arrival_us = REFERENCE_US * follow_reference(history, get32(data + 4) >> 8)
    covered = 0
    while covered < count:
        chunk = get16(data + chunk_at)
        chunk_at += 2
        taken = min(symbols_of(chunk), count - covered)
        covered += taken
        for i in range(taken):
            symbol = symbol_of(chunk, i)
            if symbol == NOT_RECEIVED:
                note_lost(history, number)
            elif symbol == SMALL_DELTA and delta_at + 1 <= length:
                arrival_us += TICK_US * data[delta_at]
                delta_at += 1
            elif symbol == LARGE_DELTA and delta_at + 2 <= length:
                arrival_us += TICK_US * <int16_t>get16(data + delta_at)
                delta_at += 2
            else:
                return False
            if symbol != NOT_RECEIVED and note_arrival(history, number, arrival_us):
                first_us = min(first_us, arrival_us) if first_us else arrival_us
                last_us = max(last_us, arrival_us)
            number += 1
    if last_us:
        # After a message that was lost, the packets it told of are in no sum: nor is their time.
        history.arrival_us += max(
            last_us - (before_us if contiguous and before_us else first_us), <int64_t>0
        )
        history.last_arrival_us = last_us
    history.reported = max(history.reported, min(number, history.next))
    history.feedbacks += 1
    conclude_probe(history)
    return True


cdef inline int symbols_of(uint32_t chunk) noexcept nogil:
    """How many packets a chunk tells of: a run, or a vector of one or two bits each."""
    if not chunk & 0x8000:
        return chunk & 0x1FFF
    return 7 if chunk & 0x4000 else 14


cdef inline uint32_t symbol_of(uint32_t chunk, int index) noexcept nogil:
    if not chunk & 0x8000:
        return (chunk >> 13) & 3
    if chunk & 0x4000:
        return (chunk >> (12 - 2 * index)) & 3
    return (chunk >> (13 - index)) & 1


cdef int64_t follow_reference(History *history, uint32_t reference24) noexcept nogil:
    """The reference time without its wrap (every 12 days)."""
    cdef uint32_t step24
    if not history.heard:
        # One cycle up: it may step back, and time 0 means none.
        history.reference = (<int64_t>1 << 24) + reference24
        history.heard = True
        return history.reference
    step24 = (reference24 - <uint32_t>history.reference) & 0xFFFFFF
    history.reference += step24 if step24 < 0x800000 else <int64_t>step24 - 0x1000000
    return history.reference


cdef inline bint is_known(const History *history, int64_t number) noexcept nogil:
    return HISTORY_FIRST <= number < history.next and number >= history.next - HISTORY_SPAN


cdef void note_lost(History *history, int64_t number) noexcept nogil:
    """It may still come: it is told of again then."""
    cdef Sent *sent
    if is_known(history, number):
        sent = history_entry(history, number)
        if sent.fate != RECEIVED and sent.fate != LOST:
            sent.fate = LOST
            history.lost_packets += 1


cdef bint note_arrival(History *history, int64_t number, int64_t arrival_us) noexcept nogil:
    """False: told before, or nothing that was sent."""
    cdef Sent *sent
    cdef int64_t delay_us
    if not is_known(history, number):
        return False
    sent = history_entry(history, number)
    if sent.fate == RECEIVED:
        return False
    if sent.fate == LOST:
        history.lost_packets -= 1
    sent.fate = RECEIVED
    delay_us = arrival_us - sent.sent_us
    if history.arrived_packets == 0:
        history.delay_origin_us = delay_us
    delay_us -= history.delay_origin_us
    history.delay_us += min(max(delay_us, <int64_t>-DELAY_MAX_US), <int64_t>DELAY_MAX_US)
    history.arrived_packets += 1
    history.arrived_bytes += sent.length
    if history.probe.begun_us and history.probe.first <= number <= history.probe.last:
        note_probe_arrival(&history.probe, sent, arrival_us)
    return True


cdef void note_probe_arrival(Probe *probe, const Sent *sent, int64_t arrival_us) noexcept nogil:
    if probe.first_arrival_us == 0 or arrival_us < probe.first_arrival_us:
        probe.first_arrival_us = arrival_us
        probe.first_length = sent.length
    probe.last_arrival_us = max(probe.last_arrival_us, arrival_us)
    probe.arrived_bytes += sent.length


cdef void conclude_probe(History *history) noexcept nogil:
    """Once feedback has covered the whole cluster: the rate at which it arrived."""
    cdef Probe *probe = &history.probe
    cdef int64_t took_us
    if probe.begun_us == 0 or probe.due_us or history.reported <= probe.last:
        return
    probe.begun_us = 0
    # Between the first arrival and the last came all but the first.
    took_us = max(probe.last_arrival_us - probe.first_arrival_us, <int64_t>1000)
    history.probe_bits_a_second = (
        <int64_t>(probe.arrived_bytes - probe.first_length) * 8000000 // took_us
    )
    history.probes += 1
