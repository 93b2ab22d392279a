# The place of each packet in the one continuous sequence that a subscriber sees.
#
# out = in - shift, where the shift grows by one for each packet that is left out, so that
# what is left out leaves no gap and what is lost does. A late packet is placed with the
# shift that was valid at its own position, or refused: never two packets on one number.
# Numbers are extended (they do not wrap); the low 16 bits go on the wire.

from libc.stdint cimport int16_t, int64_t, uint16_t

cdef enum:
    # Ranges of left-out packets remembered; a late packet older than the oldest is refused.
    SKIPS_MAX = 16

cdef struct Skip:
    int64_t start
    int64_t end                     # exclusive

cdef struct Placing:
    int64_t first                   # what came before cannot be placed
    int64_t highest
    int64_t shift                   # at `highest`
    int skip_count
    int skip_newest
    Skip skips[SKIPS_MAX]


cdef inline void placing_init(Placing *placing, int64_t next_out) noexcept nogil:
    placing.first = 0
    placing.highest = 0
    placing.shift = 1 - next_out
    placing.skip_count = 0
    placing.skip_newest = 0


cdef inline int64_t placing_last(const Placing *placing) noexcept nogil:
    """The highest number given out."""
    return placing.highest - placing.shift


cdef inline void placing_restart(Placing *placing, int64_t first_in) noexcept nogil:
    """Go on with packet `first_in`, of whatever source, at the last number + 1."""
    cdef int64_t next_out = placing_last(placing) + 1
    placing.first = first_in
    placing.highest = first_in - 1
    placing.shift = first_in - next_out
    placing.skip_count = 0


cdef inline int64_t placing_take(Placing *placing, int64_t position) noexcept nogil:
    """The number of packet `position`; -1 if it has no place. Each position is asked once."""
    cdef int64_t shift = placing.shift
    cdef int i, at
    if position > placing.highest:
        placing.highest = position
        return position - shift
    if position < placing.first:
        return -1
    at = placing.skip_newest
    for i in range(placing.skip_count):
        if position >= placing.skips[at].end:
            break
        if position >= placing.skips[at].start:
            return -1
        shift -= placing.skips[at].end - placing.skips[at].start
        at = at - 1 if at > 0 else SKIPS_MAX - 1
    return position - shift


cdef inline int64_t placing_position(const Placing *placing, uint16_t number) noexcept nogil:
    """Which packet has, or would have, this number of the latest ones; -1: none."""
    cdef int64_t last_out = placing_last(placing)
    cdef int64_t out = last_out + <int16_t><uint16_t>(number - <uint16_t>last_out)
    cdef int64_t shift = placing.shift
    cdef int i, at
    if out > last_out:
        return -1
    at = placing.skip_newest
    for i in range(placing.skip_count):
        if out + shift >= placing.skips[at].end:
            break
        shift -= placing.skips[at].end - placing.skips[at].start
        at = at - 1 if at > 0 else SKIPS_MAX - 1
    return out + shift if out + shift >= placing.first else -1


cdef inline void placing_skip(Placing *placing, int64_t position) noexcept nogil:
    """Leave a packet out. A late one stays a gap: its successors are numbered already."""
    cdef Skip *newest = &placing.skips[placing.skip_newest]
    if position <= placing.highest:
        return
    placing.highest = position
    placing.shift += 1
    if placing.skip_count and newest.end == position:
        newest.end = position + 1
        return
    placing.skip_newest = placing.skip_newest + 1 if placing.skip_newest < SKIPS_MAX - 1 else 0
    newest = &placing.skips[placing.skip_newest]
    if placing.skip_count == SKIPS_MAX:
        placing.first = newest.end
    else:
        placing.skip_count += 1
    newest.start = position
    newest.end = position + 1
