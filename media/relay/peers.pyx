# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Verbs on peers: their lives, addresses, ufrags and keys.

Any thread comes here, without the GIL, so that nobody who waits for the lock keeps Python
waiting and nobody who holds it waits for Python. Verbs that silence something pass
`sending` before they return.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy
from media.relay.layers cimport interrupt, want_start
from media.relay.linux cimport monotonic_us, pthread_mutex_destroy, pthread_mutex_init
from media.relay.locks cimport control_lock, turnstile_destroy, turnstile_init, unlock
from media.relay.ring cimport RING_SLOTS, Slot
from media.relay.routing cimport retire_subscription, unlink_track
from media.relay.state cimport (
    ADDRESSES_MAX,
    Address,
    Binding,
    Connection,
    FeedbackLog,
    History,
    Negotiated,
    Peer,
    Shard,
    Subscription,
    Ufrag,
    srtp_t,
)
from media.relay.tables cimport (
    PEERS,
    SUBSCRIPTIONS,
    TRACKS,
    hash_address,
    hash_bytes,
    same_address,
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
from media.relay.tcp cimport (
    close_connections,
    find_connection,
    prove,
    tcp_free,
    tcp_init,
    unlink_connection,
)
from media.relay.timers cimport arm, wake
from media.relay.verbs cimport (
    ADDRESS_IN_USE,
    CONNECTION_CLOSED,
    DONE,
    NO_MEMORY,
    NOT_BOUND,
    Outcome,
    UNKNOWN_HANDLE,
    pass_sending,
)

cdef enum:
    # Media, or reports about it, come about once a second and more often.
    IN_USE_US = 2000000


cdef bint init_shard(Shard *shard) noexcept nogil:
    """The tables and locks; False: no memory."""
    turnstile_init(&shard.lock)
    pthread_mutex_init(&shard.sending, NULL)
    slots_init(&shard.peers, PEERS)
    slots_init(&shard.tracks, TRACKS)
    slots_init(&shard.subscriptions, SUBSCRIPTIONS)
    tcp_init(shard)
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
    tcp_free(shard)
    slots_free(&shard.peers)
    slots_free(&shard.tracks)
    slots_free(&shard.subscriptions)
    table_free(&shard.addresses)
    table_free(&shard.ufrags)
    free(shard.up.slots)
    turnstile_destroy(&shard.lock)
    pthread_mutex_destroy(&shard.sending)


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
    Shard *shard,
    uint64_t handle,
    const Negotiated *negotiated,
    FeedbackLog **log,
    History **history,
) noexcept nogil:
    """log, history: empty ones to keep if the peer needs them, NULL if it is to have none.

    What is left in them is the caller's to free.
    """
    cdef Peer *peer
    cdef Subscription *subscription
    cdef FeedbackLog *unused = log[0]
    cdef History *unused_history = history[0]
    control_lock(&shard.lock)
    peer = <Peer *>slots_get(&shard.peers, handle)
    if peer != NULL:
        peer.negotiated = negotiated[0]
        if log[0] == NULL or peer.feedback == NULL:
            unused = peer.feedback
            peer.feedback = log[0]
        if history[0] == NULL or peer.history == NULL:
            unused_history = peer.history
            peer.history = history[0]
        subscription = peer.subscriptions
        while subscription != NULL:
            subscription.codec.family = 0
            subscription = subscription.next
    unlock(&shard.lock)
    log[0] = unused
    history[0] = unused_history
    return DONE if peer != NULL else UNKNOWN_HANDLE


cdef Outcome remove_peer(Shard *shard, uint64_t handle) noexcept nogil:
    cdef Peer *peer
    cdef Connection *closing = NULL
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
        unbind(shard, peer.bindings[0], &closing)
    slots_remove(&shard.peers, handle)
    unlock(&shard.lock)
    pass_sending(shard)
    close_connections(closing)
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
    free(peer.history)
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


cdef Binding *find_binding(Shard *shard, uint64_t hash, const Address *address) noexcept nogil:
    cdef uint64_t *cursor = NULL
    cdef Binding *binding = <Binding *>table_find(&shard.addresses, hash, &cursor)
    while binding != NULL and not same_address(&binding.address, address):
        binding = <Binding *>table_find(&shard.addresses, hash, &cursor)
    return binding


cdef void unbind(Shard *shard, Binding *binding, Connection **closing) noexcept nogil:
    """A TCP connection comes first in `closing`, for the caller to close once it has passed
    `sending`; with NULL it stays, for the address that it is."""
    cdef Peer *peer = binding.peer
    cdef Connection *connection
    if binding.address.connection and closing != NULL:
        connection = find_connection(shard, binding.address.connection)
        # NULL: the relay has stopped.
        if connection != NULL:
            unlink_connection(shard, connection)
            connection.next = closing[0]
            closing[0] = connection
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


cdef inline bint in_use(const Binding *binding) noexcept nogil:
    """Whether media goes there and something authentic came from there lately.

    Somebody else who writes that address on a datagram of its own must not get it.
    """
    return (
        binding.peer.selected
        and same_address(&binding.peer.destination, &binding.address)
        and monotonic_us() - binding.seen_us < IN_USE_US
    )


cdef Outcome bind(Shard *shard, uint64_t handle, const Address *address) noexcept nogil:
    cdef uint64_t hash = hash_address(address, shard.seed)
    cdef Binding *fresh = <Binding *>calloc(1, sizeof(Binding))
    cdef Binding *known
    cdef Peer *peer
    cdef Connection *connection = NULL
    cdef Connection *closing = NULL
    cdef Outcome outcome = DONE
    cdef bint moved = False
    if fresh == NULL:
        return NO_MEMORY
    fresh.hash = hash
    fresh.address = address[0]
    control_lock(&shard.lock)
    peer = <Peer *>slots_get(&shard.peers, handle)
    known = find_binding(shard, hash, address)
    if address.connection:
        connection = find_connection(shard, address.connection)
    if peer == NULL:
        outcome = UNKNOWN_HANDLE
    elif address.connection and (
        connection == NULL or not same_address(&connection.address, address)
    ):
        outcome = CONNECTION_CLOSED
    elif known != NULL and known.peer == peer:
        known.seen_us = monotonic_us()
    elif known != NULL and in_use(known):
        outcome = ADDRESS_IN_USE
    else:
        if known != NULL:
            unbind(shard, known, NULL)
            moved = True
        if peer.binding_count == ADDRESSES_MAX:
            unbind(shard, most_silent(peer), &closing)
            moved = True
        if table_add(&shard.addresses, fresh):
            fresh.peer = peer
            fresh.seen_us = monotonic_us()
            peer.bindings[peer.binding_count] = fresh
            peer.binding_count += 1
            fresh = NULL
            if connection != NULL:
                prove(shard, connection)
        else:
            outcome = NO_MEMORY
    unlock(&shard.lock)
    if moved:
        pass_sending(shard)
    close_connections(closing)
    free(fresh)
    return outcome


cdef void stop_sending(Peer *peer) noexcept nogil:
    """What the peer receives pauses: no gap in its sequences, video at a keyframe."""
    cdef Subscription *subscription = peer.subscriptions
    peer.selected = False
    while subscription != NULL:
        interrupt(subscription)
        subscription = subscription.next


cdef void begin_sending(Shard *shard, Peer *peer) noexcept nogil:
    """The peer can receive from now on: keyframes, and what it is owed as a publisher."""
    cdef Subscription *subscription = peer.subscriptions
    cdef int64_t now_us = monotonic_us()
    if not peer.selected or peer.send == NULL:
        return
    while subscription != NULL:
        interrupt(subscription)
        if subscription.is_video and subscription.source != NULL:
            want_start(shard, subscription, now_us)
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
        if binding == NULL and address.connection:
            outcome = CONNECTION_CLOSED
        elif binding == NULL or binding.peer != peer:
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
