from libc.stdint cimport uint64_t
from media.relay.state cimport Shard

cdef dict of_relay(Shard *shard)
cdef dict held(Shard *shard)
cdef dict of_peer(Shard *shard, uint64_t peer)
cdef dict of_track(Shard *shard, uint64_t track)
cdef list of_layers(Shard *shard, uint64_t track)
cdef dict of_subscription(Shard *shard, uint64_t subscription)
cdef list silences_ms(Shard *shard, peers)
cdef list audio_levels(Shard *shard, tracks)
