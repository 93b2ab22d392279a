# One received batch: whose is each packet, and what is it?

from media.relay.state cimport Shard

cdef int ingest_batch(Shard *shard, int messages) noexcept nogil
