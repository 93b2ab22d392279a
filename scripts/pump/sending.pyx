# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""The recording's next picture or sound as RTP packets, under their flow's numbers."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from scripts.pump cimport linux, wire
from scripts.pump.state cimport AUDIO, BATCH, VIDEO, Engine, Flow, Frame, Peer

cdef enum:
    # Browsers stop sending MID when reports arrive, one to two seconds into a stream.
    PACKETS_WITH_MID = 100


cdef bint compose(
    Engine *engine, Flow *flow, int place, int count, Frame *rest, uint64_t now_ns
) noexcept nogil:
    """Write and protect packet `place` of `count` into the outgoing batch.

    rest: what of the frame is to be sent yet; it shrinks.
    """
    cdef Peer *peer = flow.peer
    cdef uint8_t *packet = engine.outgoing.buffers[place]
    cdef bint last = place == count - 1
    cdef bint with_mid = flow.mid_id and flow.sent < PACKETS_WITH_MID
    cdef uint32_t timestamp = wire.timestamp_at(now_ns, flow.clock_khz)
    cdef int begin, length
    begin = wire.write_header(packet, last, flow.payload_type, flow.seq, timestamp, flow.ssrc)
    begin += wire.write_extensions(
        packet + begin, flow.mid_id if with_mid else 0, flow.mid, flow.mid_bytes,
        flow.twcc_id, peer.transport_seq,
    )
    if flow.kind == VIDEO:
        length = begin + write_picture(
            packet + begin, place == 0, last, flow.picture_id, flow.packet_bytes - begin, rest
        )
    else:
        length = begin + wire.write_opus(
            packet + begin, rest.data, rest.length, flow.packet_bytes - begin
        )
    if last:
        wire.write_stamp(packet + length, flow.number, now_ns)
    flow.sent_bytes += length - begin
    flow.seq += 1
    flow.sent += 1
    peer.transport_seq += 1
    if engine.protect(peer.seal, packet, &length) != 0:
        return False
    engine.outgoing.vectors[place].iov_len = length
    return True


cdef int write_picture(
    uint8_t *payload, bint first, bint last, uint16_t picture_id, int room, Frame *rest
) noexcept nogil:
    """As much of a VP8 frame as goes into `room` bytes, filled up with zeros; returns `room`."""
    cdef int at = wire.write_vp8_descriptor(payload, first, picture_id)
    cdef int taken = min(rest.length, room - at - (wire.STAMP_BYTES if last else 0))
    memcpy(payload + at, rest.data, taken)
    memset(payload + at + taken, 0, room - at - taken)
    rest.data += taken
    rest.length -= taken
    return room


cdef int packets_of(const Flow *flow, const Frame *frame) noexcept nogil:
    """A picture that is larger than the flow's burst takes more packets."""
    cdef int room = flow.packet_bytes - (
        wire.HEADER_BYTES + wire.MOST_EXTENSION_BYTES + wire.DESCRIPTOR_BYTES
    )
    if flow.kind == AUDIO:
        return flow.burst
    return min(max(flow.burst, (frame.length + wire.STAMP_BYTES + room - 1) // room), BATCH)


cdef void send_turn(Engine *engine, Flow *flow, uint64_t now_ns) noexcept nogil:
    """One picture, or one packet of audio."""
    cdef Frame rest
    cdef int written = 0
    cdef int count, accepted
    if flow.keyframe_due or flow.frame == flow.clip.count:
        flow.frame = 0
        flow.keyframe_due = False
    rest = flow.clip.frames[flow.frame]
    count = packets_of(flow, &rest)
    while written < count and compose(engine, flow, written, count, &rest, now_ns):
        written += 1
    accepted = linux.sendmmsg(
        flow.peer.fd, engine.outgoing.messages, written, linux.MSG_DONTWAIT
    )
    accepted = max(accepted, 0)
    engine.sent += accepted
    engine.expected += <uint64_t>accepted * flow.peer.others
    engine.unsent += count - accepted
    engine.keyframes += flow.kind == VIDEO and flow.frame == 0
    flow.picture_id = (flow.picture_id + 1) & 0x7FFF
    flow.frame += 1
