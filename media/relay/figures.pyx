# cython: language_level=3
"""What the relay tells about itself: copied under the lock, made into Python values behind it.

What reads one thing returns None for a handle that names nothing. Reads only; the loudness of
tracks is what came since it was last read.
"""

import array

from cpython cimport array
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from media.relay.counters cimport COUNTERS
from media.relay.layers cimport flowing_layer
from media.relay.linux cimport monotonic_us
from media.relay.locks cimport control_lock, unlock
from media.relay.reception cimport Reception, reception_lost
from media.relay.state cimport LAYERS_MAX, Peer, Shard, Subscription, Track
from media.relay.tables cimport slots_get, slots_used

# In the order of counters.pxd
COUNTER_NAMES = (
    "packets_in",
    "bytes_in",
    "packets_out",
    "bytes_out",
    "stun_up",
    "dtls_up",
    "rtp_in",
    "rtcp_in",
    "nacks_sent",
    "retransmissions_received",
    "recovered",
    "given_up",
    "nacks_received",
    "retransmissions_sent",
    "padding_only",
    "probes_sent",
    "dropped_protocol",
    "dropped_stun",
    "dropped_ufrag",
    "dropped_stun_rate",
    "dropped_unbound",
    "dropped_oversize",
    "dropped_ring_full",
    "dropped_no_keys",
    "dropped_authentication",
    "dropped_replay",
    "dropped_malformed",
    "dropped_ssrc_limit",
    "dropped_unknown_ssrc",
    "dropped_other_ssrc",
    "dropped_duplicate",
    "dropped_muted",
    "dropped_payload_type",
    "dropped_waiting_keyframe",
    "dropped_late",
    "dropped_protect",
    "tcp_opened",
    "tcp_closed",
    "dropped_tcp_limit",
    "dropped_tcp_unproven",
    "dropped_tcp_frame",
    "dropped_tcp_send",
    "dropped_send",
    "dropped_receive_buffer",
    "offload_refused",
)
assert len(COUNTER_NAMES) == COUNTERS


cdef object _age_ms(int64_t seen_us):
    """-1: never."""
    return (monotonic_us() - seen_us) // 1000 if seen_us else -1


cdef dict of_relay(Shard *shard):
    cdef uint64_t counters[COUNTERS]
    with nogil:
        control_lock(&shard.lock)
        memcpy(counters, shard.counters, sizeof(counters))
        unlock(&shard.lock)
    return {name: counters[i] for i, name in enumerate(COUNTER_NAMES)}


cdef dict held(Shard *shard):
    cdef uint32_t peers, tracks, subscriptions
    with nogil:
        control_lock(&shard.lock)
        peers = slots_used(&shard.peers)
        tracks = slots_used(&shard.tracks)
        subscriptions = slots_used(&shard.subscriptions)
        unlock(&shard.lock)
    return {"peers": peers, "tracks": tracks, "subscriptions": subscriptions}


cdef dict of_peer(Shard *shard, uint64_t peer):
    cdef Peer *found
    cdef Peer copy
    memset(&copy, 0, sizeof(copy))
    with nogil:
        control_lock(&shard.lock)
        found = <Peer *>slots_get(&shard.peers, peer)
        if found != NULL:
            copy = found[0]
        unlock(&shard.lock)
    if found == NULL:
        return None
    return {
        "packets_in": copy.packets_in,
        "bytes_in": copy.bytes_in,
        "packets_out": copy.packets_out,
        "bytes_out": copy.bytes_out,
        "authentication_failures": copy.authentication_failures,
        "replays": copy.replays,
        "addresses": copy.binding_count,
        "ssrcs": copy.stream_count,
        "round_trip_us": copy.round_trip_us or -1,
    }


cdef list silences_ms(Shard *shard, peers):
    # Handles on the way in, the last signs on the way out.
    cdef array.array values = array.array("Q", peers)
    cdef uint64_t *value = values.data.as_ulonglongs
    cdef Peer *found = NULL
    cdef Py_ssize_t i
    cdef Py_ssize_t count = len(values)
    cdef int binding
    with nogil:
        control_lock(&shard.lock)
        for i in range(count):
            found = <Peer *>slots_get(&shard.peers, value[i])
            value[i] = 0
            if found == NULL:
                continue
            for binding in range(found.binding_count):
                value[i] = max(value[i], <uint64_t>found.bindings[binding].seen_us)
        unlock(&shard.lock)
    return [_age_ms(seen_us) for seen_us in values]


cdef bint copy_track(Shard *shard, uint64_t track, Track *copy, Reception *receptions) noexcept:
    """Itself, and what is known of each layer's SSRC; False: there is none."""
    cdef Track *found
    cdef int i
    memset(receptions, 0, LAYERS_MAX * sizeof(Reception))
    with nogil:
        control_lock(&shard.lock)
        found = <Track *>slots_get(&shard.tracks, track)
        if found != NULL:
            copy[0] = found[0]
            for i in range(found.layer_count):
                if found.layers[i].active != NULL:
                    receptions[i] = found.layers[i].active.reception
        unlock(&shard.lock)
    return found != NULL


cdef dict of_track(Shard *shard, uint64_t track):
    cdef Track copy
    cdef Reception receptions[LAYERS_MAX]
    if not copy_track(shard, track, &copy, receptions):
        return None
    layers = range(copy.layer_count)
    return {
        "packets": copy.packets,
        "bytes": copy.bytes,
        "lost": sum([reception_lost(&receptions[<int>i]) for i in layers]),
        "jitter": max([receptions[<int>i].jitter_16 >> 4 for i in layers]),
        "keyframes": sum([copy.figures[<int>i].keyframes for i in layers]),
        "plis_sent": copy.plis_sent,
        "nacks_sent": copy.nacks_sent,
        "retransmissions_received": copy.retransmissions,
        "recovered": copy.recovered,
        "given_up": copy.given_up,
        "age_ms": _age_ms(copy.seen_us),
    }


cdef list of_layers(Shard *shard, uint64_t track):
    cdef Track copy
    cdef Reception receptions[LAYERS_MAX]
    cdef int i
    if not copy_track(shard, track, &copy, receptions):
        return None
    return [
        {
            "packets": copy.figures[i].packets,
            "bytes": copy.figures[i].bytes,
            "age_ms": _age_ms(copy.figures[i].seen_us),
            "keyframes": copy.figures[i].keyframes,
        }
        for i in range(max(copy.layer_count, copy.figure_count))
    ]


cdef list audio_levels(Shard *shard, tracks):
    # Handles on the way in, levels on the way out.
    cdef array.array values = array.array("Q", tracks)
    cdef uint64_t *value = values.data.as_ulonglongs
    cdef Track *found = NULL
    cdef Py_ssize_t i
    cdef Py_ssize_t count = len(values)
    with nogil:
        control_lock(&shard.lock)
        for i in range(count):
            found = <Track *>slots_get(&shard.tracks, value[i])
            if found == NULL:
                break
            value[i] = 127 - found.loudness
            found.loudness = 0
        unlock(&shard.lock)
    return values.tolist() if count == 0 or found != NULL else None


cdef dict of_subscription(Shard *shard, uint64_t subscription):
    cdef Subscription *found
    cdef Subscription copy
    cdef int layer = -1
    memset(&copy, 0, sizeof(copy))
    with nogil:
        control_lock(&shard.lock)
        found = <Subscription *>slots_get(&shard.subscriptions, subscription)
        if found != NULL:
            copy = found[0]
            layer = flowing_layer(found)
        unlock(&shard.lock)
    if found == NULL:
        return None
    return {
        "packets": copy.packets,
        "bytes": copy.payload_bytes,
        "dropped": copy.dropped,
        "nacks_received": copy.nacks_received,
        "retransmissions_sent": copy.retransmissions_sent,
        "fraction_lost": copy.fraction_lost,
        "round_trip_us": copy.round_trip_us,
        "layer": layer,
    }
