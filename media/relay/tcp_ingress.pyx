# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What happened on TCP connections: new ones, frames that came, ends.

A frame is a datagram to everything behind here. Frames lie in an arena of the thread's until
they are forwarded; a connection keeps only the begin of one whose end has not come.

The relay thread alone comes here, holding the lock; see forward.pyx on letting go of it.
Source: RFC 4571, 2.
"""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy
from media.relay.counters cimport DROPPED_TCP_FRAME, DROPPED_TCP_UNPROVEN
from media.relay.forward cimport flush, forward_runs
from media.relay.ingress cimport CLOSED_CONNECTION, find_binding, ingest, pass_up
from media.relay.linux cimport EAGAIN, EINTR, EPOLLOUT, MSG_DONTWAIT, errno, recv
from media.relay.peers cimport unbind
from media.relay.state cimport BATCH_PACKETS, Binding, Connection, FRAME_MAX, Shard, TCP_ARENA
from media.relay.tcp cimport (
    accept_connections,
    close_connections,
    find_connection,
    finish_frame,
    sweep,
    unlink_connection,
)
from media.relay.verbs cimport pass_sending
from media.relay.wire cimport get16

cdef enum:
    # At one time from one connection: 40 ms of a 3 Mbit/s stream.
    READ_MAX = 16384
    # Some 100 checks: more than a browser sends before it hears that one was good.
    UNPROVEN_BYTES_MAX = 16384


cdef void ingest_streams(Shard *shard, int events) noexcept nogil:
    """Take in what tcp_look found. Fills the batch's runs, which the caller forwards."""
    cdef Connection *connection
    cdef int i
    shard.tcp.used = 0
    for i in range(events):
        if shard.tcp.events[i].data.u64 == 0:
            accept_connections(shard)
            continue
        # It may have been closed by a verb, or to make room.
        connection = find_connection(shard, shard.tcp.events[i].data.u64)
        if connection == NULL:
            continue
        if shard.tcp.events[i].events & EPOLLOUT:
            finish_frame(shard, connection)
        if shard.tcp.events[i].events & ~<unsigned int>EPOLLOUT:
            take(shard, connection)
    if shard.tcp.sweep_us and shard.tcp.sweep_us <= shard.now_us:
        sweep(shard)


cdef void take(Shard *shard, Connection *connection) noexcept nogil:
    """Read what has come on one connection, once."""
    cdef uint64_t handle = connection.handle
    cdef uint8_t *data
    cdef size_t begun
    cdef ssize_t count
    if shard.tcp.used + connection.begun_length + READ_MAX > TCP_ARENA:
        forward_runs(shard)
        shard.tcp.used = 0
        # That may have let go of the lock.
        connection = find_connection(shard, handle)
        if connection == NULL:
            return
    begun = connection.begun_length
    data = shard.tcp.arena + shard.tcp.used
    count = recv(connection.fd, data + begun, READ_MAX, MSG_DONTWAIT)
    if count < 0 and (errno == EAGAIN or errno == EINTR):
        return
    if count <= 0:
        end(shard, connection)
        return
    if not connection.proven:
        connection.received += <unsigned int>count
        if connection.received > UNPROVEN_BYTES_MAX:
            shard.counters[DROPPED_TCP_UNPROVEN] += 1
            end(shard, connection)
            return
    memcpy(data, connection.begun, begun)
    shard.tcp.used += begun + count
    split(shard, connection, data, begun + count)


cdef void split(
    Shard *shard, Connection *connection, uint8_t *data, size_t left
) noexcept nogil:
    """Take in the frames of `left` bytes, and keep the begin of the last."""
    cdef uint64_t handle = connection.handle
    cdef Binding *binding = find_binding(shard, &connection.address)
    cdef size_t length
    while left >= 2:
        length = get16(data)
        if length > FRAME_MAX:
            shard.counters[DROPPED_TCP_FRAME] += 1
            end(shard, connection)
            return
        if left < 2 + length:
            break
        if length:
            if shard.held_packets == BATCH_PACKETS:
                forward_runs(shard)
                flush(shard)
                connection = find_connection(shard, handle)
                if connection == NULL:
                    return
                binding = find_binding(shard, &connection.address)
            shard.held_packets += 1
            ingest(shard, data + 2, length, &connection.address, binding)
        data += 2 + length
        left -= 2 + length
    memcpy(connection.begun, data, left)
    connection.begun_length = <unsigned short>left


cdef void end(Shard *shard, Connection *connection) noexcept nogil:
    """Close it. Whoever was bound to it is told: media must find another way."""
    cdef Binding *binding = find_binding(shard, &connection.address)
    cdef Connection *closing = NULL
    if binding != NULL:
        pass_up(
            shard, CLOSED_CONNECTION, binding.peer.handle, &connection.address, connection.begun, 0
        )
        unbind(shard, binding, &closing)
    else:
        unlink_connection(shard, connection)
        closing = connection
    pass_sending(shard)
    close_connections(closing)
