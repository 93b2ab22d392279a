# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What the relay owes each publisher, when it is due: reports, transport-wide feedback,
NACKs, PLIs.

The relay thread alone comes here, holding the lock; see forward.pyx on letting go of it.
"""

from libc.stdint cimport int64_t, uint32_t
from media.relay.counters cimport NACKS_SENT
from media.relay.forward cimport flush
from media.relay.linux cimport atomic_write_i64
from media.relay.outgoing cimport send
from media.relay.recovery cimport recovery_due
from media.relay.rtcp cimport RELAY_SSRC, write_nack, write_pli, write_receiver_report
from media.relay.state cimport MISSING_MAX, OUTPUTS_MAX, OUTPUTS_PER_HOLD, Peer, Shard, Track
from media.relay.timers cimport KEYFRAME_INTERVAL_US, arm
from media.relay.twcc cimport feedback_waits, feedback_write
from media.relay.udp cimport reserve

cdef enum:
    # Until an answer can be here: a round trip and what the publisher takes to send.
    ROUND_TRIP_GUESS_US = 80000
    ANSWER_US = 20000
    ASK_AGAIN_MAX_US = 500000


cdef void give_feedback(Shard *shard) noexcept nogil:
    """Send whatever is due and arm the timer for the rest. May let go of the lock on the way."""
    cdef uint32_t i = 0
    cdef Peer *peer
    atomic_write_i64(&shard.timer_us, 0)
    while i < shard.peers.capacity:
        peer = <Peer *>shard.peers.items[i]
        if peer != NULL and peer.send != NULL and peer.selected:
            if shard.sender.packet_count >= OUTPUTS_PER_HOLD:
                flush(shard)
                continue
            report(shard, peer)
            give_transport_feedback(shard, peer)
            ask_for_missing(shard, peer)
            ask_for_keyframes(shard, peer)
        i += 1


cdef inline bint is_full(const Shard *shard) noexcept nogil:
    """The rest waits for the next turn, which is armed for at once."""
    return shard.sender.packet_count == OUTPUTS_MAX


cdef void report(Shard *shard, Peer *peer) noexcept nogil:
    cdef size_t length
    if peer.reports_due_us == 0:
        return
    if peer.reports_due_us > shard.now_us:
        arm(shard, peer.reports_due_us)
        return
    # The next packet starts the next interval: a silent publisher gets no reports.
    peer.reports_due_us = 0
    length = write_receiver_report(reserve(&shard.sender), peer, shard.now_us)
    if length:
        protect_and_send(shard, peer, <int>length)


cdef void give_transport_feedback(Shard *shard, Peer *peer) noexcept nogil:
    cdef size_t length
    if peer.feedback == NULL or peer.feedback.due_us == 0:
        return
    if peer.feedback.due_us > shard.now_us:
        arm(shard, peer.feedback.due_us)
        return
    peer.feedback.due_us = 0
    peer.feedback.sent_us = shard.now_us
    # At most FEEDBACK_SPAN numbers wait: a few messages, unless they came seconds apart.
    while feedback_waits(peer.feedback):
        if is_full(shard):
            peer.feedback.due_us = shard.now_us
            arm(shard, shard.now_us)
            return
        length = feedback_write(peer.feedback, reserve(&shard.sender), RELAY_SSRC)
        if length:
            protect_and_send(shard, peer, <int>length)


cdef void ask_for_missing(Shard *shard, Peer *peer) noexcept nogil:
    """One NACK for each track that misses something long enough."""
    cdef int64_t numbers[MISSING_MAX]
    cdef int64_t round_trip_us = peer.round_trip_us if peer.round_trip_us else ROUND_TRIP_GUESS_US
    cdef Track *track = peer.tracks
    cdef size_t length
    cdef int count
    while track != NULL:
        if track.recovery != NULL and track.recovery.due_us:
            if is_full(shard):
                arm(shard, shard.now_us)
                return
            if track.recovery.due_us > shard.now_us:
                arm(shard, track.recovery.due_us)
            elif track.active != NULL:
                count = recovery_due(
                    shard, track, min(round_trip_us + ANSWER_US, <int64_t>ASK_AGAIN_MAX_US), numbers
                )
                if count:
                    shard.counters[NACKS_SENT] += count
                    track.nacks_sent += count
                    length = write_nack(
                        reserve(&shard.sender), track.active.ssrc, numbers, count
                    )
                    protect_and_send(shard, peer, <int>length)
        track = track.next


cdef void ask_for_keyframes(Shard *shard, Peer *peer) noexcept nogil:
    cdef Track *track = peer.tracks
    cdef uint32_t ssrc
    while track != NULL:
        if is_full(shard):
            arm(shard, shard.now_us)
            return
        ssrc = track.active.ssrc if track.active != NULL else track.signalled_ssrc
        if track.keyframe_wanted and track.forwarding and ssrc:
            if shard.now_us - track.keyframe_asked_us >= KEYFRAME_INTERVAL_US:
                track.keyframe_asked_us = shard.now_us
                track.plis_sent += 1
                protect_and_send(shard, peer, <int>write_pli(reserve(&shard.sender), ssrc))
            arm(shard, track.keyframe_asked_us + KEYFRAME_INTERVAL_US)
        track = track.next


cdef void protect_and_send(Shard *shard, Peer *peer, int length) noexcept nogil:
    """Send `length` bytes of RTCP that were written where `reserve` said."""
    if shard.srtp.protect_rtcp(peer.send, reserve(&shard.sender), &length) != 0:
        return
    send(shard, peer, length)
