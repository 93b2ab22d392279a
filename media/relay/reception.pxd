# What a receiver knows of one SSRC, and its report block. Source: RFC 3550, 6.4.1, A.3, A.8.

from libc.stdint cimport int16_t, int64_t, uint16_t, uint32_t

cdef struct Reception:
    bint begun
    bint heard                      # since the last report
    int64_t first                   # extended sequence numbers
    int64_t highest
    int64_t received
    int64_t expected_before         # at the last report
    int64_t received_before
    uint32_t transit
    uint32_t jitter_16              # in clock units, times 16


cdef inline int64_t reception_extend(const Reception *reception, uint16_t sequence) noexcept nogil:
    """The extended number nearest to the highest one. The first is >= 65536: room for late ones."""
    if not reception.begun:
        return 65536 + sequence
    return reception.highest + <int16_t><uint16_t>(sequence - <uint16_t>reception.highest)


cdef inline void reception_note(
    Reception *reception, int64_t sequence_ext, uint32_t timestamp, uint32_t arrival
) noexcept nogil:
    """Count one packet. `arrival` is in the units of `timestamp`."""
    cdef uint32_t transit = arrival - timestamp
    cdef int64_t change
    reception.heard = True
    reception.received += 1
    if not reception.begun:
        reception.begun = True
        reception.first = reception.highest = sequence_ext
        reception.transit = transit
        return
    if sequence_ext > reception.highest:
        reception.highest = sequence_ext
    elif sequence_ext < reception.first:
        reception.first = sequence_ext
    change = <int64_t><int><uint32_t>(transit - reception.transit)
    reception.transit = transit
    if change < 0:
        change = -change
    reception.jitter_16 += <uint32_t>(change - ((reception.jitter_16 + 8) >> 4))


cdef inline int64_t reception_lost(const Reception *reception) noexcept nogil:
    if not reception.begun:
        return 0
    return reception.highest - reception.first + 1 - reception.received


cdef inline int reception_fraction_lost(Reception *reception) noexcept nogil:
    """Of 256, since the last call."""
    cdef int64_t expected = reception.highest - reception.first + 1
    cdef int64_t expected_now = expected - reception.expected_before
    cdef int64_t lost_now = expected_now - (reception.received - reception.received_before)
    cdef int fraction = 0
    reception.expected_before = expected
    reception.received_before = reception.received
    if expected_now <= 0 or lost_now <= 0:
        return 0
    # By subtraction: one report a second, and no division that could raise.
    lost_now <<= 8
    while lost_now >= expected_now and fraction < 255:
        lost_now -= expected_now
        fraction += 1
    return fraction
