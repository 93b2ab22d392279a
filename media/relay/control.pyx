# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The verbs' effects on a shard.

Any thread comes here, without the GIL, so that nobody who waits for the lock keeps Python
waiting and nobody who holds it waits for Python. Verbs that silence something pass
`sending` before they return: see forward.flush_and_unlock.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset
from media.relay.linux cimport (
    monotonic_us,
    pthread_mutex_destroy,
    pthread_mutex_init,
    pthread_mutex_lock,
    pthread_mutex_unlock,
)
from media.relay.locks cimport control_lock, turnstile_destroy, turnstile_init, unlock
from media.relay.placing cimport placing_init
from media.relay.ring cimport RING_SLOTS, Slot
from media.relay.state cimport (
    ADDRESSES_MAX,
    Address,
    Binding,
    Codec,
    FeedbackLog,
    MEDIA,
    Negotiated,
    Peer,
    RETRANSMISSION,
    Role,
    Shard,
    Stream,
    Subscription,
    Track,
    Ufrag,
    srtp_t,
)
from media.relay.streams cimport (
    add_stream,
    attach_streams_of,
    detach_streams_of,
    find_stream,
)
from media.relay.tables cimport (
    PEERS,
    SUBSCRIPTIONS,
    TRACKS,
    hash_address,
    hash_bytes,
    slots_add,
    slots_free,
    slots_get,
    slots_init,
    slots_remove,
    table_add,
    table_find,
    table_free,
    table_init,
    table_remove,
)
from media.relay.timers cimport KEYFRAME_INTERVAL_US, arm, wake, want_keyframe


cdef bint init_shard(Shard *shard) noexcept nogil:
    """The tables and locks; False: no memory."""
    turnstile_init(&shard.lock)
    pthread_mutex_init(&shard.sending, NULL)
    slots_init(&shard.peers, PEERS)
    slots_init(&shard.tracks, TRACKS)
    slots_init(&shard.subscriptions, SUBSCRIPTIONS)
    shard.batch = 1
    shard.up.slots = <Slot *>calloc(RING_SLOTS, sizeof(Slot))
    return (
        table_init(&shard.addresses) and table_init(&shard.ufrags) and shard.up.slots != NULL
    )


cdef void free_shard(Shard *shard) noexcept nogil:
    """Everything that init_shard and the verbs allocated. The thread has ended."""
    cdef uint32_t i
    for i in range(shard.peers.capacity):
        if shard.peers.items[i] != NULL:
            remove_peer(shard, (<Peer *>shard.peers.items[i]).handle)
    slots_free(&shard.peers)
    slots_free(&shard.tracks)
    slots_free(&shard.subscriptions)
    table_free(&shard.addresses)
    table_free(&shard.ufrags)
    free(shard.up.slots)
    turnstile_destroy(&shard.lock)
    pthread_mutex_destroy(&shard.sending)


cdef void pass_sending(Shard *shard) noexcept nogil:
    """Wait until what was made before has left."""
    pthread_mutex_lock(&shard.sending)
    pthread_mutex_unlock(&shard.sending)


# Peers


cdef uint64_t add_peer(Shard *shard) noexcept nogil:
    """The handle; 0: no memory."""
    cdef Peer *peer = <Peer *>calloc(1, sizeof(Peer))
    cdef uint64_t handle
    if peer == NULL:
        return 0
    control_lock(&shard.lock)
    handle = peer.handle = slots_add(&shard.peers, peer)
    unlock(&shard.lock)
    if handle == 0:
        free(peer)
    return handle


cdef Outcome configure_peer(
    Shard *shard, uint64_t handle, const Negotiated *negotiated, FeedbackLog **log
) noexcept nogil:
    """log: an empty one to keep if the peer needs one, NULL if it is to have none.

    What is left in `log` is the caller's to free.
    """
    cdef Peer *peer
    cdef Subscription *subscription
    cdef FeedbackLog *unused = log[0]
    control_lock(&shard.lock)
    peer = <Peer *>slots_get(&shard.peers, handle)
    if peer != NULL:
        peer.negotiated = negotiated[0]
        if log[0] == NULL or peer.feedback == NULL:
            unused = peer.feedback
            peer.feedback = log[0]
        subscription = peer.subscriptions
        while subscription != NULL:
            subscription.codec.family = 0
            subscription = subscription.next
    unlock(&shard.lock)
    log[0] = unused
    return DONE if peer != NULL else UNKNOWN_HANDLE


cdef Outcome remove_peer(Shard *shard, uint64_t handle) noexcept nogil:
    cdef Peer *peer
    cdef int i
    control_lock(&shard.lock)
    peer = <Peer *>slots_get(&shard.peers, handle)
    if peer == NULL:
        unlock(&shard.lock)
        return UNKNOWN_HANDLE
    while peer.subscriptions != NULL:
        retire_subscription(shard, peer.subscriptions)
    while peer.tracks != NULL:
        unlink_track(shard, peer.tracks)
    while peer.ufrags != NULL:
        unlink_ufrag(shard, peer.ufrags)
    while peer.binding_count:
        unbind(shard, peer.bindings[0])
    slots_remove(&shard.peers, handle)
    unlock(&shard.lock)
    pass_sending(shard)
    free_peer(shard, peer)
    return DONE


cdef void free_peer(Shard *shard, Peer *peer) noexcept nogil:
    cdef Subscription *subscription
    cdef int i
    while peer.retired != NULL:
        subscription = peer.retired
        peer.retired = subscription.next
        free(subscription)
    for i in range(peer.stream_count):
        free(peer.streams[i])
    free(peer.feedback)
    if peer.receive != NULL:
        shard.srtp.deallocate(peer.receive)
    if peer.send != NULL:
        shard.srtp.deallocate(peer.send)
    free(peer)


cdef Ufrag *find_ufrag(
    Shard *shard, uint64_t hash, const char *text, size_t length
) noexcept nogil:
    cdef uint64_t *cursor = NULL
    cdef Ufrag *ufrag = <Ufrag *>table_find(&shard.ufrags, hash, &cursor)
    while ufrag != NULL and (ufrag.length != length or memcmp(ufrag.text, text, length) != 0):
        ufrag = <Ufrag *>table_find(&shard.ufrags, hash, &cursor)
    return ufrag


cdef void unlink_ufrag(Shard *shard, Ufrag *ufrag) noexcept nogil:
    cdef Ufrag **at = &ufrag.peer.ufrags
    while at[0] != ufrag:
        at = &at[0].next
    at[0] = ufrag.next
    table_remove(&shard.ufrags, ufrag)
    free(ufrag)


cdef Outcome expect(
    Shard *shard, uint64_t handle, const char *text, size_t length
) noexcept nogil:
    """length: at most UFRAG_MAX. A ufrag that was another peer's is this one's from now on."""
    cdef uint64_t hash = hash_bytes(<const uint8_t *>text, length, shard.seed)
    cdef Ufrag *fresh = <Ufrag *>calloc(1, sizeof(Ufrag))
    cdef Ufrag *known
    cdef Peer *peer
    cdef Outcome outcome = DONE
    if fresh == NULL:
        return NO_MEMORY
    fresh.hash = hash
    fresh.length = <uint16_t>length
    memcpy(fresh.text, text, length)
    control_lock(&shard.lock)
    peer = <Peer *>slots_get(&shard.peers, handle)
    if peer == NULL:
        outcome = UNKNOWN_HANDLE
    else:
        known = find_ufrag(shard, hash, text, length)
        if known != NULL:
            unlink_ufrag(shard, known)
        if not table_add(&shard.ufrags, fresh):
            outcome = NO_MEMORY
        else:
            fresh.peer = peer
            fresh.next = peer.ufrags
            peer.ufrags = fresh
    unlock(&shard.lock)
    if outcome != DONE:
        free(fresh)
    return outcome


cdef void forget(Shard *shard, const char *text, size_t length) noexcept nogil:
    cdef uint64_t hash = hash_bytes(<const uint8_t *>text, length, shard.seed)
    cdef Ufrag *ufrag
    control_lock(&shard.lock)
    ufrag = find_ufrag(shard, hash, text, length)
    if ufrag != NULL:
        unlink_ufrag(shard, ufrag)
    unlock(&shard.lock)


cdef inline bint same_address(const Address *one, const Address *other) noexcept nogil:
    return one.low == other.low and one.high == other.high and one.port == other.port


cdef Binding *find_binding(Shard *shard, uint64_t hash, const Address *address) noexcept nogil:
    cdef uint64_t *cursor = NULL
    cdef Binding *binding = <Binding *>table_find(&shard.addresses, hash, &cursor)
    while binding != NULL and not same_address(&binding.address, address):
        binding = <Binding *>table_find(&shard.addresses, hash, &cursor)
    return binding


cdef void unbind(Shard *shard, Binding *binding) noexcept nogil:
    cdef Peer *peer = binding.peer
    cdef int i = 0
    if peer.selected and same_address(&peer.destination, &binding.address):
        stop_sending(peer)
    while peer.bindings[i] != binding:
        i += 1
    peer.binding_count -= 1
    peer.bindings[i] = peer.bindings[peer.binding_count]
    table_remove(&shard.addresses, binding)
    free(binding)


cdef Binding *most_silent(Peer *peer) noexcept nogil:
    """Of the addresses that media is not sent to."""
    cdef Binding *found = NULL
    cdef int i
    for i in range(peer.binding_count):
        if peer.selected and same_address(&peer.destination, &peer.bindings[i].address):
            continue
        if found == NULL or peer.bindings[i].seen_us < found.seen_us:
            found = peer.bindings[i]
    return found


cdef Outcome bind(Shard *shard, uint64_t handle, const Address *address) noexcept nogil:
    cdef uint64_t hash = hash_address(address, shard.seed)
    cdef Binding *fresh = <Binding *>calloc(1, sizeof(Binding))
    cdef Binding *known
    cdef Peer *peer
    cdef Outcome outcome = DONE
    cdef bint moved = False
    if fresh == NULL:
        return NO_MEMORY
    fresh.hash = hash
    fresh.address = address[0]
    control_lock(&shard.lock)
    peer = <Peer *>slots_get(&shard.peers, handle)
    known = find_binding(shard, hash, address)
    if peer == NULL:
        outcome = UNKNOWN_HANDLE
    elif known != NULL and known.peer == peer:
        known.seen_us = monotonic_us()
    else:
        if known != NULL:
            unbind(shard, known)
            moved = True
        if peer.binding_count == ADDRESSES_MAX:
            unbind(shard, most_silent(peer))
        if table_add(&shard.addresses, fresh):
            fresh.peer = peer
            fresh.seen_us = monotonic_us()
            peer.bindings[peer.binding_count] = fresh
            peer.binding_count += 1
            fresh = NULL
        else:
            outcome = NO_MEMORY
    unlock(&shard.lock)
    if moved:
        pass_sending(shard)
    free(fresh)
    return outcome


cdef void stop_sending(Peer *peer) noexcept nogil:
    """What the peer receives pauses: no gap in its sequences, video at a keyframe."""
    cdef Subscription *subscription = peer.subscriptions
    peer.selected = False
    while subscription != NULL:
        subscription.flowing = False
        subscription = subscription.next


cdef void begin_sending(Shard *shard, Peer *peer) noexcept nogil:
    """The peer can receive from now on: keyframes, and what it is owed as a publisher."""
    cdef Subscription *subscription = peer.subscriptions
    cdef int64_t now_us = monotonic_us()
    if not peer.selected or peer.send == NULL:
        return
    while subscription != NULL:
        subscription.flowing = False
        if subscription.is_video and subscription.source != NULL:
            want_keyframe(shard, subscription.source, now_us)
        subscription = subscription.next
    arm(shard, now_us)
    wake(shard)


cdef Outcome select(Shard *shard, uint64_t handle, const Address *address) noexcept nogil:
    """address: NULL stops sending."""
    cdef Peer *peer
    cdef Binding *binding
    cdef Outcome outcome = DONE
    control_lock(&shard.lock)
    peer = <Peer *>slots_get(&shard.peers, handle)
    if peer == NULL:
        outcome = UNKNOWN_HANDLE
    elif address == NULL:
        stop_sending(peer)
    else:
        binding = find_binding(shard, hash_address(address, shard.seed), address)
        if binding == NULL or binding.peer != peer:
            outcome = NOT_BOUND
        else:
            peer.destination = address[0]
            if not peer.selected:
                peer.selected = True
                begin_sending(shard, peer)
    unlock(&shard.lock)
    pass_sending(shard)
    return outcome


cdef Outcome set_sessions(
    Shard *shard, uint64_t handle, srtp_t *receive, srtp_t *send
) noexcept nogil:
    """Take over both sessions; what is left in them is the caller's to deallocate."""
    cdef Peer *peer
    control_lock(&shard.lock)
    peer = <Peer *>slots_get(&shard.peers, handle)
    if peer != NULL:
        peer.receive, receive[0] = receive[0], peer.receive
        peer.send, send[0] = send[0], peer.send
        begin_sending(shard, peer)
    unlock(&shard.lock)
    return DONE if peer != NULL else UNKNOWN_HANDLE


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
    """wanted: its kind and mid."""
    cdef Track *track = <Track *>calloc(1, sizeof(Track))
    cdef Peer *peer
    cdef Outcome outcome = DONE
    if track == NULL:
        return NO_MEMORY
    track[0] = wanted[0]
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
        attach_signalled(shard, track, ssrcs, ssrc_count, MEDIA)
        attach_signalled(shard, track, rtx_ssrcs, rtx_ssrc_count, RETRANSMISSION)
        attach_streams_of(track)
    unlock(&shard.lock)
    if outcome != DONE:
        free(track)
    return outcome


cdef void attach_signalled(
    Shard *shard, Track *track, const uint32_t *ssrcs, int count, Role role
) noexcept nogil:
    """An SSRC beyond what one peer may have is left to be learnt from its MID."""
    cdef Stream *stream
    cdef int i
    for i in range(count):
        stream = find_stream(track.peer, ssrcs[i])
        if stream == NULL:
            stream = add_stream(shard, track.peer, ssrcs[i])
        if stream != NULL:
            if stream.track != NULL and stream.track.active == stream:
                stream.track.active = NULL
            stream.track = track
            stream.role = role


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
    free(track)


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
    cdef Subscription *subscription
    control_lock(&shard.lock)
    track = <Track *>slots_get(&shard.tracks, handle)
    if track != NULL and track.forwarding != enabled:
        track.forwarding = enabled
        subscription = track.subscribers
        while subscription != NULL:
            subscription.flowing = False
            subscription = subscription.next_subscriber
        if enabled and track.is_video and track.subscribers != NULL:
            want_keyframe(shard, track, monotonic_us())
            wake(shard)
    unlock(&shard.lock)
    if track == NULL:
        return UNKNOWN_HANDLE
    if not enabled:
        pass_sending(shard)
    return DONE


cdef Outcome request_keyframe(Shard *shard, uint64_t handle) noexcept nogil:
    cdef Track *track
    control_lock(&shard.lock)
    track = <Track *>slots_get(&shard.tracks, handle)
    if track != NULL:
        want_keyframe(shard, track, monotonic_us())
        wake(shard)
    unlock(&shard.lock)
    return DONE if track != NULL else UNKNOWN_HANDLE


# What a peer receives


cdef Outcome add_subscription(
    Shard *shard, uint64_t peer_handle, const Subscription *wanted, uint64_t *handle
) noexcept nogil:
    """wanted: kind, mid, SSRC, and a first sequence number and timestamp.

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
    control_lock(&shard.lock)
    peer = <Peer *>slots_get(&shard.peers, peer_handle)
    if peer == NULL:
        outcome = UNKNOWN_HANDLE
    elif in_use(peer, wanted.ssrc):
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
            free(retired)
        subscription.peer = peer
        subscription.next = peer.subscriptions
        if peer.subscriptions != NULL:
            peer.subscriptions.previous = subscription
        peer.subscriptions = subscription
    unlock(&shard.lock)
    if outcome != DONE:
        free(subscription)
    return outcome


cdef bint in_use(const Peer *peer, uint32_t ssrc) noexcept nogil:
    cdef Subscription *subscription = peer.subscriptions
    while subscription != NULL and subscription.ssrc != ssrc:
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
    if source.subscribers == NULL:
        source.keyframe_wanted = False


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
            if track.is_video and subscription.peer.selected and subscription.peer.send != NULL:
                want_keyframe(shard, track, monotonic_us())
                wake(shard)
    unlock(&shard.lock)
    if outcome == DONE:
        pass_sending(shard)
    return outcome
