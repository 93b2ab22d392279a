# The relay thread.

from media.relay.state cimport Shard

cdef void run(Shard *shard) noexcept nogil
