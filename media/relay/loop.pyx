# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The relay thread: wait, receive, forward, give feedback, send. Never holds the GIL."""

from libc.stdint cimport int64_t, uint64_t
from media.relay.feedback cimport give_feedback
from media.relay.forward cimport flush_and_unlock, forward_runs
from media.relay.ingress cimport ingest_batch
from media.relay.linux cimport (
    CLOCK_MONOTONIC,
    POLLIN,
    TIMER_ABSTIME,
    atomic_read_i64,
    atomic_read_int,
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
    cdef int messages
    cdef int64_t now_us
    cdef Rate rate
    rate.since_us = monotonic_us()
    rate.packets = 0
    rate.high = False
    while not atomic_read_int(&shard.stopping):
        messages = receive(&shard.receiver, shard.fd)
        now_us = monotonic_us()
        if messages or timer_is_due(shard, now_us):
            rate.packets += process(shard, messages, now_us)
        if now_us - rate.since_us >= RATE_WINDOW_US:
            estimate(&rate, now_us)
        if messages == shard.receiver.capacity:
            continue
        if rate.high and messages and shard.gather_us:
            sleep_until(now_us + shard.gather_us)
        else:
            wait(shard)


cdef int process(Shard *shard, int messages, int64_t now_us) noexcept nogil:
    """One batch, from the receive buffer to the wire; returns how many packets it was."""
    cdef uint64_t one = 1
    cdef int packets
    relay_lock(&shard.lock)
    shard.now_us = now_us
    # 6.18 fixed point seconds (http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time)
    shard.send_time = <unsigned int>(((now_us % 64000000) << 18) // 1000000)
    packets = ingest_batch(shard, messages)
    forward_runs(shard)
    if timer_is_due(shard, now_us):
        give_feedback(shard)
    flush_and_unlock(shard)
    if shard.events_pending:
        shard.events_pending = False
        write(shard.events_fd, &one, sizeof(one))
    return packets


cdef inline bint timer_is_due(Shard *shard, int64_t now_us) noexcept nogil:
    cdef int64_t timer_us = atomic_read_i64(&shard.timer_us)
    return timer_us != 0 and timer_us <= now_us


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
    """Sleep until a packet comes, a verb wakes the thread or feedback is due."""
    cdef pollfd fds[2]
    cdef timespec timeout
    cdef int64_t timer_us = atomic_read_i64(&shard.timer_us)
    cdef int64_t left_us = max(timer_us - monotonic_us(), <int64_t>0) if timer_us else 0
    cdef uint64_t woken
    fds[0].fd = shard.fd
    fds[1].fd = shard.wake_fd
    fds[0].events = fds[1].events = POLLIN
    fds[0].revents = fds[1].revents = 0
    timeout.tv_sec = left_us // 1000000
    timeout.tv_nsec = left_us % 1000000 * 1000
    if ppoll(fds, 2, &timeout if timer_us else NULL, NULL) > 0 and fds[1].revents:
        read(shard.wake_fd, &woken, sizeof(woken))
