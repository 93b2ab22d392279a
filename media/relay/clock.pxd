# The publisher's clock in a subscriber's timestamps, from one of its streams to the next.
#
# When a packet arrives says only within a keyframe's queueing when it was taken; sender reports
# say it exactly. A receiver draws one line through the reports of many seconds (libwebrtc: 20),
# so that a step between two streams would put lips out of step for as long.

from libc.stdint cimport int32_t, int64_t, uint32_t
from media.relay.state cimport Stream, Subscription

cdef enum:
    # Reports of a layer that rested are old: its clock went on. In seconds.
    OLD_MAX = 3600


cdef inline void clock_note(Subscription *subscription, const Stream *stream) noexcept nogil:
    """A sender report of the stream goes to the subscriber."""
    subscription.clock_known = True
    subscription.clock_ntp = stream.report_ntp
    subscription.clock_timestamp = stream.report_timestamp + subscription.timestamp_shift


cdef inline uint32_t clock_shift(
    const Subscription *subscription,
    const Stream *stream,
    uint32_t first,
    uint32_t last_sent,
    uint32_t by_arrival,
) noexcept nogil:
    """What to add to the timestamps of a stream that begins at `first`, behind `last_sent`.

    by_arrival: what the packets' arrival says, right within a tenth of a second or so. It stands
    where there are no reports of both streams, or they say something quite different: then their
    clocks are not one. All wrap.
    """
    cdef int32_t most = <int32_t>(stream.clock_rate // 10)
    cdef int32_t moved
    cdef int64_t apart, ticks
    cdef uint32_t shift
    if not subscription.clock_known or stream.report_serial == 0:
        return by_arrival
    apart = <int64_t>(stream.report_ntp - subscription.clock_ntp)
    if apart > (<int64_t>OLD_MAX << 32) or apart < -(<int64_t>OLD_MAX << 32):
        return by_arrival
    # 16 of 32 bits of fraction: 15 microseconds, and no overflow. To the nearest tick.
    ticks = ((apart >> 16) * <int64_t>stream.clock_rate + 0x8000) >> 16
    shift = subscription.clock_timestamp + <uint32_t>ticks - stream.report_timestamp
    moved = <int32_t>(shift - by_arrival)
    if moved > most or moved < -most:
        return by_arrival
    return shift if <int32_t>(first + shift - last_sent) > 0 else by_arrival
