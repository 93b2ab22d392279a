# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""RTCP: what a peer's packets mean, and the packets that the relay writes.

Nothing is passed on as it came: the relay is the receiver of its publishers and the sender
of its subscribers.
Sources: RFC 3550, 6.4 (reports); RFC 4585, 6.2.1 (NACK), 6.3.1 (PLI); RFC 5104, 4.3.1 (FIR);
draft-alvestrand-rmcat-remb-03, 2.2 (REMB).
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from media.relay.acknowledged cimport read_transport_feedback
from media.relay.counters cimport DROPPED_MALFORMED
from media.relay.layers cimport want_picture
from media.relay.reception cimport reception_fraction_lost, reception_lost
from media.relay.resend cimport answer_nack
from media.relay.state cimport MEDIA, Peer, Shard, Stream, Subscription
from media.relay.wire cimport get16, get32, get64, put16, put24, put32, put64

cdef enum:
    SENDER_REPORT = 200
    RECEIVER_REPORT = 201
    TRANSPORT_FEEDBACK = 205
    PAYLOAD_FEEDBACK = 206
    NACK = 1
    PLI = 1
    FIR = 4
    TRANSPORT_WIDE = 15
    APPLICATION = 15
    REMB = 0x52454D42               # its name in ASCII
    BLOCK = 24


cdef Stream *read_rtcp(
    Shard *shard, Peer *peer, const uint8_t *data, size_t length
) noexcept nogil:
    """Take in one decrypted compound packet (or a reduced-size one, RFC 5506).

    Returns the stream whose sender report it held, or NULL.
    """
    cdef Stream *reported = NULL
    cdef size_t at = 0
    cdef size_t size
    cdef int count, kind
    while at + 4 <= length:
        size = 4 * (<size_t>get16(data + at + 2) + 1)
        if (data[at] >> 6) != 2 or at + size > length:
            shard.counters[DROPPED_MALFORMED] += 1
            return reported
        count = data[at] & 0x1F
        kind = data[at + 1]
        if kind == SENDER_REPORT and size >= 28:
            reported = read_sender_report(shard, peer, data + at)
            read_blocks(shard, peer, data + at + 28, size - 28, count)
        elif kind == RECEIVER_REPORT and size >= 8:
            read_blocks(shard, peer, data + at + 8, size - 8, count)
        elif kind == TRANSPORT_FEEDBACK and size >= 12:
            if count == NACK:
                read_nack(shard, peer, data + at, size)
            elif count == TRANSPORT_WIDE and peer.history != NULL:
                if not read_transport_feedback(peer.history, data + at + 12, size - 12):
                    shard.counters[DROPPED_MALFORMED] += 1
        elif kind == PAYLOAD_FEEDBACK and size >= 12:
            if count == PLI:
                read_keyframe_request(shard, peer, get32(data + at + 8))
            elif count == FIR:
                read_fir(shard, peer, data + at + 12, size - 12)
            elif count == APPLICATION and size >= 20 and get32(data + at + 12) == REMB:
                read_remb(peer, data + at + 16)
        at += size
    return reported


cdef Stream *read_sender_report(Shard *shard, Peer *peer, const uint8_t *data) noexcept nogil:
    cdef uint32_t ssrc = get32(data + 4)
    cdef int i
    cdef Stream *stream
    for i in range(peer.stream_count):
        if peer.stream_ssrcs[i] == ssrc:
            stream = peer.streams[i]
            shard.serials += 1
            stream.report_serial = shard.serials
            stream.report_ntp = get64(data + 8)
            stream.report_timestamp = get32(data + 16)
            stream.report_us = shard.now_us
            return stream
    return NULL


cdef Subscription *find_subscription(Peer *peer, uint32_t ssrc) noexcept nogil:
    cdef Subscription *subscription = peer.subscriptions
    while subscription != NULL and subscription.ssrc != ssrc:
        subscription = subscription.next
    return subscription


cdef void read_blocks(
    Shard *shard, Peer *peer, const uint8_t *data, size_t length, int count
) noexcept nogil:
    """Report blocks about what this peer receives from us."""
    cdef Subscription *subscription
    cdef uint32_t last_report
    cdef int64_t delay_us, round_trip_us
    cdef int i
    for i in range(count):
        if <size_t>(i + 1) * BLOCK > length:
            return
        subscription = find_subscription(peer, get32(data))
        if subscription != NULL:
            subscription.fraction_lost = data[4]
            peer.blocks += 1
            peer.fraction_lost += data[4]
            last_report = get32(data + 16)
            if last_report and last_report == subscription.report_ntp_middle:
                delay_us = (<int64_t>get32(data + 20) * 1000000) >> 16
                round_trip_us = shard.now_us - subscription.report_sent_us - delay_us
                subscription.round_trip_us = max(round_trip_us, <int64_t>0)
                peer.round_trip_us = max(round_trip_us, <int64_t>1)
        data += BLOCK


cdef void read_nack(Shard *shard, Peer *peer, const uint8_t *data, size_t length) noexcept nogil:
    cdef Subscription *subscription = find_subscription(peer, get32(data + 8))
    if subscription != NULL:
        answer_nack(shard, subscription, data + 12, length - 12)


cdef void read_keyframe_request(Shard *shard, Peer *peer, uint32_t ssrc) noexcept nogil:
    cdef Subscription *subscription = find_subscription(peer, ssrc)
    if subscription != NULL:
        want_picture(shard, subscription, shard.now_us)


cdef void read_fir(Shard *shard, Peer *peer, const uint8_t *data, size_t length) noexcept nogil:
    """Entries of SSRC, sequence number, three reserved bytes. The throttle makes repeats free."""
    while length >= 8:
        read_keyframe_request(shard, peer, get32(data))
        data += 8
        length -= 8


cdef void read_remb(Peer *peer, const uint8_t *data) noexcept nogil:
    """data: a count of SSRCs, and the rate as 6 bits of exponent and 18 of mantissa.

    What it is about does not matter: it tells what the whole connection carries.
    """
    cdef uint32_t word = get32(data)
    cdef int exponent = (word >> 18) & 0x3F
    # 44: what does not fit into 62 bits is no limit.
    peer.estimate = <int64_t>(word & 0x3FFFF) << min(exponent, 44)
    peer.estimates += 1


cdef size_t write_sender_report(
    uint8_t *out, const Subscription *subscription, const Stream *stream
) noexcept nogil:
    """The publisher's clock in the subscriber's timestamps: what lip sync needs. 28 bytes.

    The counts are the subscription's own.
    """
    out[0] = 0x80
    out[1] = SENDER_REPORT
    put16(out + 2, 6)
    put32(out + 4, subscription.ssrc)
    put64(out + 8, stream.report_ntp)
    put32(out + 16, stream.report_timestamp + subscription.timestamp_shift)
    put32(out + 20, <uint32_t>subscription.packets)
    put32(out + 24, <uint32_t>subscription.payload_bytes)
    return 28


cdef size_t write_receiver_report(uint8_t *out, Peer *peer, int64_t now_us) noexcept nogil:
    """Report on each media SSRC heard since the last report; 0: none. At most 752 bytes."""
    cdef Stream *stream
    cdef uint8_t *block = out + 8
    cdef int count = 0
    cdef int i
    cdef int64_t lost
    for i in range(peer.stream_count):
        stream = peer.streams[i]
        if stream.role != MEDIA or not stream.reception.heard or count == REPORT_BLOCKS_MAX:
            continue
        stream.reception.heard = False
        lost = min(max(reception_lost(&stream.reception), <int64_t>-0x800000), <int64_t>0x7FFFFF)
        put32(block, stream.ssrc)
        block[4] = <uint8_t>reception_fraction_lost(&stream.reception)
        put24(block + 5, <uint32_t>lost & 0xFFFFFF)
        # The first number is 65536 + its 16 bits here: take that cycle off.
        put32(block + 8, <uint32_t>(stream.reception.highest - 65536))
        put32(block + 12, stream.reception.jitter_16 >> 4)
        if stream.report_serial:
            put32(block + 16, <uint32_t>(stream.report_ntp >> 16))
            put32(block + 20, <uint32_t>(((now_us - stream.report_us) << 16) // 1000000))
        else:
            put32(block + 16, 0)
            put32(block + 20, 0)
        block += BLOCK
        count += 1
    if count == 0:
        return 0
    out[0] = <uint8_t>(0x80 | count)
    out[1] = RECEIVER_REPORT
    put16(out + 2, <uint32_t>(1 + 6 * count))
    put32(out + 4, RELAY_SSRC)
    return <size_t>(8 + BLOCK * count)


cdef size_t write_remb(
    uint8_t *out, int64_t bits_a_second, uint32_t media_ssrc
) noexcept nogil:
    """Rounded down to what 18 bits of mantissa can say. 24 bytes."""
    cdef uint32_t exponent = 0
    while bits_a_second >> exponent > 0x3FFFF:
        exponent += 1
    out[0] = 0x80 | APPLICATION
    out[1] = PAYLOAD_FEEDBACK
    put16(out + 2, 5)
    put32(out + 4, RELAY_SSRC)
    put32(out + 8, 0)
    put32(out + 12, REMB)
    put32(out + 16, (<uint32_t>1 << 24) | (exponent << 18) | <uint32_t>(bits_a_second >> exponent))
    put32(out + 20, media_ssrc)
    return 24


cdef size_t write_pli(uint8_t *out, uint32_t media_ssrc) noexcept nogil:
    out[0] = 0x80 | PLI
    out[1] = PAYLOAD_FEEDBACK
    put16(out + 2, 2)
    put32(out + 4, RELAY_SSRC)
    put32(out + 8, media_ssrc)
    return 12


cdef size_t write_nack(
    uint8_t *out, uint32_t media_ssrc, const int64_t *numbers, int count
) noexcept nogil:
    """numbers: extended, ascending, at least one. At most 12 + 4 * count bytes."""
    cdef uint8_t *item = out + 12
    cdef int64_t first
    cdef uint32_t mask
    cdef int i = 0
    while i < count:
        first = numbers[i]
        mask = 0
        i += 1
        # 16: one item is a number and a mask of those after it (RFC 4585, 6.2.1).
        while i < count and numbers[i] - first <= 16:
            mask |= <uint32_t>1 << (numbers[i] - first - 1)
            i += 1
        put16(item, <uint32_t>first & 0xFFFF)
        put16(item + 2, mask)
        item += 4
    out[0] = 0x80 | NACK
    out[1] = TRANSPORT_FEEDBACK
    put16(out + 2, <uint32_t>((item - out) // 4 - 1))
    put32(out + 4, RELAY_SSRC)
    put32(out + 8, media_ssrc)
    return item - out
