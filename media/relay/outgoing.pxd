# What every packet to a subscriber needs.

from media.relay.counters cimport BYTES_OUT, PACKETS_OUT
from media.relay.history cimport history_note
from media.relay.state cimport NO_FAMILY, Packet, Peer, Shard, Subscription
from media.relay.udp cimport commit


cdef inline int subscriber_payload_type(
    Subscription *subscription, const Packet *packet
) noexcept nogil:
    """The subscriber's own payload type for the packet's codec; -1: it has none.

    Sets rtx_payload_type to the one that repairs it.
    """
    cdef const Peer *peer = subscription.peer
    cdef int i
    if packet.codec.family == NO_FAMILY:
        return -1
    if (
        subscription.codec.family == packet.codec.family
        and subscription.codec.variant == packet.codec.variant
    ):
        return subscription.payload_type
    subscription.codec = packet.codec
    subscription.payload_type = subscription.rtx_payload_type = -1
    for i in range(128):
        if (
            peer.negotiated.codecs[i].family == packet.codec.family
            and peer.negotiated.codecs[i].variant == packet.codec.variant
        ):
            subscription.payload_type = i
            break
    if subscription.payload_type >= 0:
        for i in range(128):
            if peer.negotiated.repairs[i] == subscription.payload_type + 1:
                subscription.rtx_payload_type = i
                break
    return subscription.payload_type


cdef inline void send(Shard *shard, Peer *peer, int length) noexcept nogil:
    """Have the reserved datagram, protected already, sent to the peer."""
    commit(&shard.sender, &peer.destination, length)
    shard.counters[PACKETS_OUT] += 1
    shard.counters[BYTES_OUT] += length
    peer.packets_out += 1
    peer.bytes_out += length


cdef inline void send_rtp(Shard *shard, Peer *peer, int length) noexcept nogil:
    """The same for RTP, which carries the peer's next transport-wide number."""
    if peer.history != NULL:
        history_note(peer.history, length, shard.now_us)
    send(shard, peer, length)
