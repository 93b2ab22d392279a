# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Verbs on tracks and subscriptions: what goes to whom.

Called as peers.pyx is: any thread, no GIL.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from media.relay.layers cimport interrupt, waits, want_start, watch
from media.relay.linux cimport monotonic_us
from media.relay.locks cimport control_lock, unlock
from media.relay.recovery cimport recovery_stop
from media.relay.state cimport (
    MEDIA,
    Peer,
    RESENT_SPAN,
    RETRANSMISSION,
    Recovery,
    Resent,
    Role,
    Shard,
    Stream,
    Subscription,
    Track,
)
from media.relay.streams cimport (
    add_stream,
    attach,
    attach_streams_of,
    detach_streams_of,
    find_stream,
)
from media.relay.tables cimport slots_add, slots_get, slots_remove
from media.relay.timers cimport KEYFRAME_INTERVAL_US, wake, want_keyframe
from media.relay.verbs cimport (
    DONE,
    NO_MEMORY,
    Outcome,
    SSRC_IN_USE,
    UNKNOWN_HANDLE,
    WRONG_KIND,
    pass_sending,
)

# What a peer sends


cdef Outcome add_track(
    Shard *shard,
    uint64_t peer_handle,
    const Track *wanted,
    const uint32_t *ssrcs,
    int ssrc_count,
    const uint32_t *rtx_ssrcs,
    int rtx_ssrc_count,
    uint64_t *handle,
) noexcept nogil:
    """wanted: its kind, its mid, its layers and whether it answers NACKs.

    rtx_ssrcs[i] repairs ssrcs[i].
    """
    cdef Track *track = <Track *>calloc(1, sizeof(Track))
    cdef Peer *peer
    cdef Outcome outcome = DONE
    if track == NULL:
        return NO_MEMORY
    track[0] = wanted[0]
    if track.is_video and not add_recoveries(track):
        free_track(track)
        return NO_MEMORY
    track.forwarding = True
    track.keyframe_asked_us = -KEYFRAME_INTERVAL_US
    track.signalled_ssrc = ssrcs[0] if ssrc_count else 0
    control_lock(&shard.lock)
    peer = <Peer *>slots_get(&shard.peers, peer_handle)
    if peer == NULL:
        outcome = UNKNOWN_HANDLE
    else:
        track.handle = handle[0] = slots_add(&shard.tracks, track)
        if track.handle == 0:
            outcome = NO_MEMORY
    if outcome == DONE:
        track.peer = peer
        track.next = peer.tracks
        if peer.tracks != NULL:
            peer.tracks.previous = track
        peer.tracks = track
        attach_signalled(shard, track, ssrcs, ssrc_count, NULL, 0, MEDIA)
        attach_signalled(
            shard, track, rtx_ssrcs, rtx_ssrc_count, ssrcs, ssrc_count, RETRANSMISSION
        )
        attach_streams_of(track)
    unlock(&shard.lock)
    if outcome != DONE:
        free_track(track)
    return outcome


cdef bint add_recoveries(Track *track) noexcept nogil:
    """One a layer. Pages that nothing is written to, of a layer nobody gets, take no memory."""
    cdef int i
    for i in range(track.layer_count):
        track.layers[i].recovery = <Recovery *>calloc(1, sizeof(Recovery))
        if track.layers[i].recovery == NULL:
            return False
    return True


cdef void free_track(Track *track) noexcept nogil:
    cdef int i
    for i in range(track.layer_count):
        free(track.layers[i].recovery)
    free(track)


cdef void attach_signalled(
    Shard *shard,
    Track *track,
    const uint32_t *ssrcs,
    int count,
    const uint32_t *repaired,
    int repaired_count,
    Role role,
) noexcept nogil:
    """An SSRC beyond what one peer may have is left to be learnt from its MID."""
    cdef Stream *stream
    cdef int i
    for i in range(count):
        stream = find_stream(track.peer, ssrcs[i])
        if stream == NULL:
            stream = add_stream(shard, track.peer, ssrcs[i])
        if stream != NULL:
            if stream.track != NULL and stream.layer >= 0:
                if stream.track.layers[stream.layer].active == stream:
                    stream.track.layers[stream.layer].active = NULL
            attach(stream, track)
            stream.role = role
            stream.repaired_ssrc = repaired[i] if i < repaired_count else 0


cdef void unlink_track(Shard *shard, Track *track) noexcept nogil:
    while track.subscribers != NULL:
        detach(track.subscribers)
    detach_streams_of(track)
    if track.previous != NULL:
        track.previous.next = track.next
    else:
        track.peer.tracks = track.next
    if track.next != NULL:
        track.next.previous = track.previous
    slots_remove(&shard.tracks, track.handle)
    free_track(track)


cdef Outcome remove_track(Shard *shard, uint64_t handle) noexcept nogil:
    cdef Track *track
    control_lock(&shard.lock)
    track = <Track *>slots_get(&shard.tracks, handle)
    if track != NULL:
        unlink_track(shard, track)
    unlock(&shard.lock)
    if track == NULL:
        return UNKNOWN_HANDLE
    pass_sending(shard)
    return DONE


cdef Outcome set_forwarding(Shard *shard, uint64_t handle, bint enabled) noexcept nogil:
    cdef Track *track
    control_lock(&shard.lock)
    track = <Track *>slots_get(&shard.tracks, handle)
    if track != NULL and track.forwarding != enabled:
        track.forwarding = enabled
        restart(shard, track)
    unlock(&shard.lock)
    if track == NULL:
        return UNKNOWN_HANDLE
    if not enabled:
        pass_sending(shard)
    return DONE


cdef void restart(Shard *shard, Track *track) noexcept nogil:
    """All its subscribers go on anew, and nothing is kept from before."""
    cdef Subscription *subscription = track.subscribers
    cdef int i
    while subscription != NULL:
        interrupt(subscription)
        if track.forwarding and track.is_video:
            want_start(shard, subscription, monotonic_us())
        subscription = subscription.next_subscriber
    for i in range(track.layer_count):
        if track.layers[i].recovery != NULL:
            recovery_stop(track.layers[i].recovery)
    wake(shard)


cdef Outcome request_keyframe(Shard *shard, uint64_t handle) noexcept nogil:
    cdef Track *track
    cdef int i
    control_lock(&shard.lock)
    track = <Track *>slots_get(&shard.tracks, handle)
    if track != NULL:
        for i in range(track.layer_count):
            want_keyframe(shard, track, &track.layers[i], monotonic_us())
        wake(shard)
    unlock(&shard.lock)
    return DONE if track != NULL else UNKNOWN_HANDLE


# What a peer receives


cdef Outcome add_subscription(
    Shard *shard, uint64_t peer_handle, const Subscription *wanted, uint64_t *handle
) noexcept nogil:
    """wanted: kind, mid, SSRCs, and first sequence numbers and timestamp.

    An SSRC that the peer received before goes on where it ended: with the same keys, a
    sequence number that came again would break the cipher (RFC 7714, 9).
    """
    cdef Subscription *subscription = <Subscription *>calloc(1, sizeof(Subscription))
    cdef Subscription *retired
    cdef Peer *peer
    cdef Outcome outcome = DONE
    if subscription == NULL:
        return NO_MEMORY
    subscription[0] = wanted[0]
    if wanted.rtx_ssrc:
        subscription.resent = <Resent *>calloc(RESENT_SPAN, sizeof(Resent))
        if subscription.resent == NULL:
            free(subscription)
            return NO_MEMORY
    control_lock(&shard.lock)
    peer = <Peer *>slots_get(&shard.peers, peer_handle)
    if peer == NULL:
        outcome = UNKNOWN_HANDLE
    elif in_use(peer, wanted.ssrc) or (wanted.rtx_ssrc and in_use(peer, wanted.rtx_ssrc)):
        outcome = SSRC_IN_USE
    else:
        subscription.handle = handle[0] = slots_add(&shard.subscriptions, subscription)
        if subscription.handle == 0:
            outcome = NO_MEMORY
    if outcome == DONE:
        retired = take_retired(peer, wanted.ssrc)
        if retired != NULL:
            subscription.placing = retired.placing
            subscription.last_timestamp = retired.last_timestamp
            subscription.last_us = retired.last_us
            subscription.pictures = retired.pictures
            subscription.rtx_sequence = retired.rtx_sequence
            free(retired)
        subscription.peer = peer
        subscription.next = peer.subscriptions
        if peer.subscriptions != NULL:
            peer.subscriptions.previous = subscription
        peer.subscriptions = subscription
    unlock(&shard.lock)
    if outcome != DONE:
        free(subscription.resent)
        free(subscription)
    return outcome


cdef bint in_use(const Peer *peer, uint32_t ssrc) noexcept nogil:
    cdef Subscription *subscription = peer.subscriptions
    while subscription != NULL and subscription.ssrc != ssrc and subscription.rtx_ssrc != ssrc:
        subscription = subscription.next
    return subscription != NULL


cdef Subscription *take_retired(Peer *peer, uint32_t ssrc) noexcept nogil:
    cdef Subscription **at = &peer.retired
    cdef Subscription *found
    while at[0] != NULL and at[0].ssrc != ssrc:
        at = &at[0].next
    found = at[0]
    if found != NULL:
        at[0] = found.next
    return found


cdef void detach(Subscription *subscription) noexcept nogil:
    """Take the slot off its source."""
    cdef Track *source = subscription.source
    subscription.flowing = False
    if source == NULL:
        return
    if subscription.previous_subscriber != NULL:
        subscription.previous_subscriber.next_subscriber = subscription.next_subscriber
    else:
        source.subscribers = subscription.next_subscriber
    if subscription.next_subscriber != NULL:
        subscription.next_subscriber.previous_subscriber = subscription.previous_subscriber
    subscription.source = NULL
    subscription.previous_subscriber = subscription.next_subscriber = NULL
    watch(source)


cdef void retire_subscription(Shard *shard, Subscription *subscription) noexcept nogil:
    cdef Peer *peer = subscription.peer
    detach(subscription)
    if subscription.previous != NULL:
        subscription.previous.next = subscription.next
    else:
        peer.subscriptions = subscription.next
    if subscription.next != NULL:
        subscription.next.previous = subscription.previous
    slots_remove(&shard.subscriptions, subscription.handle)
    # It cannot be asked for anything until it returns, then with a log of its own.
    free(subscription.resent)
    subscription.resent = NULL
    subscription.next = peer.retired
    peer.retired = subscription


cdef Outcome remove_subscription(Shard *shard, uint64_t handle) noexcept nogil:
    cdef Subscription *subscription
    control_lock(&shard.lock)
    subscription = <Subscription *>slots_get(&shard.subscriptions, handle)
    if subscription != NULL:
        retire_subscription(shard, subscription)
    unlock(&shard.lock)
    if subscription == NULL:
        return UNKNOWN_HANDLE
    pass_sending(shard)
    return DONE


cdef Outcome set_source(
    Shard *shard, uint64_t handle, bint attached, uint64_t track_handle
) noexcept nogil:
    """attached False: from no track."""
    cdef Subscription *subscription
    cdef Track *track = NULL
    cdef Outcome outcome = DONE
    control_lock(&shard.lock)
    subscription = <Subscription *>slots_get(&shard.subscriptions, handle)
    if attached:
        track = <Track *>slots_get(&shard.tracks, track_handle)
    if subscription == NULL or (attached and track == NULL):
        outcome = UNKNOWN_HANDLE
    elif track != NULL and track.is_video != subscription.is_video:
        outcome = WRONG_KIND
    elif track != subscription.source:
        detach(subscription)
        if track != NULL:
            subscription.source = track
            subscription.next_subscriber = track.subscribers
            if track.subscribers != NULL:
                track.subscribers.previous_subscriber = subscription
            track.subscribers = subscription
            watch(track)
            ask_for(shard, subscription)
    unlock(&shard.lock)
    if outcome == DONE:
        pass_sending(shard)
    return outcome


cdef void ask_for(Shard *shard, const Subscription *subscription) noexcept nogil:
    """Have the video begin that it is to get, if its peer can receive. It has a source."""
    cdef const Peer *peer = subscription.peer
    if subscription.is_video and peer.selected and peer.send != NULL and waits(subscription):
        want_start(shard, subscription, monotonic_us())
        wake(shard)


cdef Outcome set_layer(
    Shard *shard, uint64_t handle, int spatial, int temporal
) noexcept nogil:
    cdef Subscription *subscription
    control_lock(&shard.lock)
    subscription = <Subscription *>slots_get(&shard.subscriptions, handle)
    if subscription != NULL:
        subscription.temporal = temporal
        if subscription.spatial != spatial:
            subscription.spatial = spatial
            if spatial < 0:
                subscription.flowing = False
            if subscription.source != NULL:
                watch(subscription.source)
                ask_for(shard, subscription)
    unlock(&shard.lock)
    if subscription == NULL:
        return UNKNOWN_HANDLE
    if spatial < 0:
        pass_sending(shard)
    return DONE


cdef Outcome set_playout_delay(Shard *shard, uint64_t handle, int delay_ms) noexcept nogil:
    cdef Subscription *subscription
    control_lock(&shard.lock)
    subscription = <Subscription *>slots_get(&shard.subscriptions, handle)
    if subscription != NULL:
        subscription.playout_delay_ms = delay_ms
    unlock(&shard.lock)
    return DONE if subscription != NULL else UNKNOWN_HANDLE
