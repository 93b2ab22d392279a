# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""From a track's packets to its subscribers' datagrams.

The packets of one layer in one batch are a run: subscribers outside, packets inside, so
that what goes to one address lies in one piece, which the kernel segments (GSO).

The relay thread alone comes here, holding the lock, and lets go of it every
OUTPUTS_PER_HOLD datagrams: after that no pointer but those into the batch is good, which is
why runs name their track by handle and subscriptions remember the last run they were given.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from media.relay.clock cimport clock_note, clock_shift
from media.relay.counters cimport (
    DROPPED_LATE,
    DROPPED_PAYLOAD_TYPE,
    DROPPED_PROTECT,
    DROPPED_SEND,
    DROPPED_TCP_SEND,
    DROPPED_WAITING_KEYFRAME,
    OFFLOAD_REFUSED,
)
from media.relay.layers cimport may_begin, waits, want_start, wanted_layer, watch
from media.relay.linux cimport pthread_mutex_lock, pthread_mutex_unlock
from media.relay.locks cimport relay_lock, unlock
from media.relay.outgoing cimport send, send_rtp, subscriber_payload_type
from media.relay.pictures cimport pictures_note, pictures_restart
from media.relay.placing cimport placing_restart, placing_skip, placing_take
from media.relay.red cimport red_unwrap
from media.relay.rtcp cimport write_sender_report
from media.relay.rtp cimport write_rtp
from media.relay.scalability cimport blank, extent_begin, extent_follow, is_left_out
from media.relay.state cimport (
    CACHE_BYTES,
    Layer,
    OUTPUTS_PER_HOLD,
    Packet,
    Peer,
    RED,
    RUN_PACKETS,
    Run,
    Shard,
    Stream,
    Subscription,
    Track,
)
from media.relay.tables cimport slots_get
from media.relay.tcp cimport find_connections, send_streams
from media.relay.udp cimport reserve, send_all


cdef void add_to_run(Shard *shard, Track *track, const Stream *stream, int packet) noexcept nogil:
    """Have a packet of the batch forwarded with its layer's others; -1: a sender report only."""
    cdef Layer *layer = &track.layers[stream.layer]
    cdef Run *run
    if layer.batch == shard.batch:
        run = &shard.runs[layer.run_index]
        if packet < 0 and run.stream_serial == stream.serial:
            return
        if packet >= 0 and run.count < RUN_PACKETS and run.stream_serial == stream.serial:
            if run.last >= 0:
                shard.packets[run.last].next = packet
            else:
                run.first = packet
            run.last = packet
            run.count += 1
            return
    layer.batch = shard.batch
    layer.run_index = shard.run_count
    run = &shard.runs[shard.run_count]
    shard.run_count += 1
    shard.serials += 1
    run.serial = shard.serials
    run.track = track.handle
    run.layer = stream.layer
    run.stream_serial = stream.serial
    run.first = run.last = packet
    run.count = 0 if packet < 0 else 1


cdef void forward_runs(Shard *shard) noexcept nogil:
    """Forward every run of the batch and empty it. May let go of the lock on the way."""
    cdef int i
    for i in range(shard.run_count):
        while not forward_run(shard, &shard.runs[i]):
            flush(shard)
    shard.run_count = 0
    shard.packet_count = 0
    shard.held_packets = 0
    shard.batch += 1


cdef bint forward_run(Shard *shard, const Run *run) noexcept nogil:
    """False: there is no room left; call again after a flush."""
    cdef Track *track = <Track *>slots_get(&shard.tracks, run.track)
    cdef Stream *stream
    cdef Subscription *subscription
    cdef int at
    if track == NULL or not track.forwarding:
        return True
    stream = track.layers[run.layer].active
    if stream == NULL or stream.serial != run.stream_serial:
        return True
    subscription = track.subscribers
    while subscription != NULL:
        if subscription.run_serial != run.serial:
            if shard.sender.packet_count >= OUTPUTS_PER_HOLD:
                return False
            subscription.run_serial = run.serial
            if is_for(run, subscription):
                at = run.first
                while at >= 0:
                    forward_packet(shard, subscription, stream, &shard.packets[at])
                    at = shard.packets[at].next
                if has_news(subscription, stream):
                    pass_sender_report(shard, subscription, stream)
        subscription = subscription.next_subscriber
    return True


cdef inline bint is_for(const Run *run, const Subscription *subscription) noexcept nogil:
    """Whether the subscription gets this layer, or would begin to with a keyframe of it."""
    if not subscription.peer.selected or subscription.peer.send == NULL:
        return False
    if subscription.flowing and subscription.stream_serial == run.stream_serial:
        return True
    return may_begin(subscription, run.layer)


cdef inline bint has_news(const Subscription *subscription, const Stream *stream) noexcept nogil:
    """Whether the subscriber is to get the publisher's last sender report."""
    return (
        stream.report_serial != 0
        and subscription.report_serial != stream.report_serial
        and subscription.flowing
        and subscription.stream_serial == stream.serial
    )


cdef void forward_packet(
    Shard *shard, Subscription *subscription, const Stream *stream, const Packet *packet
) noexcept nogil:
    cdef Peer *peer = subscription.peer
    cdef int payload_type
    cdef int64_t place
    cdef uint32_t timestamp
    cdef uint8_t *out
    cdef int length
    cdef Packet changed
    cdef bint flowing = subscription.flowing and subscription.stream_serial == stream.serial
    if packet.payload_length == 0:
        # Padding only: probes the publisher's uplink, which ends here.
        if flowing:
            placing_skip(&subscription.placing, packet.sequence_ext)
        return
    if packet.codec.family == RED and not peer.negotiated.takes_red:
        changed = red_unwrap(packet)
        packet = &changed
    payload_type = subscriber_payload_type(subscription, packet)
    if payload_type < 0:
        if flowing:
            placing_skip(&subscription.placing, packet.sequence_ext)
        elif flows_otherwise(subscription, stream):
            return
        drop(shard, subscription, DROPPED_PAYLOAD_TYPE)
        return
    if not flowing:
        if subscription.is_video and not packet.keyframe:
            if not flows_otherwise(subscription, stream):
                drop(shard, subscription, DROPPED_WAITING_KEYFRAME)
            return
        begin(shard, subscription, stream, packet)
    if packet.sequence_ext > subscription.placing.highest:
        extent_follow(subscription, packet)
        if is_left_out(subscription, packet):
            placing_skip(&subscription.placing, packet.sequence_ext)
            return
    elif is_left_out(subscription, packet):
        # Its number is given out: it must not look lost for ever.
        changed = blank(packet)
        packet = &changed
    if packet.keyframe and subscription.source.layer_count == 1 and waits(subscription):
        # It came late: its picture had begun in the old extent.
        want_start(shard, subscription, shard.now_us)
    place = placing_take(&subscription.placing, packet.sequence_ext)
    if place < 0:
        drop(shard, subscription, DROPPED_LATE)
        return
    timestamp = packet.timestamp + subscription.timestamp_shift
    out = reserve(&shard.sender)
    length = <int>write_rtp(
        out,
        packet,
        subscription,
        <uint8_t>payload_type,
        <uint16_t>place,
        timestamp,
        shard.send_time,
    )
    if shard.srtp.protect(peer.send, out, &length) != 0:
        drop(shard, subscription, DROPPED_PROTECT)
        return
    send_rtp(shard, peer, length)
    subscription.packets += 1
    subscription.payload_bytes += packet.payload_length
    # What is sent again is at most what was sent once; the cache holds no more than this.
    subscription.resend_budget = min(
        subscription.resend_budget + packet.payload_length, <int64_t>CACHE_BYTES
    )
    if packet.sequence_ext == subscription.placing.highest:
        subscription.last_timestamp = timestamp
        subscription.last_us = shard.now_us
        pictures_note(&subscription.pictures, packet)


cdef inline bint flows_otherwise(
    const Subscription *subscription, const Stream *stream
) noexcept nogil:
    """Whether another layer goes on, or is to begin, so that this packet is not missed."""
    if subscription.flowing:
        return subscription.layer != stream.layer
    return stream.layer != wanted_layer(subscription)


cdef void begin(
    Shard *shard, Subscription *subscription, const Stream *stream, const Packet *packet
) noexcept nogil:
    """Go on with this packet: sequence and picture at last + 1, timestamp at last + elapsed time.

    The same source after a pause keeps its timestamps: they went on meanwhile.
    """
    cdef uint32_t last_sent = subscription.last_timestamp
    cdef int64_t elapsed
    placing_restart(&subscription.placing, packet.sequence_ext)
    pictures_restart(&subscription.pictures, packet)
    extent_begin(subscription, packet)
    subscription.flowing = True
    subscription.layer = stream.layer
    watch(subscription.source)
    if subscription.stream_serial == stream.serial:
        return
    subscription.stream_serial = stream.serial
    if subscription.last_us:
        elapsed = (shard.now_us - subscription.last_us) * stream.clock_rate // 1000000
        subscription.last_timestamp += <uint32_t>max(elapsed, <int64_t>1)
    subscription.timestamp_shift = clock_shift(
        subscription,
        stream,
        packet.timestamp,
        last_sent,
        subscription.last_timestamp - packet.timestamp,
    )


cdef inline void drop(Shard *shard, Subscription *subscription, int counter) noexcept nogil:
    subscription.dropped += 1
    shard.counters[counter] += 1


cdef void pass_sender_report(
    Shard *shard, Subscription *subscription, const Stream *stream
) noexcept nogil:
    cdef uint8_t *out = reserve(&shard.sender)
    cdef int length = <int>write_sender_report(out, subscription, stream)
    subscription.report_serial = stream.report_serial
    clock_note(subscription, stream)
    if shard.srtp.protect_rtcp(subscription.peer.send, out, &length) != 0:
        return
    subscription.report_ntp_middle = <uint32_t>(stream.report_ntp >> 16)
    subscription.report_sent_us = shard.now_us
    send(shard, subscription.peer, length)


cdef void flush(Shard *shard) noexcept nogil:
    """Send what waits without the lock; hold it again on return."""
    flush_and_unlock(shard)
    relay_lock(&shard.lock)


cdef void flush_and_unlock(Shard *shard) noexcept nogil:
    """Send what waits, without the lock.

    `sending` is taken before the lock is given back: a verb that silenced something and
    then passes `sending` knows that what was made before it has left.
    """
    shard.counters[DROPPED_SEND] += shard.sender.failed
    shard.counters[OFFLOAD_REFUSED] += shard.sender.refused
    shard.counters[DROPPED_TCP_SEND] += shard.sender.unwritten
    shard.sender.failed = shard.sender.refused = shard.sender.unwritten = 0
    if shard.sender.message_count == 0:
        unlock(&shard.lock)
        return
    pthread_mutex_lock(&shard.sending)
    if shard.sender.stream_count:
        find_connections(shard)
        unlock(&shard.lock)
        send_streams(&shard.sender)
    else:
        unlock(&shard.lock)
    if shard.fd >= 0:
        send_all(&shard.sender, shard.fd, shard.family)
    pthread_mutex_unlock(&shard.sending)
