# Verbs on rates: what a peer can receive, what a publisher is to send.

from libc.stdint cimport int64_t, uint64_t
from media.relay.state cimport Shard
from media.relay.verbs cimport Outcome

cdef enum:
    # 1 Gbit/s: more than one connection of a browser ever gets.
    RATE_MAX = 1000000000

# What is known of a peer's downlink; core.pyi has the meaning of each.
cdef struct Figures:
    uint64_t sent_bytes
    uint64_t padding_bytes
    uint64_t arrived_packets
    uint64_t arrived_bytes
    int64_t lost_packets
    int64_t arrival_us
    int64_t delay_us
    uint64_t feedbacks
    uint64_t probes
    int64_t probe_bits_a_second
    int64_t estimate
    uint64_t estimates
    uint64_t blocks
    uint64_t fraction_lost
    int64_t round_trip_us

cdef Outcome figures_of(Shard *shard, uint64_t handle, Figures *figures) noexcept nogil
cdef Outcome probe(
    Shard *shard, uint64_t handle, int64_t bits_a_second, int duration_ms
) noexcept nogil
cdef Outcome cap(Shard *shard, uint64_t track_handle, int64_t bits_a_second) noexcept nogil
