# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What a layer of video is missing, and when to ask its publisher for it.

Follows the one SSRC of a layer that is forwarded, while somebody watches the layer and the
track is not muted; every packet it lets through goes into the layer's cache. A number is
asked for a few times within a second; then, or when too many are missing, a keyframe
repairs the picture.

All state is in the layer's Recovery; the relay thread alone comes here, holding the lock.
"""

from libc.stdint cimport int64_t
from libc.string cimport memmove
from media.relay.cache cimport cache_clear, cache_knows, cache_put
from media.relay.counters cimport GIVEN_UP, RECOVERED
from media.relay.state cimport (
    CACHE_PACKETS,
    Layer,
    MISSING_MAX,
    Missing,
    Packet,
    Recovery,
    Shard,
    Stream,
    Track,
)
from media.relay.timers cimport arm, want_keyframe

cdef enum:
    # Missing for so long, a number is lost and not only overtaken.
    LATE_US = 5000
    # Asked for twice each round trip, so that one lost message does not cost a whole one. What
    # the second finds on its way already, a browser does not send again (libwebrtc: not within
    # its own round trip).
    TWICE_US = 20000
    ASKED_MAX = 8
    GIVE_UP_US = 1000000
    # Finer than other feedback's grid: a frame waits for this.
    GRID_US = 5000


cdef inline int64_t on_fine_grid(int64_t due_us) noexcept nogil:
    return due_us + GRID_US - due_us % GRID_US


cdef bint recovery_note(
    Shard *shard,
    Track *track,
    Layer *layer,
    const Stream *stream,
    const Packet *packet,
    bint again,
) noexcept nogil:
    """Take in one packet of the active SSRC; False: it has come before, or is too old to tell.

    again: it was sent again, and says nothing of what came before it.
    """
    cdef Recovery *recovery = layer.recovery
    cdef int64_t position = packet.sequence_ext
    if recovery.stream_serial != stream.serial:
        if again:
            return False
        recovery_stop(recovery)
        cache_clear(&recovery.cache)
        recovery.stream_serial = stream.serial
        recovery.highest = position
    elif position > recovery.highest:
        if again:
            return False
        if position > recovery.highest + 1 and track.answers_nacks:
            note_gap(shard, track, layer, position)
        recovery.highest = position
    elif position + CACHE_PACKETS <= recovery.highest or cache_knows(&recovery.cache, position):
        return False
    else:
        resolve(shard, track, layer, position)
    if packet.keyframe:
        forget_before(recovery, position)
    cache_put(&recovery.cache, packet)
    return True


cdef void note_gap(
    Shard *shard, Track *track, Layer *layer, int64_t position
) noexcept nogil:
    """Everything between the highest number and `position` is missing."""
    cdef Recovery *recovery = layer.recovery
    cdef int64_t count = position - recovery.highest - 1
    cdef int64_t due_us = on_fine_grid(shard.now_us + LATE_US)
    cdef int64_t number
    cdef Missing *missing
    if recovery.missing_count + count > MISSING_MAX:
        give_up(shard, track, layer, recovery.missing_count + count)
        recovery.missing_count = 0
        recovery.due_us = 0
        return
    for number in range(recovery.highest + 1, position):
        missing = &recovery.missing[recovery.missing_count]
        recovery.missing_count += 1
        missing.sequence_ext = number
        missing.noticed_us = shard.now_us
        missing.due_us = due_us
        missing.asked = 0
    if recovery.due_us == 0 or due_us < recovery.due_us:
        recovery.due_us = due_us
        arm(shard, due_us)


cdef void resolve(
    Shard *shard, Track *track, const Layer *layer, int64_t position
) noexcept nogil:
    """A number came that is missing, or had been given up."""
    cdef Recovery *recovery = layer.recovery
    cdef int at = recovery.missing_count - 1
    while at >= 0 and recovery.missing[at].sequence_ext > position:
        at -= 1
    if at < 0 or recovery.missing[at].sequence_ext != position:
        return
    if recovery.missing[at].asked:
        shard.counters[RECOVERED] += 1
        track.recovered += 1
    remove(recovery, at, 1)


cdef void forget_before(Recovery *recovery, int64_t keyframe) noexcept nogil:
    """Nothing that follows a keyframe needs what came before it."""
    cdef int count = 0
    while count < recovery.missing_count and recovery.missing[count].sequence_ext < keyframe:
        count += 1
    if count:
        remove(recovery, 0, count)


cdef void remove(Recovery *recovery, int at, int count) noexcept nogil:
    recovery.missing_count -= count
    memmove(
        &recovery.missing[at],
        &recovery.missing[at + count],
        (recovery.missing_count - at) * sizeof(Missing),
    )
    if recovery.missing_count == 0:
        recovery.due_us = 0


cdef void give_up(Shard *shard, Track *track, Layer *layer, int64_t count) noexcept nogil:
    shard.counters[GIVEN_UP] += count
    track.given_up += count
    want_keyframe(shard, track, layer, shard.now_us)


cdef int recovery_due(
    Shard *shard, Track *track, Layer *layer, int64_t again_after_us, int64_t *numbers
) noexcept nogil:
    """The numbers to ask for now, ascending, up to MISSING_MAX; returns how many.

    again_after_us: until an answer can be here, over TWICE_US. Counts them as asked, gives up
    on old ones and arms the timer for the rest.
    """
    cdef Recovery *recovery = layer.recovery
    cdef Missing *missing
    cdef int64_t now_us = shard.now_us
    cdef int64_t earliest_us = 0
    cdef int64_t wait_us
    cdef int count = 0
    cdef int kept = 0
    cdef int lost = 0
    cdef int i
    for i in range(recovery.missing_count):
        missing = &recovery.missing[i]
        if missing.due_us <= now_us:
            if missing.asked == ASKED_MAX or now_us - missing.noticed_us >= GIVE_UP_US:
                lost += 1
                continue
            missing.asked += 1
            wait_us = TWICE_US if missing.asked & 1 else again_after_us - TWICE_US
            missing.due_us = on_fine_grid(now_us + wait_us)
            numbers[count] = missing.sequence_ext
            count += 1
        if earliest_us == 0 or missing.due_us < earliest_us:
            earliest_us = missing.due_us
        recovery.missing[kept] = missing[0]
        kept += 1
    recovery.missing_count = kept
    recovery.due_us = earliest_us
    if earliest_us:
        arm(shard, earliest_us)
    if lost:
        give_up(shard, track, layer, lost)
    return count


cdef void recovery_stop(Recovery *recovery) noexcept nogil:
    """Nobody is to get what is missing; the next packet begins anew."""
    recovery.stream_serial = 0
    recovery.missing_count = 0
    recovery.due_us = 0
