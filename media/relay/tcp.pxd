# TCP connections beside the UDP socket: who may be connected, and frames out.

from libc.stdint cimport int64_t, uint8_t, uint64_t
from media.relay.state cimport Connection, Sender, Shard

cdef void tcp_init(Shard *shard) noexcept nogil
cdef bint tcp_open(Shard *shard, int listener, int limit, int64_t prove_us) noexcept nogil
cdef void tcp_free(Shard *shard) noexcept nogil

cdef int tcp_look(Shard *shard) noexcept nogil
cdef void accept_connections(Shard *shard) noexcept nogil
cdef void sweep(Shard *shard) noexcept nogil

cdef Connection *find_connection(Shard *shard, uint64_t handle) noexcept nogil
cdef void prove(Shard *shard, Connection *connection) noexcept nogil
cdef void unlink_connection(Shard *shard, Connection *connection) noexcept nogil
cdef void close_connections(Connection *first) noexcept nogil

cdef void find_connections(Shard *shard) noexcept nogil
cdef void send_streams(Sender *sender) noexcept nogil
cdef void send_frame(
    Shard *shard, uint64_t handle, const uint8_t *data, size_t length
) noexcept nogil
cdef void finish_frame(Shard *shard, Connection *connection) noexcept nogil
