# The SSRCs that a peer sends.

from libc.stdint cimport uint32_t
from media.relay.state cimport Packet, Peer, Shard, Stream, Track

cdef Stream *find_stream(Peer *peer, uint32_t ssrc) noexcept nogil
cdef bint has_room(Peer *peer) noexcept nogil
cdef Stream *add_stream(Shard *shard, Peer *peer, uint32_t ssrc) noexcept nogil
cdef void attach_by_mid(Peer *peer, Stream *stream, const Packet *packet) noexcept nogil
cdef void attach(Stream *stream, Track *track) noexcept nogil
cdef void learn_rid(Stream *stream, const Packet *packet) noexcept nogil
cdef Stream *original_of(const Peer *peer, const Stream *retransmission) noexcept nogil
cdef void attach_streams_of(Track *track) noexcept nogil
cdef void detach_streams_of(Track *track) noexcept nogil
