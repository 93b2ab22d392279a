# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The relay thread: wait, receive, forward, give feedback, send. Never holds the GIL."""

from libc.stdint cimport int64_t, uint64_t
from media.relay.counters cimport PACKETS_IN
from media.relay.feedback cimport give_feedback
from media.relay.forward cimport flush_and_unlock, forward_runs
from media.relay.ingress cimport ingest_batch
from media.relay.linux cimport (
    CLOCK_MONOTONIC,
    POLLIN,
    TIMER_ABSTIME,
    atomic_read_i64,
    atomic_read_int,
    atomic_write_i64,
    clock_nanosleep,
    monotonic_us,
    pollfd,
    ppoll,
    read,
    timespec,
    write,
)
from media.relay.locks cimport relay_lock
from media.relay.state cimport Shard
from media.relay.tcp cimport tcp_look
from media.relay.tcp_ingress cimport ingest_streams
from media.relay.udp cimport receive

cdef enum:
    RATE_WINDOW_US = 20000
    # Packets a second in one window. Letting packets gather saves a third of the cost from
    # 20,000 on and costs more than it saves at 5,000; apart, so that it does not flap.
    GATHER_ABOVE = 15000
    GATHER_BELOW = 12000

cdef struct Rate:
    int64_t since_us
    int packets
    bint high


cdef void run(Shard *shard) noexcept nogil:
    """Until shard.stopping."""
    cdef int messages, streams
    cdef int64_t now_us
    cdef bint window_over
    cdef Rate rate
    cdef int64_t awake_us = monotonic_us()
    rate.since_us = awake_us
    rate.packets = 0
    rate.high = False
    while not atomic_read_int(&shard.stopping):
        messages = receive(&shard.receiver, shard.fd)
        now_us = monotonic_us()
        streams = tcp_look(shard) if shard.tcp.ready else 0
        if messages or streams or timer_is_due(shard, now_us) or sweep_is_due(shard, now_us):
            rate.packets += process(shard, messages, streams, now_us)
        window_over = now_us - rate.since_us >= RATE_WINDOW_US
        if window_over:
            estimate(&rate, now_us)
        awake_us = turn_over(shard, awake_us)
        if messages < shard.receiver.capacity and not (
            rate.high and (messages or streams) and shard.gather_us
        ):
            wait(shard)
            awake_us = monotonic_us()
            continue
        # Nobody asked the kernel who connects; those who are connected send like the others.
        shard.tcp.ready = shard.tcp.epoll >= 0 and (
            window_over or atomic_read_int(&shard.tcp.count) > 0
        )
        if messages < shard.receiver.capacity:
            sleep_until(now_us + shard.gather_us)
            awake_us = monotonic_us()


cdef int process(Shard *shard, int messages, int streams, int64_t now_us) noexcept nogil:
    """One batch, from the receive buffer to the wire; returns how many packets it was.

    streams: how many of tcp.events happened.
    """
    cdef uint64_t one = 1
    cdef uint64_t before
    cdef int packets
    relay_lock(&shard.lock)
    shard.now_us = now_us
    # 6.18 fixed point seconds (http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time)
    shard.send_time = <unsigned int>(((now_us % 64000000) << 18) // 1000000)
    before = shard.counters[PACKETS_IN]
    ingest_batch(shard, messages)
    if streams or sweep_is_due(shard, now_us):
        ingest_streams(shard, streams)
    packets = <int>(shard.counters[PACKETS_IN] - before)
    forward_runs(shard)
    if timer_is_due(shard, now_us):
        give_feedback(shard)
    flush_and_unlock(shard)
    if shard.events_pending:
        shard.events_pending = False
        write(shard.events_fd, &one, sizeof(one))
    return packets


cdef inline int64_t turn_over(Shard *shard, int64_t awake_us) noexcept nogil:
    """Count a turn and how long it took, the waits left out; the present time."""
    cdef int64_t now_us = monotonic_us()
    atomic_write_i64(&shard.turns, shard.turns + 1)
    atomic_write_i64(&shard.busy_us, shard.busy_us + now_us - awake_us)
    return now_us


cdef inline bint timer_is_due(Shard *shard, int64_t now_us) noexcept nogil:
    cdef int64_t timer_us = atomic_read_i64(&shard.timer_us)
    return timer_us != 0 and timer_us <= now_us


cdef inline bint sweep_is_due(const Shard *shard, int64_t now_us) noexcept nogil:
    return shard.tcp.sweep_us != 0 and shard.tcp.sweep_us <= now_us


cdef void estimate(Rate *rate, int64_t now_us) noexcept nogil:
    cdef int64_t per_second = <int64_t>rate.packets * 1000000 // (now_us - rate.since_us)
    rate.high = per_second >= (GATHER_BELOW if rate.high else GATHER_ABOVE)
    rate.since_us = now_us
    rate.packets = 0


cdef void sleep_until(int64_t when_us) noexcept nogil:
    cdef timespec when
    when.tv_sec = when_us // 1000000
    when.tv_nsec = when_us % 1000000 * 1000
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL)


cdef void wait(Shard *shard) noexcept nogil:
    """Sleep until a packet comes, a verb wakes the thread, or feedback or a sweep is due."""
    cdef pollfd fds[3]
    cdef timespec timeout
    cdef int64_t timer_us = atomic_read_i64(&shard.timer_us)
    cdef int64_t left_us = 0
    cdef uint64_t woken
    if shard.tcp.sweep_us and (timer_us == 0 or shard.tcp.sweep_us < timer_us):
        timer_us = shard.tcp.sweep_us
    if timer_us:
        left_us = max(timer_us - monotonic_us(), <int64_t>0)
    fds[0].fd = shard.fd
    fds[1].fd = shard.wake_fd
    fds[2].fd = shard.tcp.epoll  # -1: ignored
    fds[0].events = fds[1].events = fds[2].events = POLLIN
    fds[0].revents = fds[1].revents = fds[2].revents = 0
    timeout.tv_sec = left_us // 1000000
    timeout.tv_nsec = left_us % 1000000 * 1000
    if ppoll(fds, 3, &timeout if timer_us else NULL, NULL) > 0 and fds[1].revents:
        read(shard.wake_fd, &woken, sizeof(woken))
    shard.tcp.ready = fds[2].revents != 0
