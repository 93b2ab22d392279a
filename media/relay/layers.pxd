# Which layer of its source a subscription gets, and which layers somebody is to get.
#
# A subscription names a layer; it gets the one before, or a lower one if it gets none yet,
# until a keyframe of the named one comes (forward.pyx).

from libc.stdint cimport int64_t
from libc.string cimport memcmp
from media.relay.recovery cimport recovery_stop
from media.relay.state cimport Layer, Peer, Shard, Stream, Subscription, Track
from media.relay.timers cimport want_keyframe

cdef enum:
    # A layer from which nothing came for so long does not live now: the publisher paused it.
    # Longer than Opus with DTX or a still screen share ever are.
    SILENT_US = 1500000


cdef inline int layer_named(const Track *track, const Stream *stream) noexcept nogil:
    """The layer that the stream's RID names; -1: none. Without simulcast there is one layer."""
    cdef int i
    if track.layers[0].rid_length == 0:
        return 0
    for i in range(track.layer_count):
        if (
            track.layers[i].rid_length == stream.rid_length
            and memcmp(track.layers[i].rid, stream.rid, stream.rid_length) == 0
        ):
            return i
    return -1


cdef inline bint is_alive(const Layer *layer, int64_t now_us) noexcept nogil:
    return layer.active != NULL and now_us - layer.seen_us < SILENT_US


cdef inline int wanted_layer(const Subscription *subscription) noexcept nogil:
    """The layer of its source that it is to get; -1: none. It has a source."""
    return min(subscription.spatial, subscription.source.layer_count - 1)


cdef inline bint may_begin(const Subscription *subscription, int layer) noexcept nogil:
    """Whether a keyframe of this layer would make it flow: any below, if nothing does yet."""
    cdef int wanted = wanted_layer(subscription)
    return layer == wanted or (layer < wanted and not subscription.flowing)


cdef inline int flowing_layer(const Subscription *subscription) noexcept nogil:
    """The layer that it gets, of a scalable stream the highest; -1: none."""
    if not subscription.flowing or subscription.source == NULL:
        return -1
    if subscription.source.layer_count > 1:
        return subscription.layer
    return min(subscription.extent.spatial, max(subscription.source.figure_count, 1) - 1)


cdef inline bint waits(const Subscription *subscription) noexcept nogil:
    """Whether it is to get a layer that it does not get, or not yet. It has a source."""
    cdef int wanted = wanted_layer(subscription)
    if wanted < 0:
        return False
    if not subscription.flowing or subscription.layer != wanted:
        return True
    return flowing_layer(subscription) < min(
        subscription.spatial, subscription.source.figure_count - 1
    )


cdef inline void watch(Track *track) noexcept nogil:
    """After a subscriber changed: nothing is kept of a layer that nobody is to get."""
    cdef Subscription *subscription
    cdef Layer *layer
    cdef bint watched
    cdef int i
    for i in range(track.layer_count):
        layer = &track.layers[i]
        watched = False
        subscription = track.subscribers
        while subscription != NULL and not watched:
            watched = may_begin(subscription, i) or (
                subscription.flowing and subscription.layer == i
            )
            subscription = subscription.next_subscriber
        if layer.watched and not watched:
            layer.keyframe_wanted = False
            if layer.recovery != NULL:
                recovery_stop(layer.recovery)
        layer.watched = watched


cdef inline void interrupt(Subscription *subscription) noexcept nogil:
    """It goes on at the next packet that may start it, without a gap."""
    subscription.flowing = False
    if subscription.source != NULL:
        watch(subscription.source)


cdef inline void want_start(
    Shard *shard, const Subscription *subscription, int64_t now_us
) noexcept nogil:
    """Have the video it waits for begin; if the layer does not live, the best below, too."""
    cdef Track *track = subscription.source
    cdef int layer = wanted_layer(subscription)
    if layer < 0:
        return
    want_keyframe(shard, track, &track.layers[layer], now_us)
    if subscription.flowing:
        return
    while layer > 0 and not is_alive(&track.layers[layer], now_us):
        layer -= 1
    want_keyframe(shard, track, &track.layers[layer], now_us)


cdef inline void want_picture(
    Shard *shard, const Subscription *subscription, int64_t now_us
) noexcept nogil:
    """Have the subscriber get a keyframe, of what it gets or else of what it waits for."""
    cdef Track *track = subscription.source
    if not subscription.is_video or track == NULL:
        return
    if subscription.flowing:
        want_keyframe(shard, track, &track.layers[subscription.layer], now_us)
    else:
        want_start(shard, subscription, now_us)


cdef inline void want_pictures(Shard *shard, Peer *peer, int64_t now_us) noexcept nogil:
    """Have everything that the peer sends and receives go on with a keyframe."""
    cdef Subscription *subscription = peer.subscriptions
    cdef Track *track = peer.tracks
    cdef int i
    while subscription != NULL:
        want_picture(shard, subscription, now_us)
        subscription = subscription.next
    while track != NULL:
        for i in range(track.layer_count):
            if track.is_video and track.layers[i].watched:
                want_keyframe(shard, track, &track.layers[i], now_us)
        track = track.next
