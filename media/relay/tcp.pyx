# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""TCP connections beside the UDP socket: who may be connected, and frames out.

A connection is an address that packets come from and go to, like any other; its handle makes
it one that is never used again. It is anybody's until a peer is bound to it, and goes with
that binding. What goes out waits in the kernel's send buffer alone: a packet that does not
fit is lost, as it is on UDP, and of one that fits in part only the rest is kept.

`Shard.lock` guards which connections there are; nothing is written but with `Shard.sending`.
Whoever takes one out of the table passes `sending` before it frees it.
Sources: RFC 4571, 2 (framing); RFC 6544 (ICE-TCP, passive).
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy
from media.relay.counters cimport (
    DROPPED_TCP_LIMIT,
    DROPPED_TCP_SEND,
    DROPPED_TCP_UNPROVEN,
    TCP_CLOSED,
    TCP_OPENED,
)
from media.relay.linux cimport (
    EAGAIN,
    ECONNABORTED,
    EINTR,
    EPOLLIN,
    EPOLLOUT,
    EPOLL_CLOEXEC,
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    EPOLL_CTL_MOD,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    SOCK_CLOEXEC,
    SOCK_NONBLOCK,
    SOL_SOCKET,
    SO_LINGER,
    accept4,
    atomic_add_int,
    close,
    epoll_create1,
    epoll_ctl,
    epoll_event,
    epoll_wait,
    errno,
    iovec,
    linger,
    msghdr,
    pthread_mutex_lock,
    pthread_mutex_unlock,
    send,
    sendmsg,
    setsockopt,
    sockaddr,
    sockaddr_in6,
    socklen_t,
)
from media.relay.locks cimport control_lock, unlock
from media.relay.state cimport (
    Address,
    Connection,
    Sender,
    Shard,
    TCP_ARENA,
    TCP_EVENTS,
)
from media.relay.tables cimport CONNECTIONS, slots_add, slots_free, slots_get, slots_init, slots_remove
from media.relay.udp cimport is_ipv4, read_sockaddr
from media.relay.verbs cimport pass_sending
from media.relay.wire cimport put16

cdef enum:
    # A browser proves each of its connections within a round trip or two, so that these are
    # many clinics' worth of people behind one address who all connect in the same moment.
    UNPROVEN_PER_SOURCE = 16
    ACCEPTS_PER_LOOK = 16
    # Without a descriptor or memory left for another connection.
    PAUSE_US = 1000000
    FRAMES_PER_WRITE = 64


cdef void tcp_init(Shard *shard) noexcept nogil:
    shard.tcp.listener = shard.tcp.epoll = -1
    slots_init(&shard.tcp.slots, CONNECTIONS)


cdef bint tcp_open(Shard *shard, int listener, int limit, int64_t prove_us) noexcept nogil:
    """Take connections from `listener`, which stays its owner's; False: no memory, or no
    descriptor.

    limit: connections at one time. prove_us: how long one may belong to nobody.
    """
    shard.tcp.listener = listener
    shard.tcp.limit = limit
    shard.tcp.prove_us = prove_us
    shard.tcp.arena = <uint8_t *>malloc(TCP_ARENA)
    shard.tcp.epoll = epoll_create1(EPOLL_CLOEXEC)
    if shard.tcp.arena == NULL or shard.tcp.epoll < 0:
        return False
    return watch(shard.tcp.epoll, EPOLL_CTL_ADD, listener, 0, EPOLLIN)


cdef void tcp_free(Shard *shard) noexcept nogil:
    """Close every connection; the thread has ended."""
    cdef Connection *connection
    cdef uint32_t i
    for i in range(shard.tcp.slots.capacity):
        connection = <Connection *>shard.tcp.slots.items[i]
        if connection != NULL:
            unlink_connection(shard, connection)
            close_connections(connection)
    slots_free(&shard.tcp.slots)
    slots_init(&shard.tcp.slots, CONNECTIONS)
    free(shard.tcp.arena)
    shard.tcp.arena = NULL
    if shard.tcp.epoll >= 0:
        close(shard.tcp.epoll)
    shard.tcp.epoll = -1


cdef bint watch(int epoll, int operation, int fd, uint64_t handle, uint32_t events) noexcept nogil:
    cdef epoll_event event
    event.events = events
    event.data.u64 = handle
    return epoll_ctl(epoll, operation, fd, &event) == 0


# Who may be connected. The relay thread, holding the lock, unless it says otherwise.


cdef int tcp_look(Shard *shard) noexcept nogil:
    """How many of tcp.events happened; without the lock.

    Each names a connection, or the listener (0).
    """
    cdef int count = epoll_wait(shard.tcp.epoll, shard.tcp.events, TCP_EVENTS, 0)
    shard.tcp.ready = False
    return count if count > 0 else 0


cdef void accept_connections(Shard *shard) noexcept nogil:
    cdef sockaddr_in6 source
    cdef socklen_t length
    cdef int i, fd
    for i in range(ACCEPTS_PER_LOOK):
        length = sizeof(source)
        fd = accept4(
            shard.tcp.listener, <sockaddr *>&source, &length, SOCK_NONBLOCK | SOCK_CLOEXEC
        )
        if fd >= 0:
            admit(shard, fd, &source)
        elif errno == EINTR or errno == ECONNABORTED:
            continue
        else:
            if errno != EAGAIN:
                pause(shard)
            return


cdef void pause(Shard *shard) noexcept nogil:
    """The listener would be ready, in vain, at every look."""
    watch(shard.tcp.epoll, EPOLL_CTL_DEL, shard.tcp.listener, 0, 0)
    shard.tcp.paused = True
    shard.tcp.sweep_us = shard.now_us + PAUSE_US


cdef void admit(Shard *shard, int fd, const sockaddr_in6 *source) noexcept nogil:
    """Make it a connection, in place of an older one if need be; or close it."""
    cdef Connection *connection = NULL
    cdef Address address
    read_sockaddr(source, &address)
    make_room(shard, &address)
    if shard.tcp.count < shard.tcp.limit:
        connection = <Connection *>calloc(1, sizeof(Connection))
    if connection == NULL:
        shard.counters[DROPPED_TCP_LIMIT] += 1
        close(fd)
        return
    connection.fd = fd
    connection.epoll = shard.tcp.epoll
    connection.address = address
    connection.accepted_us = shard.now_us
    connection.handle = slots_add(&shard.tcp.slots, connection)
    connection.address.connection = connection.handle
    if connection.handle == 0 or not watch(
        connection.epoll, EPOLL_CTL_ADD, fd, connection.handle, EPOLLIN
    ):
        if connection.handle:
            slots_remove(&shard.tcp.slots, connection.handle)
        shard.counters[DROPPED_TCP_LIMIT] += 1
        close_connections(connection)
        return
    connection.previous = shard.tcp.newest
    if shard.tcp.newest != NULL:
        shard.tcp.newest.next = connection
    else:
        shard.tcp.oldest = connection
    shard.tcp.newest = connection
    atomic_add_int(&shard.tcp.count, 1)
    shard.counters[TCP_OPENED] += 1
    if shard.tcp.sweep_us == 0:
        shard.tcp.sweep_us = shard.now_us + shard.tcp.prove_us


cdef void make_room(Shard *shard, const Address *source) noexcept nogil:
    """Close the oldest unproven connection, of this source or of all, where there are too many.

    The new one is not refused: whoever holds connections without a proof keeps nobody out.
    """
    cdef Connection *oldest = NULL
    cdef Connection *connection = shard.tcp.oldest
    cdef int count = 0
    while connection != NULL:
        if same_source(&connection.address, source):
            count += 1
            if oldest == NULL:
                oldest = connection
        connection = connection.next
    if count < UNPROVEN_PER_SOURCE:
        oldest = shard.tcp.oldest if shard.tcp.count >= shard.tcp.limit else NULL
    if oldest != NULL:
        shard.counters[DROPPED_TCP_LIMIT] += 1
        drop(shard, oldest)


cdef inline bint same_source(const Address *one, const Address *other) noexcept nogil:
    """One machine, as far as anybody can tell: an IPv4 address, or an IPv6 network (/64)."""
    if one.high != other.high or is_ipv4(one) != is_ipv4(other):
        return False
    return not is_ipv4(one) or one.low == other.low


cdef void sweep(Shard *shard) noexcept nogil:
    """Close who has not proven whose it is in time; go on accepting after a pause."""
    cdef Connection *oldest = shard.tcp.oldest
    while oldest != NULL and oldest.accepted_us + shard.tcp.prove_us <= shard.now_us:
        shard.counters[DROPPED_TCP_UNPROVEN] += 1
        drop(shard, oldest)
        oldest = shard.tcp.oldest
    if shard.tcp.paused:
        shard.tcp.paused = False
        watch(shard.tcp.epoll, EPOLL_CTL_ADD, shard.tcp.listener, 0, EPOLLIN)
    shard.tcp.sweep_us = oldest.accepted_us + shard.tcp.prove_us if oldest != NULL else 0


cdef void drop(Shard *shard, Connection *connection) noexcept nogil:
    """Close one that is bound to nobody."""
    unlink_connection(shard, connection)
    pass_sending(shard)
    close_connections(connection)


# Any thread, holding the lock.


cdef Connection *find_connection(Shard *shard, uint64_t handle) noexcept nogil:
    """NULL: it is closed."""
    return <Connection *>slots_get(&shard.tcp.slots, handle)


cdef void prove(Shard *shard, Connection *connection) noexcept nogil:
    """It is a peer's."""
    if not connection.proven:
        connection.proven = True
        leave_unproven(shard, connection)


cdef void leave_unproven(Shard *shard, Connection *connection) noexcept nogil:
    if connection.previous != NULL:
        connection.previous.next = connection.next
    else:
        shard.tcp.oldest = connection.next
    if connection.next != NULL:
        connection.next.previous = connection.previous
    else:
        shard.tcp.newest = connection.previous
    connection.previous = connection.next = NULL


cdef void unlink_connection(Shard *shard, Connection *connection) noexcept nogil:
    """Nobody finds it any more. To be closed, once `sending` was passed."""
    if not connection.proven:
        leave_unproven(shard, connection)
    slots_remove(&shard.tcp.slots, connection.handle)
    atomic_add_int(&shard.tcp.count, -1)
    shard.counters[TCP_CLOSED] += 1


cdef void close_connections(Connection *first) noexcept nogil:
    """Close and free a list, at once: what the kernel still holds to be sent is thrown away."""
    cdef Connection *connection
    cdef linger reset
    reset.l_onoff = 1
    reset.l_linger = 0
    while first != NULL:
        connection = first
        first = connection.next
        setsockopt(connection.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset))
        close(connection.fd)
        free(connection)


# Frames out.


cdef void find_connections(Shard *shard) noexcept nogil:
    """Of every message that goes over TCP; holding the lock and `sending`. NULL: it is closed."""
    cdef Sender *sender = &shard.sender
    cdef int i
    for i in range(sender.message_count):
        if sender.addresses[i].connection:
            sender.connections[i] = find_connection(shard, sender.addresses[i].connection)


cdef void send_streams(Sender *sender) noexcept nogil:
    """Write what goes over TCP, and leave the datagrams to udp.send_all; holding `sending`."""
    cdef int at = 0
    cdef int kept = 0
    cdef int end
    while at < sender.message_count:
        end = at + 1
        if sender.addresses[at].connection == 0:
            sender.vectors[kept] = sender.vectors[at]
            sender.addresses[kept] = sender.addresses[at]
            sender.segment_size[kept] = sender.segment_size[at]
            sender.segment_count[kept] = sender.segment_count[at]
            kept += 1
        else:
            while (
                end < sender.message_count
                and sender.addresses[end].connection == sender.addresses[at].connection
            ):
                end += 1
            write_messages(sender, at, end)
        at = end
    sender.message_count = kept
    sender.stream_count = 0


cdef void write_messages(Sender *sender, int first, int end) noexcept nogil:
    """Messages first..end-1, all to one connection, a frame each of their segments."""
    cdef Connection *connection = sender.connections[first]
    cdef iovec vectors[2 * FRAMES_PER_WRITE]
    cdef uint8_t headers[2 * FRAMES_PER_WRITE]
    cdef uint8_t *data
    cdef size_t left, length
    cdef int count = 0
    cdef int i
    for i in range(first, end):
        data = <uint8_t *>sender.vectors[i].iov_base
        left = sender.vectors[i].iov_len
        while left:
            length = min(left, <size_t>sender.segment_size[i])
            frame(&vectors[2 * count], &headers[2 * count], data, length)
            count += 1
            if count == FRAMES_PER_WRITE:
                sender.unwritten += write_frames(connection, vectors, count)
                count = 0
            data += length
            left -= length
    if count:
        sender.unwritten += write_frames(connection, vectors, count)


cdef inline void frame(
    iovec *vectors, uint8_t *header, const uint8_t *data, size_t length
) noexcept nogil:
    put16(header, <uint32_t>length)
    vectors[0].iov_base = header
    vectors[0].iov_len = 2
    vectors[1].iov_base = <void *>data
    vectors[1].iov_len = length


cdef int write_frames(Connection *connection, iovec *vectors, int count) noexcept nogil:
    """`count` frames, two vectors each; returns how many are lost. Never waits."""
    cdef msghdr message
    cdef ssize_t sent
    cdef ssize_t length
    cdef int i
    if connection == NULL or not write_rest(connection):
        return count
    message.msg_name = message.msg_control = NULL
    message.msg_namelen = 0
    message.msg_controllen = 0
    message.msg_flags = 0
    message.msg_iov = vectors
    message.msg_iovlen = 2 * count
    sent = sendmsg(connection.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
    # A broken connection is closed when its end is read.
    sent = max(sent, <ssize_t>0)
    for i in range(count):
        length = vectors[2 * i].iov_len + vectors[2 * i + 1].iov_len
        if sent < length:
            if sent == 0:
                return count - i
            keep_rest(connection, &vectors[2 * i], sent)
            return count - i - 1
        sent -= length
    return 0


cdef void keep_rest(Connection *connection, const iovec *vectors, size_t sent) noexcept nogil:
    """Of a frame that the kernel took `sent` bytes of, 1 and more: the end must follow."""
    cdef size_t header = vectors[0].iov_len
    cdef size_t length = header + vectors[1].iov_len
    memcpy(connection.rest, vectors[0].iov_base, header)
    memcpy(connection.rest + header, vectors[1].iov_base, vectors[1].iov_len)
    connection.rest_at = <uint16_t>sent
    connection.rest_length = <uint16_t>(length - sent)
    watch(
        connection.epoll, EPOLL_CTL_MOD, connection.fd, connection.handle, EPOLLIN | EPOLLOUT
    )


cdef bint write_rest(Connection *connection) noexcept nogil:
    """Whether the frame that was begun, if any, is out."""
    cdef ssize_t sent
    if connection.rest_length == 0:
        return True
    sent = send(
        connection.fd,
        connection.rest + connection.rest_at,
        connection.rest_length,
        MSG_DONTWAIT | MSG_NOSIGNAL,
    )
    if sent > 0:
        connection.rest_at += <uint16_t>sent
        connection.rest_length -= <uint16_t>sent
    if connection.rest_length:
        return False
    watch(connection.epoll, EPOLL_CTL_MOD, connection.fd, connection.handle, EPOLLIN)
    return True


cdef void finish_frame(Shard *shard, Connection *connection) noexcept nogil:
    """There is room again; holding the lock."""
    pthread_mutex_lock(&shard.sending)
    write_rest(connection)
    pthread_mutex_unlock(&shard.sending)


cdef void send_frame(
    Shard *shard, uint64_t handle, const uint8_t *data, size_t length
) noexcept nogil:
    """One packet of a verb's, without the lock; lost where there is no room or no connection."""
    cdef Connection *connection
    cdef iovec vectors[2]
    cdef uint8_t header[2]
    cdef int lost
    frame(vectors, header, data, length)
    control_lock(&shard.lock)
    connection = find_connection(shard, handle)
    # In this order: see forward.flush_and_unlock.
    pthread_mutex_lock(&shard.sending)
    lost = write_frames(connection, vectors, 1)
    pthread_mutex_unlock(&shard.sending)
    shard.counters[DROPPED_TCP_SEND] += lost
    unlock(&shard.lock)
