# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The SSRCs that a peer sends, and the track each belongs to.

An SSRC is a track's because the offer listed it, or because one of its packets carried the
track's MID: browsers send the MID for a second or two only, so that it is remembered. One
whose track went stays known: libsrtp's replay window for it must not start anew.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy
from media.relay.layers cimport layer_named
from media.relay.linux cimport htonl
from media.relay.state cimport (
    MEDIA,
    MID,
    MID_MAX,
    Packet,
    Peer,
    REPAIRED_RID,
    RETRANSMISSION,
    RID,
    RID_MAX,
    STREAMS_MAX,
    Shard,
    Stream,
    Track,
    UNKNOWN_ROLE,
)


cdef Stream *find_stream(Peer *peer, uint32_t ssrc) noexcept nogil:
    cdef int i = peer.stream_hint
    if i < peer.stream_count and peer.stream_ssrcs[i] == ssrc:
        return peer.streams[i]
    for i in range(peer.stream_count):
        if peer.stream_ssrcs[i] == ssrc:
            peer.stream_hint = i
            return peer.streams[i]
    return NULL


cdef int silent_orphan(Peer *peer) noexcept nogil:
    """The stream without a track that has been silent longest; -1: every one has a track."""
    cdef int found = -1
    cdef int i
    for i in range(peer.stream_count):
        if peer.streams[i].track == NULL:
            if found < 0 or peer.streams[i].seen_us < peer.streams[found].seen_us:
                found = i
    return found


cdef bint has_room(Peer *peer) noexcept nogil:
    return peer.stream_count < STREAMS_MAX or silent_orphan(peer) >= 0


cdef Stream *add_stream(Shard *shard, Peer *peer, uint32_t ssrc) noexcept nogil:
    """A new stream, in the place of a silent one if need be; NULL: no room or no memory."""
    cdef Stream *stream
    cdef int at
    if peer.stream_count == STREAMS_MAX:
        at = silent_orphan(peer)
        if at < 0:
            return NULL
        if peer.receive != NULL:
            shard.srtp.remove_stream(peer.receive, htonl(peer.stream_ssrcs[at]))
        free(peer.streams[at])
        peer.stream_count -= 1
        peer.streams[at] = peer.streams[peer.stream_count]
        peer.stream_ssrcs[at] = peer.stream_ssrcs[peer.stream_count]
    stream = <Stream *>calloc(1, sizeof(Stream))
    if stream == NULL:
        return NULL
    shard.serials += 1
    stream.serial = shard.serials
    stream.ssrc = ssrc
    stream.seen_us = shard.now_us
    peer.streams[peer.stream_count] = stream
    peer.stream_ssrcs[peer.stream_count] = ssrc
    peer.stream_count += 1
    return stream


cdef Track *track_with_mid(Peer *peer, const char *mid, uint8_t length) noexcept nogil:
    cdef Track *track = peer.tracks
    while track != NULL:
        if track.mid_length == length and memcmp(track.mid, mid, length) == 0:
            return track
        track = track.next
    return NULL


cdef void attach_by_mid(Peer *peer, Stream *stream, const Packet *packet) noexcept nogil:
    """Learn from a packet of a stream that has no track whose it is."""
    cdef uint8_t length = packet.field_length[MID]
    cdef Track *track
    if length == 0 or length > MID_MAX:
        return
    memcpy(stream.mid, packet.data + packet.field_at[MID], length)
    stream.mid_length = length
    stream.role = MEDIA
    if packet.field_length[REPAIRED_RID] or peer.negotiated.repairs[packet.payload_type]:
        stream.role = RETRANSMISSION
    learn_rid(stream, packet)
    track = track_with_mid(peer, stream.mid, length)
    if track != NULL:
        attach(stream, track)


cdef void learn_rid(Stream *stream, const Packet *packet) noexcept nogil:
    """Remember which layer it is, or repairs: sent only for a second or two, as the MID."""
    cdef int name = REPAIRED_RID if stream.role == RETRANSMISSION else RID
    cdef uint8_t length = packet.field_length[name]
    if 0 < length <= RID_MAX:
        memcpy(stream.rid, packet.data + packet.field_at[name], length)
        stream.rid_length = length
        if stream.track != NULL:
            stream.layer = layer_named(stream.track, stream)


cdef void attach(Stream *stream, Track *track) noexcept nogil:
    stream.track = track
    stream.layer = layer_named(track, stream)


cdef Stream *original_of(const Peer *peer, const Stream *retransmission) noexcept nogil:
    """The media stream that it repairs; NULL: not known.

    By SSRC where the offer said so, else by RID, else the track's only one.
    """
    cdef const Track *track = retransmission.track
    cdef Stream *only = NULL
    cdef Stream *stream
    cdef int candidates = 0
    cdef int i
    if track.layers[0].rid_length and retransmission.repaired_ssrc == 0:
        return track.layers[retransmission.layer].active if retransmission.layer >= 0 else NULL
    for i in range(peer.stream_count):
        stream = peer.streams[i]
        if stream.track != track or stream.role != MEDIA:
            continue
        if retransmission.repaired_ssrc:
            if stream.ssrc == retransmission.repaired_ssrc:
                return stream
            continue
        if (
            retransmission.rid_length
            and stream.rid_length == retransmission.rid_length
            and memcmp(stream.rid, retransmission.rid, stream.rid_length) == 0
        ):
            return stream
        only = stream
        candidates += 1
    return only if candidates == 1 else NULL


cdef void attach_streams_of(Track *track) noexcept nogil:
    """Give a new track the streams that carried its MID before it was there."""
    cdef Peer *peer = track.peer
    cdef Stream *stream
    cdef int i
    for i in range(peer.stream_count):
        stream = peer.streams[i]
        if (
            stream.track == NULL
            and stream.role != UNKNOWN_ROLE
            and stream.mid_length == track.mid_length
            and memcmp(stream.mid, track.mid, track.mid_length) == 0
        ):
            attach(stream, track)


cdef void detach_streams_of(Track *track) noexcept nogil:
    cdef Peer *peer = track.peer
    cdef int i
    for i in range(peer.stream_count):
        if peer.streams[i].track == track:
            peer.streams[i].track = NULL
