# The relay thread, and one turn of it.

from libc.stdint cimport int64_t
from media.relay.state cimport Shard

cdef void run(Shard *shard) noexcept nogil
cdef int process(Shard *shard, int messages, int streams, int64_t now_us) noexcept nogil
