# What is sent to a peer under its transport-wide numbers.

from libc.stdint cimport int64_t, uint16_t
from media.relay.state cimport HISTORY_SPAN, History, Sent, UNREPORTED

cdef enum:
    # Of IPv4 and UDP: what a slow link carries of a packet besides its bytes.
    HEADERS = 28
    # Room below: feedback may name numbers from before the first.
    HISTORY_FIRST = 65536


cdef inline void history_init(History *history) noexcept nogil:
    """All else is zero."""
    history.next = history.reported = HISTORY_FIRST


cdef inline Sent *history_entry(History *history, int64_t number) noexcept nogil:
    return &history.packets[number & (HISTORY_SPAN - 1)]


cdef inline void history_note(History *history, int length, int64_t now_us) noexcept nogil:
    """A packet of `length` bytes goes out with the number history.next."""
    cdef Sent *sent = history_entry(history, history.next)
    sent.sent_us = now_us
    sent.length = <uint16_t>(length + HEADERS)
    sent.fate = UNREPORTED
    history.sent_packets += 1
    history.sent_bytes += sent.length
    history.next += 1
