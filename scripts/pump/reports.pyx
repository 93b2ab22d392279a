# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""Receiver and sender reports once a second, transport-wide feedback ten times a second.

The formats are the relay's own code: the same standard from the other end.
Sources: RFC 3550, 6.4; draft-holmer-rmcat-transport-wide-cc-extensions-01, 2 and 3.1.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset
from media.relay.reception cimport (
    reception_extend, reception_fraction_lost, reception_lost, reception_note,
)
from media.relay.twcc cimport feedback_note, feedback_waits, feedback_write
from media.relay.wire cimport get16, get32, put16, put24, put32
from scripts.pump cimport linux, wire
from scripts.pump.state cimport MOST_SOURCES, Engine, Flow, Peer, Source

cdef enum:
    # As libwebrtc names who only receives.
    OWN_SSRC = 1
    SENDER_REPORT = 200
    RECEIVER_REPORT = 201
    SENDER_REPORT_BYTES = 28
    BLOCK_BYTES = 24
    MOST_BLOCKS = 31                # RC is five bits
    MOST_SENDERS = 8
    # Transport-wide feedback comes with every turn, reports with every tenth.
    TURNS_A_REPORT = 10


cdef bint note_packet(
    Peer *peer, const uint8_t *packet, int length, uint64_t now_ns, int64_t *missing
) noexcept nogil:
    """Count one packet for the reports; False: no media, but RTX, which here is a probe.

    missing: grows by what a gap before the packet misses, shrinks where it fills one.
    """
    cdef Source *source = source_of(peer, get32(packet + 8), packet[1] & 0x7F)
    cdef uint16_t number
    cdef int64_t before
    if read_transport_number(packet, length, peer.twcc_id, &number):
        feedback_note(&peer.feedback, number, <int64_t>(now_ns // 1000))
    if source == NULL:
        return True
    if source.clock_khz == 0:
        return False
    before = reception_lost(&source.reception)
    reception_note(
        &source.reception,
        reception_extend(&source.reception, get16(packet + 2)),
        get32(packet + 4),
        <uint32_t>(now_ns * source.clock_khz // 1_000_000),
    )
    missing[0] += reception_lost(&source.reception) - before
    return True


cdef Source *source_of(Peer *peer, uint32_t ssrc, uint8_t payload_type) noexcept nogil:
    """NULL: it tells nothing of its reception, or of too many."""
    cdef Source *source
    cdef int i
    for i in range(peer.source_count):
        if peer.sources[i].ssrc == ssrc:
            return &peer.sources[i]
    if not peer.tells_reception or peer.source_count == MOST_SOURCES:
        return NULL
    source = &peer.sources[peer.source_count]
    peer.source_count += 1
    memset(source, 0, sizeof(Source))
    source.ssrc = ssrc
    source.clock_khz = peer.clocks_khz[payload_type]
    return source


cdef bint read_transport_number(
    const uint8_t *packet, int length, uint8_t twcc_id, uint16_t *number
) noexcept nogil:
    """Among one-byte extensions, which is what we offer ids for.  Source: RFC 8285, 4.2."""
    cdef int at = wire.HEADER_BYTES + 4 * (packet[0] & 15)
    cdef int end
    if twcc_id == 0 or not packet[0] & 0x10 or at + 4 > length or get16(packet + at) != 0xBEDE:
        return False
    end = min(length, at + 4 + 4 * get16(packet + at + 2))
    at += 4
    while at + 2 < end:
        if packet[at] == 0:
            at += 1
        elif packet[at] >> 4 == twcc_id:
            number[0] = get16(packet + at + 1)
            return True
        else:
            at += 2 + (packet[at] & 15)
    return False


cdef void note_sender_report(Peer *peer, const uint8_t *report, uint64_t now_ns) noexcept nogil:
    """report: at least 28 bytes. What the next receiver report answers."""
    cdef int i
    for i in range(peer.source_count):
        if peer.sources[i].ssrc == get32(report + 4):
            peer.sources[i].report_ntp_middle = get32(report + 10)
            peer.sources[i].reported_ns = now_ns


cdef void report(Engine *engine, Peer *peer, uint64_t now_ns) noexcept nogil:
    """Send what is due: called ten times a second."""
    cdef int length
    peer.turns += 1
    if peer.tells_reception and peer.turns % TURNS_A_REPORT == 0:
        length = write_senders(engine.report, peer, now_ns)
        length += write_reception(engine.report + length, peer, now_ns)
        send(engine, peer, length)
    while peer.twcc_id and feedback_waits(&peer.feedback):
        send(engine, peer, <int>feedback_write(&peer.feedback, engine.report, OWN_SSRC))


cdef void send(Engine *engine, Peer *peer, int length) noexcept nogil:
    if length and engine.protect_rtcp(peer.seal, engine.report, &length) == 0:
        linux.send(peer.fd, engine.report, length, linux.MSG_DONTWAIT)
        engine.reports += 1


cdef int write_senders(uint8_t *out, const Peer *peer, uint64_t now_ns) noexcept nogil:
    """A sender report, without blocks, for each flow; its NTP time is the monotonic clock's."""
    cdef const Flow *flow = peer.flows
    cdef int length = 0
    while flow != NULL and length < MOST_SENDERS * SENDER_REPORT_BYTES:
        if flow.sent:
            out[0] = 0x80
            out[1] = SENDER_REPORT
            put16(out + 2, SENDER_REPORT_BYTES // 4 - 1)
            put32(out + 4, flow.ssrc)
            put32(out + 8, <uint32_t>(now_ns // 1_000_000_000))
            put32(out + 12, <uint32_t>(((now_ns % 1_000_000_000) << 32) // 1_000_000_000))
            put32(out + 16, wire.timestamp_at(now_ns, flow.clock_khz))
            put32(out + 20, <uint32_t>flow.sent)
            put32(out + 24, <uint32_t>flow.sent_bytes)
            out += SENDER_REPORT_BYTES
            length += SENDER_REPORT_BYTES
        flow = flow.next
    return length


cdef int write_reception(uint8_t *out, Peer *peer, uint64_t now_ns) noexcept nogil:
    """One block for each source that was heard since the last report; 0: none."""
    cdef uint8_t *block = out + 8
    cdef Source *source
    cdef int count = 0
    cdef int i
    cdef int64_t lost
    for i in range(peer.source_count):
        source = &peer.sources[i]
        if not source.reception.heard or count == MOST_BLOCKS:
            continue
        source.reception.heard = False
        lost = min(max(reception_lost(&source.reception), <int64_t>-0x800000), <int64_t>0x7FFFFF)
        put32(block, source.ssrc)
        block[4] = <uint8_t>reception_fraction_lost(&source.reception)
        put24(block + 5, <uint32_t>lost & 0xFFFFFF)
        # The first number is 65536 + its 16 bits: without that cycle.
        put32(block + 8, <uint32_t>(source.reception.highest - 65536))
        put32(block + 12, source.reception.jitter_16 >> 4)
        put32(block + 16, source.report_ntp_middle)
        put32(
            block + 20,
            <uint32_t>(((now_ns - source.reported_ns) << 16) // 1_000_000_000)
            if source.reported_ns else 0,
        )
        block += BLOCK_BYTES
        count += 1
    if count == 0:
        return 0
    out[0] = <uint8_t>(0x80 | count)
    out[1] = RECEIVER_REPORT
    put16(out + 2, 1 + 6 * count)
    put32(out + 4, OWN_SSRC)
    return 8 + BLOCK_BYTES * count
