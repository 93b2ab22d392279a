# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Padding that shows what else a peer's downlink carries.

A cluster lasts some 100 ms. In it padding fills up what media leaves of the probe's rate, so
that the whole has that rate; how fast it arrives is read from feedback (acknowledged.pyx).
The padding is RTX packets that repeat nothing, as browsers send themselves: receivers count
them for their feedback and throw them away (RFC 3550, 5.1; RFC 4588, 4).

The relay thread alone sends, holding the lock.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memset
from media.relay.counters cimport DROPPED_PROTECT, PROBES_SENT
from media.relay.outgoing cimport send_rtp
from media.relay.rtp cimport write_padding
from media.relay.state cimport (
    History,
    OUTPUTS_PER_HOLD,
    Peer,
    Probe,
    Shard,
    Subscription,
)
from media.relay.timers cimport arm
from media.relay.udp cimport reserve

cdef enum:
    PACE_US = 5000
    # When the thread comes late, the rest of the cluster stays unsent: it is no burst.
    PACKETS_A_STEP = 24


cdef void begin_probe(
    Peer *peer, int64_t bits_a_second, int64_t duration_us, int64_t now_us
) noexcept nogil:
    """In the place of one that is not over. Without a history there is nothing to learn."""
    cdef Probe *probe
    if peer.history == NULL:
        return
    probe = &peer.history.probe
    memset(probe, 0, sizeof(Probe))
    probe.bytes_a_second = bits_a_second // 8
    probe.begun_us = now_us
    probe.until_us = now_us + duration_us
    probe.due_us = now_us
    probe.sent_before = peer.history.sent_bytes
    probe.first = peer.history.next
    # Open: whatever is sent from now on belongs to it.
    probe.last = (<int64_t>1 << 62)


cdef void go_on_probing(Shard *shard, Peer *peer) noexcept nogil:
    """Send what is due of the cluster by now, and arm the timer for the rest."""
    cdef Probe *probe
    cdef Subscription *subscription
    cdef int64_t left
    cdef int sent = 0
    if peer.history == NULL or peer.history.probe.due_us == 0:
        return
    probe = &peer.history.probe
    if probe.due_us > shard.now_us:
        arm(shard, probe.due_us)
        return
    subscription = padded_subscription(peer)
    left = probe.bytes_a_second * (min(shard.now_us, probe.until_us) - probe.begun_us) // 1000000
    left -= <int64_t>(peer.history.sent_bytes - probe.sent_before)
    while left > 0 and subscription != NULL and sent < PACKETS_A_STEP:
        if shard.sender.packet_count >= OUTPUTS_PER_HOLD:
            break
        left -= send_padding(shard, peer, subscription)
        sent += 1
    if shard.now_us >= probe.until_us or subscription == NULL:
        close_probe(peer.history)
        return
    probe.due_us = shard.now_us + PACE_US
    arm(shard, probe.due_us)


cdef void close_probe(History *history) noexcept nogil:
    cdef Probe *probe = &history.probe
    probe.due_us = 0
    probe.last = history.next - 1
    if probe.last < probe.first:
        probe.begun_us = 0              # nothing was sent: nothing will be known


cdef Subscription *padded_subscription(Peer *peer) noexcept nogil:
    """One with an RTX SSRC, rather one that flows; NULL: the peer has none."""
    cdef Subscription *found = NULL
    cdef Subscription *subscription = peer.subscriptions
    while subscription != NULL:
        if subscription.rtx_ssrc and (found == NULL or subscription.flowing):
            found = subscription
        subscription = subscription.next
    return found if padding_payload_type(peer, found) >= 0 else NULL


cdef int padding_payload_type(const Peer *peer, const Subscription *subscription) noexcept nogil:
    """The one that repairs what flows, or any: nothing is repaired here. -1: none agreed on."""
    cdef int i
    if subscription == NULL:
        return -1
    if subscription.codec.family and subscription.rtx_payload_type >= 0:
        return subscription.rtx_payload_type
    for i in range(128):
        if peer.negotiated.repairs[i]:
            return i
    return -1


cdef int64_t send_padding(Shard *shard, Peer *peer, Subscription *subscription) noexcept nogil:
    """One packet; returns its bytes on the wire."""
    cdef uint64_t before = peer.history.sent_bytes
    cdef uint8_t *out = reserve(&shard.sender)
    cdef int length = <int>write_padding(
        out, subscription, <uint8_t>padding_payload_type(peer, subscription), shard.send_time
    )
    # Counted first: a number that may have been used is never used again.
    subscription.rtx_sequence += 1
    if shard.srtp.protect(peer.send, out, &length) != 0:
        shard.counters[DROPPED_PROTECT] += 1
        return length
    send_rtp(shard, peer, length)
    shard.counters[PROBES_SENT] += 1
    peer.history.padding_bytes += peer.history.sent_bytes - before
    return <int64_t>(peer.history.sent_bytes - before)
