# cython: language_level=3
"""The relay's parsers, and one turn of its thread, laid open: for fuzzing, never for serving.

What is parsed is first copied to where nothing of ours lies behind it: ASAN sees one byte
too many. SRTP is taken out of the way: whoever fuzzes holds the keys, as a hostile
participant does.
"""

import os

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from media.relay.arguments cimport pack_address, pack_mid, pack_negotiated
from media.relay.descriptor cimport describe
from media.relay.linux cimport AF_INET, htonl, htons, monotonic_us, sockaddr_in
from media.relay.loop cimport process
from media.relay.pictures cimport pictures_note, pictures_restart, pictures_write
from media.relay.peers cimport set_sessions
from media.relay.red cimport red_describe, red_unwrap
from media.relay.rtp cimport parse_rtp, unwrap_rtx, write_rtp, write_rtx
from media.relay.state cimport (
    AV1,
    Address,
    DEPENDENCY_DESCRIPTOR,
    EXTENSIONS,
    History,
    Negotiated,
    OUTPUT_MAX,
    Packet,
    Peer,
    Pictures,
    RECEIVE_MESSAGES,
    RTP_MAX,
    Shard,
    Stream,
    Subscription,
    srtp_t,
)
from media.relay.stun cimport stun_local_ufrag
from media.relay.tcp cimport tcp_look
from media.relay.wire cimport get16, get32

Parsed = tuple[int, bool, int, int, int, bytes, dict[int, bytes]]

cdef extern from *:
    # The beginning of a Relay as core.pyx declares it: its methods, then its first attribute.
    """
    typedef struct { PyObject_HEAD void *methods; void *shard; } RelayBeginning;
    """
    ctypedef class media.relay.core.Relay [object RelayBeginning, check_size ignore]:
        cdef void *shard

cdef enum:
    # SRTP's authentication tag; with SRTCP's index behind it (RFC 7714, 8.2 and 9.2).
    TAG = 16
    INDEX = 4
    # libsrtp's srtp_err_status_t
    REPLAY_FAIL = 9
    # More datagrams than any input may cause.
    OUTBOX = 65536


cdef uint8_t *copy(bytes data) except NULL:
    """The caller frees it."""
    cdef uint8_t *alone = <uint8_t *>malloc(max(len(data), 1))
    if alone == NULL:
        raise MemoryError
    memcpy(alone, <const char *>data, len(data))
    return alone


# STUN, codecs and RED

def local_ufrag(bytes data):
    """As the relay reads it; None: no well-formed binding request."""
    cdef uint8_t *alone = copy(data)
    cdef const uint8_t *text = NULL
    cdef int length = stun_local_ufrag(alone, len(data), &text)
    cdef Py_ssize_t at = text - alone if length >= 0 else 0
    free(alone)
    if length < 0:
        return None
    assert 0 <= at and at + length <= len(data), "a ufrag outside of its datagram"
    return data[at : at + length]


cdef class Descriptions:
    """What is read of one stream's video packets, one after the other, and how it is renumbered."""

    cdef Stream *stream
    cdef Pictures pictures

    def __cinit__(self):
        self.stream = <Stream *>calloc(1, sizeof(Stream))
        if self.stream == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.stream)

    def describe(self, uint32_t family, int64_t sequence, bytes dependency, bytes payload, anew):
        """(keyframe, spatial layer, temporal layer, payload as a subscriber gets it).

        dependency: the extension's field, at most 255 bytes. anew: another source begins here.
        """
        cdef Packet packet
        memset(&packet, 0, sizeof(packet))
        packet.data = copy(dependency + payload)
        packet.codec.family = family
        packet.sequence_ext = sequence
        packet.field_length[DEPENDENCY_DESCRIPTOR] = len(dependency)
        packet.payload_at = len(dependency)
        packet.payload_length = len(payload)
        try:
            describe(self.stream, &packet)
            if anew:
                pictures_restart(&self.pictures, &packet)
            pictures_note(&self.pictures, &packet)
            pictures_write(&self.pictures, packet.data + packet.payload_at, &packet)
            return (
                bool(packet.keyframe),
                packet.spatial,
                packet.temporal,
                PyBytes_FromStringAndSize(
                    <char *>packet.data + packet.payload_at, packet.payload_length
                ),
            )
        finally:
            free(packet.data)


def unwrap(bytes payload, codecs):
    """What of a RED payload goes to who does not take RED; None: malformed, or not agreed on.

    codecs: payload type -> (family, variant).
    """
    cdef Negotiated negotiated
    cdef Packet packet, own
    pack_negotiated(codecs, {}, {}, &negotiated)
    memset(&packet, 0, sizeof(packet))
    packet.payload_length = len(payload)
    packet.data = copy(payload)
    try:
        if not red_describe(&packet, &negotiated):
            return None
        own = red_unwrap(&packet)
        assert own.payload_at + own.payload_length == len(payload)
        return PyBytes_FromStringAndSize(
            <char *>packet.data + own.payload_at, own.payload_length
        )
    finally:
        free(packet.data)


# RTP

cdef class Subscriber:
    """Writes packets as one subscription gets them, as AV1, of which most is passed on.

    extensions: name -> id, of the publisher's offer and the subscriber's alike.
    number: the transport-wide number of every packet. delay_ms: the playout delay that is told.
    frame_shift: what is added to frame numbers.
    """

    cdef Peer *peer
    cdef Subscription *subscription
    cdef uint8_t *out

    def __cinit__(
        self,
        extensions,
        str mid,
        uint32_t ssrc,
        uint32_t rtx_ssrc,
        int rtx,
        *,
        int64_t number,
        int delay_ms,
        uint16_t frame_shift,
    ):
        self.peer = <Peer *>calloc(1, sizeof(Peer))
        self.subscription = <Subscription *>calloc(1, sizeof(Subscription))
        self.out = <uint8_t *>malloc(OUTPUT_MAX - TAG)
        if self.peer == NULL or self.subscription == NULL or self.out == NULL:
            raise MemoryError
        self.peer.history = <History *>calloc(1, sizeof(History))
        if self.peer.history == NULL:
            raise MemoryError
        self.peer.history.next = number
        pack_negotiated({}, {}, extensions, &self.peer.negotiated)
        self.subscription.peer = self.peer
        self.subscription.mid_length = pack_mid(mid, self.subscription.mid)
        self.subscription.ssrc = ssrc
        self.subscription.rtx_ssrc = rtx_ssrc
        self.subscription.rtx_payload_type = rtx
        self.subscription.playout_delay_ms = delay_ms
        self.subscription.pictures.frame_shift = frame_shift

    def __dealloc__(self):
        if self.peer != NULL:
            free(self.peer.history)
        free(self.peer)
        free(self.subscription)
        free(self.out)

    def write(self, bytes data, *, int payload_type, uint16_t sequence, uint32_t timestamp, rtx):
        """Parse one packet and write it anew; None: malformed.

        rtx: None, or the number it has as the retransmission of `sequence`.
        """
        cdef uint8_t *alone
        cdef Packet packet
        cdef size_t length
        assert len(data) <= RTP_MAX, "the relay drops larger ones before it parses them"
        alone = copy(data)
        try:
            memset(&packet, 0, sizeof(packet))
            packet.data = alone
            packet.codec.family = AV1
            if not parse_rtp(&packet, len(data), self.peer.negotiated.extension_names):
                return None
            if rtx is None:
                length = write_rtp(
                    self.out, &packet, self.subscription, payload_type, sequence, timestamp, 0
                )
            else:
                self.subscription.rtx_sequence = rtx
                length = write_rtx(
                    self.out, &packet, self.subscription, sequence, timestamp, 0
                )
            assert length <= OUTPUT_MAX - TAG, "no room for SRTP's trailer"
            return PyBytes_FromStringAndSize(<char *>self.out, length)
        finally:
            free(alone)


def parse(bytes data, extensions, *, int repaired=-1):
    """(payload type, marker, sequence, timestamp, SSRC, payload, extension fields by number).

    None: malformed. repaired: the payload type that it repeats, if it is a retransmission;
    then None is also that it repeats nothing.
    """
    cdef Negotiated negotiated
    cdef Packet packet
    cdef uint8_t *alone
    cdef int i
    pack_negotiated({}, {}, extensions, &negotiated)
    memset(&packet, 0, sizeof(packet))
    alone = packet.data = copy(data)
    try:
        if not parse_rtp(&packet, len(data), negotiated.extension_names):
            return None
        if repaired >= 0 and not unwrap_rtx(&packet, repaired, packet.ssrc):
            return None
    finally:
        free(alone)
    assert 12 <= packet.header_length <= packet.payload_at
    assert packet.payload_at + packet.payload_length <= len(data)
    fields = {}
    for i in range(EXTENSIONS):
        if packet.field_length[i]:
            assert packet.header_length + 4 < packet.field_at[i]
            assert packet.field_at[i] + packet.field_length[i] <= packet.payload_at
            fields[i] = data[packet.field_at[i] : packet.field_at[i] + packet.field_length[i]]
    return (
        packet.payload_type,
        bool(packet.marker),
        packet.sequence,
        packet.timestamp,
        packet.ssrc,
        data[packet.payload_at : packet.payload_at + packet.payload_length],
        fields,
    )


# The relay as a whole

cdef struct Outgoing:
    uint64_t receiver
    bint reports
    int length
    uint8_t data[OUTPUT_MAX]

cdef struct Outbox:
    int count
    bint overlong
    Outgoing *datagrams

# The numbers that came under one SSRC. libsrtp knows a number of another round for a new one;
# no input is so long that it would come round.
cdef struct Seen:
    Seen *next
    uint32_t ssrc
    uint8_t numbers[8192]

# What stands for an SRTP session.
cdef struct Session:
    uint64_t owner
    Outbox *outbox
    Seen *seen


cdef int note_sent(Session *session, const uint8_t *data, int length, bint reports) noexcept nogil:
    cdef Outbox *outbox = session.outbox
    cdef Outgoing *outgoing
    if length > OUTPUT_MAX - TAG - INDEX or outbox.count == OUTBOX:
        outbox.overlong = True
        return 1
    outgoing = &outbox.datagrams[outbox.count]
    outbox.count += 1
    outgoing.receiver = session.owner
    outgoing.reports = reports
    outgoing.length = length
    memcpy(outgoing.data, data, length)
    return 0


cdef int protect(srtp_t session, void *packet, int *length) noexcept nogil:
    if note_sent(<Session *>session, <uint8_t *>packet, length[0], False) != 0:
        return 1
    memset(<uint8_t *>packet + length[0], 0, TAG)
    length[0] += TAG
    return 0


cdef int protect_rtcp(srtp_t session, void *packet, int *length) noexcept nogil:
    if note_sent(<Session *>session, <uint8_t *>packet, length[0], True) != 0:
        return 1
    memset(<uint8_t *>packet + length[0], 0, TAG + INDEX)
    length[0] += TAG + INDEX
    return 0


cdef int unprotect(srtp_t session, void *packet, int *length) noexcept nogil:
    """Whoever sends holds the keys, and cannot be heard twice all the same."""
    cdef uint16_t number = get16(<uint8_t *>packet + 2)
    cdef uint32_t ssrc = get32(<uint8_t *>packet + 8)
    cdef uint8_t bit = <uint8_t>(1 << (number & 7))
    cdef Seen *seen = (<Session *>session).seen
    while seen != NULL and seen.ssrc != ssrc:
        seen = seen.next
    if seen == NULL:
        seen = <Seen *>calloc(1, sizeof(Seen))
        if seen == NULL:
            return 1
        seen.ssrc = ssrc
        seen.next = (<Session *>session).seen
        (<Session *>session).seen = seen
    if seen.numbers[number >> 3] & bit:
        return REPLAY_FAIL
    seen.numbers[number >> 3] |= bit
    return 0


cdef int unprotect_rtcp(srtp_t session, void *packet, int *length) noexcept nogil:
    return 0


cdef int forget_stream(srtp_t session, unsigned int ssrc) noexcept nogil:
    cdef Seen **at = &(<Session *>session).seen
    cdef Seen *seen
    while at[0] != NULL:
        seen = at[0]
        if htonl(seen.ssrc) == ssrc:
            at[0] = seen.next
            free(seen)
            return 0
        at = &seen.next
    return 1


cdef int deallocate(srtp_t session) noexcept nogil:
    cdef Seen *seen = (<Session *>session).seen
    cdef Seen *next
    while seen != NULL:
        next = seen.next
        free(seen)
        seen = next
    free(session)
    return 0


cdef class Turns:
    """The turns of a relay's thread, one by one, in a time of their own.

    relay: one that was not started; its verbs may be used between turns. Nothing reaches its
    socket: what it would send is taken where it would be encrypted.
    """

    cdef Shard *shard
    cdef object relay
    cdef object nowhere
    cdef Outbox outbox
    cdef int64_t now_us

    def __cinit__(self, Relay relay):
        self.relay = relay
        self.shard = <Shard *>relay.shard
        if self.shard.events_fd != relay.fileno():
            raise TypeError("RelayBeginning is not how a Relay begins")
        self.outbox.datagrams = <Outgoing *>malloc(OUTBOX * sizeof(Outgoing))
        if self.outbox.datagrams == NULL:
            raise MemoryError
        self.nowhere = open(os.devnull, "wb")
        self.shard.fd = self.nowhere.fileno()
        self.shard.srtp.protect = protect
        self.shard.srtp.protect_rtcp = protect_rtcp
        self.shard.srtp.unprotect = unprotect
        self.shard.srtp.unprotect_rtcp = unprotect_rtcp
        self.shard.srtp.remove_stream = forget_stream
        self.shard.srtp.deallocate = deallocate
        self.now_us = monotonic_us()

    def __dealloc__(self):
        free(self.outbox.datagrams)

    def set_keys(self, uint64_t peer):
        """Stands for the verb of that name."""
        cdef srtp_t sessions[2]
        cdef Session *session
        cdef int i
        for i in range(2):
            session = <Session *>calloc(1, sizeof(Session))
            if session == NULL:
                raise MemoryError
            session.owner = peer
            session.outbox = &self.outbox
            sessions[i] = session
        set_sessions(self.shard, peer, &sessions[0], &sessions[1])
        for i in range(2):
            if sessions[i] != NULL:
                deallocate(sessions[i])

    def turn(self, datagrams, int64_t elapsed_us=0):
        """Take in one batch `elapsed_us` after the one before; what is sent for it.

        datagrams: up to 64 of (IPv4 address, bytes). Returns (receiving peer, whether it is
        RTCP, bytes) for each.
        """
        cdef Address address
        cdef sockaddr_in *source
        cdef uint8_t *alone[RECEIVE_MESSAGES]
        cdef int count = 0
        cdef int i
        assert len(datagrams) <= self.shard.receiver.capacity
        for origin, data in datagrams:
            pack_address(origin, &address)
            source = <sockaddr_in *>&self.shard.receiver.sources[count]
            source.sin_family = AF_INET
            source.sin_port = htons(address.port)
            memcpy(&source.sin_addr, <uint8_t *>&address.low + 4, 4)
            alone[count] = copy(data)
            self.shard.receiver.vectors[count].iov_base = alone[count]
            self.shard.receiver.messages[count].msg_len = len(data)
            self.shard.receiver.messages[count].msg_hdr.msg_flags = 0
            self.shard.receiver.messages[count].msg_hdr.msg_controllen = 0
            count += 1
        sent = self._turn(count, 0, elapsed_us)
        for i in range(count):
            free(alone[i])
        return sent

    def turn_streams(self, int64_t elapsed_us=0):
        """Take in what came over TCP; how many connections it came on."""
        cdef int streams = tcp_look(self.shard)
        self._turn(0, streams, elapsed_us)
        return streams

    cdef list _turn(self, int count, int streams, int64_t elapsed_us):
        cdef int i
        self.now_us += elapsed_us
        self.outbox.count = 0
        self.outbox.overlong = False
        with nogil:
            process(self.shard, count, streams, self.now_us)
        assert not self.outbox.overlong, "a datagram too long, or too many of them"
        return [
            (
                self.outbox.datagrams[i].receiver,
                bool(self.outbox.datagrams[i].reports),
                PyBytes_FromStringAndSize(
                    <char *>self.outbox.datagrams[i].data, self.outbox.datagrams[i].length
                ),
            )
            for i in range(self.outbox.count)
        ]
