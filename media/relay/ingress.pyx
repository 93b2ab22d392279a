# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""One received batch: whose is each packet, and what is it?

First byte (RFC 7983), then the source address: nothing but a STUN request for a known ufrag
gets further from an address that no peer proved to be its own. What is not wanted is
counted and dropped without an answer.

The relay thread alone comes here, holding the lock; see forward.pyx on letting go of it.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy
from media.relay.counters cimport (
    BYTES_IN,
    DROPPED_AUTHENTICATION,
    DROPPED_DUPLICATE,
    DROPPED_MALFORMED,
    DROPPED_MUTED,
    DROPPED_NO_KEYS,
    DROPPED_OTHER_SSRC,
    DROPPED_OVERSIZE,
    DROPPED_PROTOCOL,
    DROPPED_RECEIVE_BUFFER,
    DROPPED_REPLAY,
    DROPPED_RING_FULL,
    DROPPED_SSRC_LIMIT,
    DROPPED_STUN,
    DROPPED_STUN_RATE,
    DROPPED_UFRAG,
    DROPPED_UNBOUND,
    DROPPED_UNKNOWN_SSRC,
    DTLS_UP,
    PACKETS_IN,
    PADDING_ONLY,
    RETRANSMISSIONS_RECEIVED,
    RTCP_IN,
    RTP_IN,
    STUN_UP,
)
from media.relay.descriptor cimport describe
from media.relay.forward cimport add_to_run, flush, forward_runs
from media.relay.layers cimport is_alive, want_pictures
from media.relay.reception cimport reception_extend, reception_note
from media.relay.recovery cimport recovery_note
from media.relay.red cimport red_describe
from media.relay.ring cimport RING_DATAGRAM_MAX, Slot, ring_free_slot, ring_push
from media.relay.rtcp cimport read_rtcp
from media.relay.rtp cimport parse_rtp, unwrap_rtx
from media.relay.state cimport (
    AUDIO_LEVEL,
    Address,
    BATCH_PACKETS,
    Binding,
    Figures,
    LAYERS_MAX,
    Layer,
    OTHER_AUDIO,
    Packet,
    Peer,
    RED,
    RETRANSMISSION,
    RTP_MAX,
    Shard,
    Stream,
    TWCC,
    Track,
    Ufrag,
)
from media.relay.streams cimport (
    add_stream,
    attach_by_mid,
    find_stream,
    has_room,
    learn_rid,
    original_of,
)
from media.relay.stun cimport stun_local_ufrag
from media.relay.tables cimport hash_address, hash_bytes, same_address, table_find
from media.relay.timers cimport (
    FEEDBACK_INTERVAL_US,
    FEEDBACK_PACKETS,
    REPORT_INTERVAL_US,
    arm,
    on_grid,
    want_keyframe,
)
from media.relay.twcc cimport feedback_note
from media.relay.udp cimport read_sockaddr, segment_length
from media.relay.wire cimport get16, get32

cdef enum:
    # libsrtp's srtp_err_status_t
    REPLAY_FAIL = 9
    REPLAY_OLD = 10
    # Checks a peer may send: a browser paces one in 50 ms (RFC 8445, 14.2), to each of a few
    # pairs. Python answers some 5,000 a second in all.
    STUN_WINDOW_US = 250000
    STUN_PER_WINDOW = 100
    # A peer that was silent for so long was away: whoever receives anything sends feedback, and
    # its browser would miss a picture for up to 3 s before it asks.
    AWAY_US = 2000000


cdef void ingest_batch(Shard *shard, int messages) noexcept nogil:
    """Take in `messages` received ones. Fills the batch's runs, which the caller forwards."""
    cdef int i
    cdef uint32_t overflow = shard.receiver.overflow
    for i in range(messages):
        ingest_message(shard, i)
    shard.counters[DROPPED_RECEIVE_BUFFER] += <uint32_t>(shard.receiver.overflow - overflow)


cdef void ingest_message(Shard *shard, int index) noexcept nogil:
    """One message: a packet, or several of one size that the kernel coalesced."""
    cdef uint8_t *data = <uint8_t *>shard.receiver.vectors[index].iov_base
    cdef size_t left = shard.receiver.messages[index].msg_len
    cdef size_t segment = segment_length(&shard.receiver, index)
    cdef size_t length
    cdef Address source
    cdef Binding *binding
    if segment == 0:
        shard.counters[PACKETS_IN] += 1
        shard.counters[DROPPED_PROTOCOL if left == 0 else DROPPED_OVERSIZE] += 1
        return
    read_sockaddr(&shard.receiver.sources[index], &source)
    binding = find_binding(shard, &source)
    while left:
        length = min(left, segment)
        if shard.held_packets == BATCH_PACKETS:
            forward_runs(shard)
            flush(shard)
            binding = find_binding(shard, &source)
        shard.held_packets += 1
        ingest(shard, data, length, &source, binding)
        data += length
        left -= length


cdef Binding *find_binding(Shard *shard, const Address *address) noexcept nogil:
    cdef uint64_t hash = hash_address(address, shard.seed)
    cdef uint64_t *cursor = NULL
    cdef Binding *binding = <Binding *>table_find(&shard.addresses, hash, &cursor)
    while binding != NULL:
        if same_address(&binding.address, address):
            return binding
        binding = <Binding *>table_find(&shard.addresses, hash, &cursor)
    return NULL


cdef Ufrag *find_ufrag(Shard *shard, const uint8_t *text, size_t length) noexcept nogil:
    cdef uint64_t hash = hash_bytes(text, length, shard.seed)
    cdef uint64_t *cursor = NULL
    cdef Ufrag *ufrag = <Ufrag *>table_find(&shard.ufrags, hash, &cursor)
    while ufrag != NULL:
        if ufrag.length == length and memcmp(ufrag.text, text, length) == 0:
            return ufrag
        ufrag = <Ufrag *>table_find(&shard.ufrags, hash, &cursor)
    return NULL


cdef void ingest(
    Shard *shard, uint8_t *data, size_t length, const Address *source, Binding *binding
) noexcept nogil:
    """One datagram. Source of the ranges: RFC 7983, 7; RTCP among RTP: RFC 5761, 4."""
    shard.counters[PACKETS_IN] += 1
    shard.counters[BYTES_IN] += length
    # Port 0 is nobody's (RFC 768): there is no answering it.
    if source.port == 0:
        shard.counters[DROPPED_PROTOCOL] += 1
        return
    if data[0] <= 3:
        ingest_stun(shard, data, length, source)
        return
    if not (20 <= data[0] <= 63 or 128 <= data[0] <= 191):
        shard.counters[DROPPED_PROTOCOL] += 1
        return
    if binding == NULL:
        shard.counters[DROPPED_UNBOUND] += 1
        return
    binding.peer.packets_in += 1
    binding.peer.bytes_in += length
    if data[0] <= 63:
        binding.seen_us = shard.now_us
        if pass_up(shard, DTLS_DATAGRAM, binding.peer.handle, source, data, length):
            shard.counters[DTLS_UP] += 1
    elif length < 12 and not (length >= 8 and 192 <= data[1] <= 223):
        shard.counters[DROPPED_MALFORMED] += 1
    elif length > RTP_MAX:
        shard.counters[DROPPED_OVERSIZE] += 1
    elif binding.peer.receive == NULL:
        shard.counters[DROPPED_NO_KEYS] += 1
    elif 192 <= data[1] <= 223:
        ingest_rtcp(shard, binding, data, <int>length)
    else:
        ingest_rtp(shard, binding, data, <int>length)


cdef void ingest_stun(
    Shard *shard, const uint8_t *data, size_t length, const Address *source
) noexcept nogil:
    cdef const uint8_t *text = NULL
    cdef int text_length = stun_local_ufrag(data, length, &text)
    cdef Ufrag *ufrag
    if text_length < 0:
        shard.counters[DROPPED_STUN] += 1
        return
    ufrag = find_ufrag(shard, text, text_length)
    if ufrag == NULL:
        shard.counters[DROPPED_UFRAG] += 1
        return
    if not may_check(ufrag.peer, shard.now_us):
        shard.counters[DROPPED_STUN_RATE] += 1
        return
    if pass_up(shard, STUN_DATAGRAM, ufrag.peer.handle, source, data, length):
        shard.counters[STUN_UP] += 1


cdef inline bint may_check(Peer *peer, int64_t now_us) noexcept nogil:
    """Whether one more check of this peer's may go up: whoever knows a ufrag can send them."""
    if now_us - peer.stun_since_us >= STUN_WINDOW_US:
        peer.stun_since_us = now_us
        peer.stun_count = 0
    peer.stun_count += 1
    return peer.stun_count <= STUN_PER_WINDOW


cdef bint pass_up(
    Shard *shard,
    int kind,
    uint64_t peer,
    const Address *source,
    const uint8_t *data,
    size_t length,
) noexcept nogil:
    cdef Slot *slot
    if length > RING_DATAGRAM_MAX:
        shard.counters[DROPPED_OVERSIZE] += 1
        return False
    slot = ring_free_slot(&shard.up)
    if slot == NULL:
        shard.counters[DROPPED_RING_FULL] += 1
        return False
    slot.kind = kind
    slot.peer = peer
    slot.address_high = source.high
    slot.address_low = source.low
    slot.connection = source.connection
    slot.port = source.port
    slot.length = <unsigned short>length
    memcpy(slot.data, data, length)
    ring_push(&shard.up)
    shard.events_pending = True
    return True


cdef Stream *admit(
    Shard *shard, Peer *peer, uint32_t ssrc, int status, Stream *stream
) noexcept nogil:
    """The packet's stream, after libsrtp's verdict; NULL: counted and dropped.

    An SSRC is remembered only once a packet of it is authentic.
    """
    if status == REPLAY_FAIL or status == REPLAY_OLD:
        shard.counters[DROPPED_REPLAY] += 1
        peer.replays += 1
        return NULL
    if status != 0:
        shard.counters[DROPPED_AUTHENTICATION] += 1
        peer.authentication_failures += 1
        return NULL
    if stream == NULL:
        stream = add_stream(shard, peer, ssrc)
    if stream == NULL:
        shard.counters[DROPPED_SSRC_LIMIT] += 1
    return stream


cdef void ingest_rtcp(Shard *shard, Binding *binding, uint8_t *data, int length) noexcept nogil:
    cdef Peer *peer = binding.peer
    cdef uint32_t ssrc = get32(data + 4)
    cdef Stream *stream = find_stream(peer, ssrc)
    cdef Stream *reported
    cdef Track *track
    if stream == NULL and not has_room(peer):
        shard.counters[DROPPED_SSRC_LIMIT] += 1
        return
    stream = admit(
        shard, peer, ssrc, shard.srtp.unprotect_rtcp(peer.receive, data, &length), stream
    )
    if stream == NULL:
        return
    binding.seen_us = stream.seen_us = shard.now_us
    note_heard(shard, peer)
    shard.counters[RTCP_IN] += 1
    reported = read_rtcp(shard, peer, data, length)
    track = reported.track if reported != NULL else NULL
    if track != NULL and reported.layer >= 0 and track.layers[reported.layer].active == reported:
        add_to_run(shard, track, reported, -1)


cdef void ingest_rtp(Shard *shard, Binding *binding, uint8_t *data, int length) noexcept nogil:
    cdef Peer *peer = binding.peer
    cdef uint32_t ssrc = get32(data + 8)
    cdef Stream *stream = find_stream(peer, ssrc)
    cdef Packet *packet
    if stream == NULL and not has_room(peer):
        shard.counters[DROPPED_SSRC_LIMIT] += 1
        return
    stream = admit(shard, peer, ssrc, shard.srtp.unprotect(peer.receive, data, &length), stream)
    if stream == NULL:
        return
    binding.seen_us = shard.now_us
    note_heard(shard, peer)
    shard.counters[RTP_IN] += 1
    packet = &shard.packets[shard.packet_count]
    packet.data = data
    if not parse_rtp(packet, length, peer.negotiated.extension_names):
        shard.counters[DROPPED_MALFORMED] += 1
        return
    stream.seen_us = shard.now_us
    note_transport_number(shard, peer, packet)
    if stream.track == NULL:
        attach_by_mid(peer, stream, packet)
    elif stream.rid_length == 0:
        learn_rid(stream, packet)
    if stream.role == RETRANSMISSION or peer.negotiated.repairs[packet.payload_type]:
        shard.counters[RETRANSMISSIONS_RECEIVED] += 1
        ingest_retransmission(shard, peer, stream, packet)
        return
    if stream.track == NULL:
        shard.counters[DROPPED_UNKNOWN_SSRC] += 1
        return
    ingest_media(shard, peer, stream, packet)


cdef inline void note_heard(Shard *shard, Peer *peer) noexcept nogil:
    if peer.heard_us and shard.now_us - peer.heard_us > AWAY_US:
        want_pictures(shard, peer, shard.now_us)
    peer.heard_us = shard.now_us


cdef void note_transport_number(Shard *shard, Peer *peer, const Packet *packet) noexcept nogil:
    """For transport-wide feedback: every packet counts, retransmissions and padding too."""
    cdef int64_t due_us
    if peer.feedback == NULL or packet.field_length[TWCC] < 2:
        return
    peer.feedback.media_ssrc = packet.ssrc
    feedback_note(peer.feedback, get16(packet.data + packet.field_at[TWCC]), shard.now_us)
    if peer.feedback.unreported >= FEEDBACK_PACKETS:
        due_us = shard.now_us
    elif peer.feedback.due_us == 0:
        due_us = peer.feedback.sent_us + FEEDBACK_INTERVAL_US
        if due_us < shard.now_us:
            due_us = shard.now_us + FEEDBACK_INTERVAL_US
        due_us = on_grid(due_us)
    else:
        return
    peer.feedback.due_us = due_us
    arm(shard, due_us)


cdef void ingest_media(
    Shard *shard, Peer *peer, Stream *stream, Packet *packet
) noexcept nogil:
    cdef Track *track = stream.track
    packet.codec = peer.negotiated.codecs[packet.payload_type]
    if track.is_video:
        stream.clock_rate = 90000
    else:
        # RFC 3551: G.711 and G.722 both tick at 8,000.
        stream.clock_rate = 8000 if packet.codec.family == OTHER_AUDIO else 48000
    packet.sequence_ext = reception_extend(&stream.reception, packet.sequence)
    reception_note(
        &stream.reception,
        packet.sequence_ext,
        packet.timestamp,
        <uint32_t>(<uint64_t>shard.now_us * stream.clock_rate // 1000000),
    )
    if peer.reports_due_us == 0:
        peer.reports_due_us = on_grid(shard.now_us + REPORT_INTERVAL_US)
        arm(shard, peer.reports_due_us)
    track.packets += 1
    track.bytes += packet.payload_length
    if stream.layer < 0 or not activate(shard, track, stream):
        shard.counters[DROPPED_OTHER_SSRC] += 1
        return
    track.seen_us = shard.now_us
    if packet.codec.family == RED and packet.payload_length:
        if not red_describe(packet, &peer.negotiated):
            shard.counters[DROPPED_MALFORMED] += 1
            return
    describe(stream, packet)
    note_layer(shard, track, stream.layer, packet)
    if not track.is_video and track.forwarding:
        note_loudness(track, packet)
    if packet.payload_length == 0:
        shard.counters[PADDING_ONLY] += 1
    pass_on(shard, track, stream, packet, False)


cdef inline void note_layer(
    Shard *shard, Track *track, int index, const Packet *packet
) noexcept nogil:
    """A paused layer that lives again is asked for the keyframe that somebody waits for."""
    cdef Layer *layer = &track.layers[index]
    cdef Figures *figures
    if layer.keyframe_wanted and not is_alive(layer, shard.now_us):
        want_keyframe(shard, track, layer, shard.now_us)
    layer.seen_us = shard.now_us
    if track.layer_count == 1:
        index = min(packet.spatial, LAYERS_MAX - 1)
        track.figure_count = max(track.figure_count, index + 1)
    figures = &track.figures[index]
    figures.seen_us = shard.now_us
    figures.packets += 1
    figures.bytes += packet.payload_length


cdef inline void note_loudness(Track *track, const Packet *packet) noexcept nogil:
    """Source: RFC 6464, 4: a bit that says voice, seven that count -dBov.

    The bit is left alone: it says what a browser's detector believes, and they differ.
    """
    cdef uint8_t loudness
    if packet.field_length[AUDIO_LEVEL] == 0:
        return
    loudness = 127 - (packet.data[packet.field_at[AUDIO_LEVEL]] & 0x7F)
    if loudness > track.loudness:
        track.loudness = loudness


cdef void ingest_retransmission(
    Shard *shard, Peer *peer, Stream *stream, Packet *packet
) noexcept nogil:
    """RTX: its packet takes the place that it left. Source: RFC 4588, 4.

    It says nothing of jitter, and does not undo the loss in receiver reports.
    """
    cdef Track *track = stream.track
    cdef uint8_t repairs = peer.negotiated.repairs[packet.payload_type]
    cdef Stream *original
    cdef Layer *layer
    if track == NULL or stream.role != RETRANSMISSION or repairs == 0:
        return
    track.retransmissions += 1
    original = original_of(peer, stream)
    if original == NULL or original.layer < 0 or not original.reception.begun:
        return
    layer = &track.layers[original.layer]
    if layer.active != original or layer.recovery == NULL:
        return
    if layer.recovery.stream_serial != original.serial:
        return
    if not unwrap_rtx(packet, repairs - 1, original.ssrc):
        shard.counters[PADDING_ONLY] += 1
        return
    packet.codec = peer.negotiated.codecs[packet.payload_type]
    packet.sequence_ext = reception_extend(&original.reception, packet.sequence)
    describe(original, packet)
    pass_on(shard, track, original, packet, True)


cdef void pass_on(
    Shard *shard, Track *track, const Stream *stream, Packet *packet, bint again
) noexcept nogil:
    """Have a packet of an active SSRC forwarded. again: it was sent again, as RTX."""
    cdef Layer *layer = &track.layers[stream.layer]
    if layer.recovery != NULL and track.forwarding and layer.watched:
        if not recovery_note(shard, track, layer, stream, packet, again):
            shard.counters[DROPPED_DUPLICATE] += 1
            return
    if packet.keyframe:
        track.figures[stream.layer].keyframes += 1
        layer.keyframe_wanted = False
    if not track.forwarding:
        shard.counters[DROPPED_MUTED] += 1
        return
    if not layer.watched:
        return
    packet.next = -1
    add_to_run(shard, track, stream, shard.packet_count)
    shard.packet_count += 1


cdef bint activate(Shard *shard, Track *track, Stream *stream) noexcept nogil:
    """Whether this SSRC is the one that is forwarded for its layer.

    A layer has one at a time; another takes over when it fell silent, as after a browser
    changed its SSRC.
    """
    cdef Layer *layer = &track.layers[stream.layer]
    if layer.active == stream:
        return True
    if is_alive(layer, shard.now_us):
        return False
    layer.active = stream
    if track.is_video and layer.watched:
        want_keyframe(shard, track, layer, shard.now_us)
    return True
