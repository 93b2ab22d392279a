# From a track's packets to its subscribers' datagrams.

from media.relay.state cimport Shard, Stream, Track

cdef void add_to_run(Shard *shard, Track *track, const Stream *stream, int packet) noexcept nogil
cdef void forward_runs(Shard *shard) noexcept nogil
cdef void flush(Shard *shard) noexcept nogil
cdef void flush_and_unlock(Shard *shard) noexcept nogil
