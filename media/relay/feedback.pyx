# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What the relay owes each publisher, when it is due: reports, transport-wide feedback,
NACKs, PLIs.

The relay thread alone comes here, holding the lock; see forward.pyx on letting go of it.
"""

from libc.stdint cimport int64_t, uint32_t
from media.relay.counters cimport NACKS_SENT
from media.relay.forward cimport flush
from media.relay.layers cimport is_alive
from media.relay.linux cimport atomic_write_i64
from media.relay.outgoing cimport send
from media.relay.probing cimport go_on_probing
from media.relay.recovery cimport recovery_due
from media.relay.rtcp cimport RELAY_SSRC, write_nack, write_pli, write_receiver_report, write_remb
from media.relay.state cimport (
    Layer,
    MISSING_MAX,
    OUTPUTS_MAX,
    OUTPUTS_PER_HOLD,
    Peer,
    Shard,
    Stream,
    Track,
)
from media.relay.timers cimport KEYFRAME_INTERVAL_US, arm, on_grid
from media.relay.twcc cimport feedback_waits, feedback_write
from media.relay.udp cimport reserve

cdef enum:
    # Until an answer can be here: a round trip and what the publisher takes to send.
    ROUND_TRIP_GUESS_US = 80000
    ANSWER_US = 20000
    ASK_AGAIN_MAX_US = 500000
    CAP_INTERVAL_US = 1000000


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
            tell_cap(shard, peer)
            go_on_probing(shard, peer)
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
    """One NACK for each layer that misses something long enough."""
    cdef Track *track = peer.tracks
    cdef Layer *layer
    cdef int i
    while track != NULL:
        for i in range(track.layer_count):
            layer = &track.layers[i]
            if layer.recovery == NULL or layer.recovery.due_us == 0:
                continue
            if is_full(shard):
                arm(shard, shard.now_us)
                return
            if layer.recovery.due_us > shard.now_us:
                arm(shard, layer.recovery.due_us)
            elif layer.active != NULL:
                ask_for_numbers(shard, peer, track, layer)
        track = track.next


cdef void ask_for_numbers(Shard *shard, Peer *peer, Track *track, Layer *layer) noexcept nogil:
    cdef int64_t numbers[MISSING_MAX]
    cdef int64_t round_trip_us = peer.round_trip_us if peer.round_trip_us else ROUND_TRIP_GUESS_US
    cdef int64_t again_after_us = min(round_trip_us + ANSWER_US, <int64_t>ASK_AGAIN_MAX_US)
    cdef int count = recovery_due(shard, track, layer, again_after_us, numbers)
    cdef size_t length
    if count == 0:
        return
    shard.counters[NACKS_SENT] += count
    track.nacks_sent += count
    length = write_nack(reserve(&shard.sender), layer.active.ssrc, numbers, count)
    protect_and_send(shard, peer, <int>length)


cdef void ask_for_keyframes(Shard *shard, Peer *peer) noexcept nogil:
    """All layers of a track in one go: a browser's encoder then starts all of them anew once."""
    cdef Track *track = peer.tracks
    cdef bint asks
    cdef int i
    while track != NULL:
        asks = shard.now_us - track.keyframe_asked_us >= KEYFRAME_INTERVAL_US
        for i in range(track.layer_count):
            if not track.forwarding or not can_be_asked(track, i, shard.now_us):
                continue
            if asks:
                if is_full(shard):
                    arm(shard, shard.now_us)
                    return
                track.keyframe_asked_us = shard.now_us
                track.plis_sent += 1
                ask_for_keyframe(shard, peer, track, i)
            arm(shard, track.keyframe_asked_us + KEYFRAME_INTERVAL_US)
        track = track.next


cdef inline bint can_be_asked(const Track *track, int index, int64_t now_us) noexcept nogil:
    """Whether a keyframe of the layer is wanted and may come.

    A layer that the publisher paused is not asked: it would answer with the others'.
    """
    cdef const Layer *layer = &track.layers[index]
    if not layer.keyframe_wanted:
        return False
    if track.layer_count > 1:
        return is_alive(layer, now_us)
    return layer.active != NULL or track.signalled_ssrc != 0


cdef void ask_for_keyframe(
    Shard *shard, Peer *peer, const Track *track, int index
) noexcept nogil:
    cdef const Stream *stream = track.layers[index].active
    cdef uint32_t ssrc = stream.ssrc if stream != NULL else track.signalled_ssrc
    protect_and_send(shard, peer, <int>write_pli(reserve(&shard.sender), ssrc))


cdef void tell_cap(Shard *shard, Peer *peer) noexcept nogil:
    """The most that the peer is to send, at once and then again: a message may get lost."""
    if peer.cap.due_us == 0:
        return
    if is_full(shard):
        arm(shard, shard.now_us)
        return
    if peer.cap.due_us <= shard.now_us:
        protect_and_send(
            shard,
            peer,
            <int>write_remb(reserve(&shard.sender), peer.cap.bits_a_second, peer.cap.media_ssrc),
        )
        if peer.cap.repeats > 0:
            peer.cap.repeats -= 1
        peer.cap.due_us = on_grid(shard.now_us + CAP_INTERVAL_US) if peer.cap.repeats else 0
    if peer.cap.due_us:
        arm(shard, peer.cap.due_us)


cdef void protect_and_send(Shard *shard, Peer *peer, int length) noexcept nogil:
    """Send `length` bytes of RTCP that were written where `reserve` said."""
    if shard.srtp.protect_rtcp(peer.send, reserve(&shard.sender), &length) != 0:
        return
    send(shard, peer, length)
