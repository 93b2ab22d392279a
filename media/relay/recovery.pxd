# What a layer is missing, and asking its publisher for it.

from libc.stdint cimport int64_t
from media.relay.state cimport Layer, Packet, Recovery, Shard, Stream, Track

cdef bint recovery_note(
    Shard *shard,
    Track *track,
    Layer *layer,
    const Stream *stream,
    const Packet *packet,
    bint again,
) noexcept nogil
cdef int recovery_due(
    Shard *shard, Track *track, Layer *layer, int64_t again_after_us, int64_t *numbers
) noexcept nogil
cdef void recovery_stop(Recovery *recovery) noexcept nogil
