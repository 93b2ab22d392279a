# When the relay thread is next to give feedback.

from libc.stdint cimport int64_t, uint64_t
from media.relay.linux cimport atomic_read_i64, atomic_write_i64, write
from media.relay.state cimport Layer, Shard, Track

cdef enum:
    # Apart, per track: a keyframe costs a publisher several times an ordinary frame.
    KEYFRAME_INTERVAL_US = 500000
    REPORT_INTERVAL_US = 1000000
    FEEDBACK_INTERVAL_US = 100000
    # Looking for what is due costs a visit to every peer.
    GRID_US = 20000
    # So many packets do not wait for the interval: one message holds them all.
    FEEDBACK_PACKETS = 200


cdef inline void arm(Shard *shard, int64_t due_us) noexcept nogil:
    """Under the lock. The thread must be awake, or be woken with `wake`."""
    cdef int64_t armed = atomic_read_i64(&shard.timer_us)
    if armed == 0 or due_us < armed:
        atomic_write_i64(&shard.timer_us, due_us)


cdef inline int64_t on_grid(int64_t due_us) noexcept nogil:
    """Up to 20 ms later, together with other peers' feedback."""
    return due_us + GRID_US - due_us % GRID_US


cdef inline void wake(Shard *shard) noexcept nogil:
    cdef uint64_t one = 1
    write(shard.wake_fd, &one, sizeof(one))


cdef inline void want_keyframe(
    Shard *shard, const Track *track, Layer *layer, int64_t now_us
) noexcept nogil:
    """Ask the publisher as soon as the interval allows, and again until a keyframe begins."""
    cdef int64_t due_us = track.keyframe_asked_us + KEYFRAME_INTERVAL_US
    layer.keyframe_wanted = True
    arm(shard, due_us if due_us > now_us else now_us)
