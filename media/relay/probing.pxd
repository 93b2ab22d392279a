# Padding that shows what else a peer's downlink carries.

from libc.stdint cimport int64_t
from media.relay.state cimport Peer, Shard

cdef void begin_probe(
    Peer *peer, int64_t bits_a_second, int64_t duration_us, int64_t now_us
) noexcept nogil
cdef void go_on_probing(Shard *shard, Peer *peer) noexcept nogil
