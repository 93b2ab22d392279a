# Which packets of a scalable stream (VP9, AV1: several layers under one SSRC) a subscription
# gets: those up to its extent, which changes between pictures.
#
# Down at once. Up in space at a keyframe, for a layer's pictures refer to each other; up in
# time where the stream says that nothing left out will be referred to. A picture is all the
# packets of one timestamp.

from media.relay.state cimport DEPENDENCY_DESCRIPTOR, Extent, LAYER_ID_MAX, Packet, Subscription


cdef inline Extent wanted_extent(const Subscription *subscription) noexcept nogil:
    """It has a source. Simulcast layers are streams of their own, and taken whole."""
    cdef Extent extent
    extent.spatial = LAYER_ID_MAX
    if subscription.source.layer_count == 1:
        extent.spatial = subscription.spatial
    extent.temporal = subscription.temporal
    return extent


cdef inline void extent_begin(Subscription *subscription, const Packet *packet) noexcept nogil:
    """At this packet, with which it begins to flow."""
    subscription.extent = subscription.extent_before = wanted_extent(subscription)
    subscription.extent_since = packet.sequence_ext
    subscription.picture_timestamp = packet.timestamp


cdef inline void extent_follow(Subscription *subscription, const Packet *packet) noexcept nogil:
    """Take in a packet that is newer than all before it."""
    cdef Extent wanted, extent
    if packet.timestamp == subscription.picture_timestamp:
        return
    subscription.picture_timestamp = packet.timestamp
    wanted = wanted_extent(subscription)
    extent = subscription.extent
    if packet.keyframe or wanted.spatial < extent.spatial:
        extent.spatial = wanted.spatial
    if packet.keyframe or wanted.temporal < extent.temporal:
        extent.temporal = wanted.temporal
    elif packet.switches and packet.temporal <= extent.temporal:
        extent.temporal = wanted.temporal
    elif packet.switches:
        # libwebrtc sets VP9's switching point on the first picture of the higher layer itself.
        extent.temporal = min(wanted.temporal, packet.temporal)
    if (
        extent.spatial != subscription.extent.spatial
        or extent.temporal != subscription.extent.temporal
    ):
        subscription.extent_before = subscription.extent
        subscription.extent = extent
        subscription.extent_since = packet.sequence_ext


cdef inline bint is_left_out(const Subscription *subscription, const Packet *packet) noexcept nogil:
    """Whether the packet is above the extent of its position."""
    cdef const Extent *extent = &subscription.extent
    if packet.sequence_ext < subscription.extent_since:
        extent = &subscription.extent_before
    return packet.spatial > extent.spatial or packet.temporal > extent.temporal


cdef inline bint ends_picture(const Subscription *subscription, const Packet *packet) noexcept nogil:
    """The marker bit: also of the last packet that the subscriber gets of a picture."""
    return packet.marker or (
        packet.ends_frame and packet.spatial == subscription.extent.spatial
    )


cdef inline Packet blank(const Packet *packet) noexcept nogil:
    """The packet without a payload: browsers pass over one, and wait for it no longer."""
    cdef Packet empty = packet[0]
    empty.payload_length = 0
    empty.picture_at = empty.base_at = 0
    empty.field_length[DEPENDENCY_DESCRIPTOR] = 0
    return empty
