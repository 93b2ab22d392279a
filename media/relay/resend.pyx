# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Answering a subscriber's NACK from its source's cache.

Only as RTX: under the media SSRC the same number would have to be the same bytes again
(RFC 7714, 9), and the absolute send time is not. What is not answered here is asked for
again, or ends in a keyframe request: nothing waits.

The relay thread alone comes here, holding the lock.
Sources: RFC 4585, 6.2.1 (NACK); RFC 4588, 4 (RTX).
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from media.relay.cache cimport cache_find
from media.relay.counters cimport DROPPED_PROTECT, NACKS_RECEIVED, RETRANSMISSIONS_SENT
from media.relay.outgoing cimport send_rtp, subscriber_payload_type
from media.relay.placing cimport placing_position
from media.relay.rtp cimport write_rtx
from media.relay.scalability cimport blank, is_left_out
from media.relay.state cimport (
    OUTPUTS_PER_HOLD,
    Packet,
    Peer,
    RESENT_SPAN,
    Recovery,
    Resent,
    Shard,
    Subscription,
)
from media.relay.udp cimport reserve
from media.relay.wire cimport get16

cdef enum:
    # A repeat within it crossed with the answer.
    REPEAT_US = 40000


cdef void answer_nack(
    Shard *shard, Subscription *subscription, const uint8_t *items, size_t length
) noexcept nogil:
    """items: `length` bytes of a generic NACK's, each a number and a mask of 16 after it."""
    cdef uint16_t number
    cdef uint32_t mask
    while length >= 4:
        number = get16(items)
        # The first number is bit 0 here.
        mask = (<uint32_t>get16(items + 2) << 1) | 1
        while mask:
            if mask & 1:
                shard.counters[NACKS_RECEIVED] += 1
                subscription.nacks_received += 1
                resend(shard, subscription, number)
            number += 1
            mask >>= 1
        items += 4
        length -= 4


cdef void resend(Shard *shard, Subscription *subscription, uint16_t number) noexcept nogil:
    """Send what the subscriber knows as `number` again, if there is any sense in it."""
    cdef Peer *peer = subscription.peer
    cdef Recovery *recovery
    cdef Resent *resent
    cdef const Packet *packet
    cdef Packet empty
    cdef int64_t position
    if not can_resend(shard, subscription):
        return
    recovery = subscription.source.layers[subscription.layer].recovery
    position = placing_position(&subscription.placing, number)
    if position < 0:
        return
    resent = &subscription.resent[position & (RESENT_SPAN - 1)]
    if resent.sequence_ext == position and shard.now_us - resent.sent_us < REPEAT_US:
        return
    packet = cache_find(&recovery.cache, position)
    if packet == NULL or packet.payload_length > subscription.resend_budget:
        return
    if is_left_out(subscription, packet):
        empty = blank(packet)
        packet = &empty
    if subscriber_payload_type(subscription, packet) < 0 or subscription.rtx_payload_type < 0:
        return
    if write_and_send(shard, peer, subscription, packet, number):
        resent.sequence_ext = position
        resent.sent_us = shard.now_us
        subscription.resend_budget -= packet.payload_length


cdef inline bint can_resend(const Shard *shard, const Subscription *subscription) noexcept nogil:
    cdef const Recovery *recovery
    if not subscription.flowing or subscription.resent == NULL or subscription.source == NULL:
        return False
    recovery = subscription.source.layers[subscription.layer].recovery
    return (
        recovery != NULL
        and recovery.stream_serial == subscription.stream_serial
        and subscription.peer.selected
        and subscription.peer.send != NULL
        and shard.sender.packet_count < OUTPUTS_PER_HOLD
    )


cdef bint write_and_send(
    Shard *shard, Peer *peer, Subscription *subscription, const Packet *packet, uint16_t number
) noexcept nogil:
    cdef uint8_t *out = reserve(&shard.sender)
    cdef int length = <int>write_rtx(
        out,
        packet,
        subscription,
        number,
        packet.timestamp + subscription.timestamp_shift,
        shard.send_time,
    )
    # Counted first: a number that may have been used is never used again.
    subscription.rtx_sequence += 1
    if shard.srtp.protect(peer.send, out, &length) != 0:
        shard.counters[DROPPED_PROTECT] += 1
        return False
    send_rtp(shard, peer, length)
    shard.counters[RETRANSMISSIONS_SENT] += 1
    subscription.retransmissions_sent += 1
    return True
