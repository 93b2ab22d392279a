# What happened on TCP connections: new ones, frames that came, ends.

from media.relay.state cimport Shard

cdef void ingest_streams(Shard *shard, int events) noexcept nogil
