# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Verbs on rates: what a peer can receive, what a publisher is to send.

Called as peers.pyx is: any thread, no GIL. What they want sent is armed; the thread sends it.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset
from media.relay.history cimport HEADERS
from media.relay.linux cimport monotonic_us
from media.relay.locks cimport control_lock, unlock
from media.relay.probing cimport begin_probe
from media.relay.state cimport Cap, History, Peer, Shard, Track
from media.relay.tables cimport slots_get
from media.relay.timers cimport arm, wake
from media.relay.verbs cimport DONE, Outcome, UNKNOWN_HANDLE

cdef enum:
    # A cap is lifted by a high one, told so often: each message may get lost.
    LIFTED_REPEATS = 3


cdef Outcome figures_of(Shard *shard, uint64_t handle, Figures *figures) noexcept nogil:
    cdef Peer *peer
    cdef const History *history
    memset(figures, 0, sizeof(Figures))
    control_lock(&shard.lock)
    peer = <Peer *>slots_get(&shard.peers, handle)
    if peer != NULL:
        figures.sent_bytes = peer.bytes_out + HEADERS * peer.packets_out
        figures.estimate = peer.estimate
        figures.estimates = peer.estimates
        figures.blocks = peer.blocks
        figures.fraction_lost = peer.fraction_lost
        figures.round_trip_us = peer.round_trip_us
        history = peer.history
        if history != NULL:
            figures.padding_bytes = history.padding_bytes
            figures.arrived_packets = history.arrived_packets
            figures.arrived_bytes = history.arrived_bytes
            figures.lost_packets = history.lost_packets
            figures.arrival_us = history.arrival_us
            figures.delay_us = history.delay_us
            figures.feedbacks = history.feedbacks
            figures.probes = history.probes
            figures.probe_bits_a_second = history.probe_bits_a_second
    unlock(&shard.lock)
    return DONE if peer != NULL else UNKNOWN_HANDLE


cdef Outcome probe(
    Shard *shard, uint64_t handle, int64_t bits_a_second, int duration_ms
) noexcept nogil:
    cdef int64_t now_us = monotonic_us()
    cdef Peer *peer
    control_lock(&shard.lock)
    peer = <Peer *>slots_get(&shard.peers, handle)
    if peer != NULL:
        begin_probe(peer, bits_a_second, <int64_t>duration_ms * 1000, now_us)
        arm(shard, now_us)
        wake(shard)
    unlock(&shard.lock)
    return DONE if peer != NULL else UNKNOWN_HANDLE


cdef Outcome cap(Shard *shard, uint64_t track_handle, int64_t bits_a_second) noexcept nogil:
    """bits_a_second: 0 lifts it. The same once more changes nothing."""
    cdef int64_t now_us = monotonic_us()
    cdef Track *track
    cdef Cap *told
    control_lock(&shard.lock)
    track = <Track *>slots_get(&shard.tracks, track_handle)
    if track != NULL:
        told = &track.peer.cap
        told.media_ssrc = forwarded_ssrc(track)
        if bits_a_second and told.bits_a_second != bits_a_second:
            told.bits_a_second = bits_a_second
            told.repeats = -1
            told.due_us = now_us
        elif bits_a_second == 0 and told.bits_a_second not in (0, RATE_MAX):
            told.bits_a_second = RATE_MAX
            told.repeats = LIFTED_REPEATS
            told.due_us = now_us
        arm(shard, now_us)
        wake(shard)
    unlock(&shard.lock)
    return DONE if track != NULL else UNKNOWN_HANDLE


cdef uint32_t forwarded_ssrc(const Track *track) noexcept nogil:
    """One of the track's, the lowest layer's if it has any; 0: not known."""
    cdef int i
    for i in range(track.layer_count):
        if track.layers[i].active != NULL:
            return track.layers[i].active.ssrc
    return track.signalled_ssrc
