# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""RTP packets: find the parts of one, write one anew for a subscriber.

Sources: RFC 3550, 5.1 (header); RFC 8285 (header extensions, both forms); RFC 4588, 4 (RTX).
Owns no state.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset
from media.relay.pictures cimport pictures_describe, pictures_write
from media.relay.scalability cimport ends_picture
from media.relay.state cimport (
    ABS_SEND_TIME,
    AUDIO_LEVEL,
    DEPENDENCY_DESCRIPTOR,
    MID,
    NO_EXTENSION,
    PLAYOUT_DELAY,
    PLAYOUT_DELAY_MAX_MS,
    Packet,
    Peer,
    Subscription,
    TWCC,
    VIDEO_ORIENTATION,
)
from media.relay.wire cimport get16, get32, put16, put24, put32

cdef enum:
    ONE_BYTE_FORM = 0xBEDE
    TWO_BYTE_FORM = 0x1000          # the low four bits belong to the application
    PADDING = 255                   # its length is one byte (RFC 3550, 5.1)


cdef bint parse_rtp(Packet *packet, size_t length, const uint8_t *extension_names) noexcept nogil:
    """Fill in `packet` from packet.data, `length` decrypted bytes. False: malformed.

    extension_names: id -> Extension, 256 entries. payload_length 0: padding only.
    """
    cdef const uint8_t *data = packet.data
    cdef size_t at, end
    cdef size_t padding = 0
    memset(packet.field_length, 0, sizeof(packet.field_length))
    if length < 12 or (data[0] >> 6) != 2:
        return False
    packet.marker = data[1] >> 7
    packet.payload_type = data[1] & 0x7F
    packet.sequence = get16(data + 2)
    packet.timestamp = get32(data + 4)
    packet.ssrc = get32(data + 8)
    at = 12 + 4 * <size_t>(data[0] & 0x0F)
    if at > length:
        return False
    packet.header_length = <uint16_t>at
    if data[0] & 0x10:
        if at + 4 > length:
            return False
        end = at + 4 + 4 * <size_t>get16(data + at + 2)
        if end > length:
            return False
        if get16(data + at) == ONE_BYTE_FORM:
            parse_one_byte_form(packet, at + 4, end, extension_names)
        elif (get16(data + at) & 0xFFF0) == TWO_BYTE_FORM:
            parse_two_byte_form(packet, at + 4, end, extension_names)
        at = end
    if data[0] & 0x20:
        padding = data[length - 1]
        if padding == 0 or at + padding > length:
            return False
    packet.payload_at = <uint16_t>at
    packet.payload_length = <uint16_t>(length - at - padding)
    return True


cdef void parse_one_byte_form(
    Packet *packet, size_t at, size_t end, const uint8_t *names
) noexcept nogil:
    cdef const uint8_t *data = packet.data
    cdef uint8_t identifier
    cdef size_t length
    while at < end:
        identifier = data[at] >> 4
        length = (data[at] & 0x0F) + 1
        if identifier == 0:
            if length != 1:
                return
            at += 1
            continue
        if identifier == 15 or at + 1 + length > end:
            return
        note_field(packet, names[identifier], at + 1, length)
        at += 1 + length


cdef void parse_two_byte_form(
    Packet *packet, size_t at, size_t end, const uint8_t *names
) noexcept nogil:
    cdef const uint8_t *data = packet.data
    cdef size_t length
    while at < end:
        if data[at] == 0:
            at += 1
            continue
        if at + 2 > end:
            return
        length = data[at + 1]
        if at + 2 + length > end:
            return
        note_field(packet, names[data[at]], at + 2, length)
        at += 2 + length


cdef inline void note_field(Packet *packet, uint8_t name, size_t at, size_t length) noexcept nogil:
    if name != NO_EXTENSION:
        packet.field_at[name] = <uint16_t>at
        packet.field_length[name] = <uint8_t>length


cdef struct Element:
    uint8_t identifier
    uint8_t length
    const uint8_t *data


cdef size_t write_rtp(
    uint8_t *out,
    const Packet *packet,
    const Subscription *subscription,
    uint8_t payload_type,
    uint16_t sequence,
    uint32_t timestamp,
    uint32_t send_time,
) noexcept nogil:
    """Write `packet` at `out` as the subscriber is to see it; returns its length.

    Its own SSRC, payload type, sequence number, timestamp, extensions and picture ids; CSRCs
    are copied, the marker is set where its picture ends, padding is left out with its bit. At
    most OUTPUT_MAX bytes with SRTP's trailer, for a packet of RTP_MAX.
    """
    cdef size_t at = write_header(
        out, packet, subscription, subscription.ssrc, payload_type, sequence, timestamp, send_time
    )
    memcpy(out + at, packet.data + packet.payload_at, packet.payload_length)
    pictures_write(&subscription.pictures, out + at, packet)
    return at + packet.payload_length


cdef size_t write_rtx(
    uint8_t *out,
    const Packet *packet,
    const Subscription *subscription,
    uint16_t original,
    uint32_t timestamp,
    uint32_t send_time,
) noexcept nogil:
    """Write `packet` as the subscription's next retransmission of its number `original`."""
    cdef size_t at = write_header(
        out,
        packet,
        subscription,
        subscription.rtx_ssrc,
        <uint8_t>subscription.rtx_payload_type,
        subscription.rtx_sequence,
        timestamp,
        send_time,
    )
    put16(out + at, original)
    memcpy(out + at + 2, packet.data + packet.payload_at, packet.payload_length)
    pictures_write(&subscription.pictures, out + at + 2, packet)
    return at + 2 + packet.payload_length


cdef size_t write_padding(
    uint8_t *out, const Subscription *subscription, uint8_t payload_type, uint32_t send_time
) noexcept nogil:
    """Write the subscription's next retransmission, one that repeats nothing.

    It has as much padding as one packet can say that it has.
    """
    cdef size_t at
    cdef Packet nothing
    memset(&nothing, 0, sizeof(nothing))
    nothing.data = out
    out[0] = 0x80
    out[1] = payload_type
    put16(out + 2, subscription.rtx_sequence)
    put32(out + 4, subscription.last_timestamp)
    put32(out + 8, subscription.rtx_ssrc)
    at = write_extensions(out, 12, &nothing, subscription, send_time)
    out[0] |= 0x20
    memset(out + at, 0, PADDING - 1)
    out[at + PADDING - 1] = PADDING
    return at + PADDING


cdef bint unwrap_rtx(Packet *packet, uint8_t payload_type, uint32_t ssrc) noexcept nogil:
    """Turn a retransmission into the packet it repeats; False: it repeats none, as probes do."""
    if packet.payload_length < 2:
        return False
    packet.sequence = get16(packet.data + packet.payload_at)
    packet.payload_at += 2
    packet.payload_length -= 2
    packet.payload_type = payload_type
    packet.ssrc = ssrc
    return True


cdef size_t write_header(
    uint8_t *out,
    const Packet *packet,
    const Subscription *subscription,
    uint32_t ssrc,
    uint8_t payload_type,
    uint16_t sequence,
    uint32_t timestamp,
    uint32_t send_time,
) noexcept nogil:
    """Returns where the payload goes."""
    cdef size_t at = packet.header_length
    memcpy(out, packet.data, at)
    out[0] = 0x80 | (packet.data[0] & 0x0F)
    out[1] = (0x80 if ends_picture(subscription, packet) else 0) | payload_type
    put16(out + 2, sequence)
    put32(out + 4, timestamp)
    put32(out + 8, ssrc)
    return write_extensions(out, at, packet, subscription, send_time)


cdef size_t write_extensions(
    uint8_t *out,
    size_t at,
    const Packet *packet,
    const Subscription *subscription,
    uint32_t send_time,
) noexcept nogil:
    """Write the extension block, if there is anything to say; returns where the payload goes."""
    cdef const Peer *peer = subscription.peer
    cdef Element elements[8]
    cdef uint8_t time_field[3]
    cdef uint8_t number_field[2]
    cdef uint8_t delay_field[3]
    cdef uint8_t description[255]
    cdef int count = 0
    cdef int i
    cdef bint wide = False
    cdef size_t block = at
    cdef uint8_t *header = out + at
    if subscription.mid_length:
        count += add_element(
            &elements[count],
            peer.negotiated.extension_ids[MID],
            <const uint8_t *>subscription.mid,
            subscription.mid_length,
        )
    count += add_field(&elements[count], packet, peer, AUDIO_LEVEL)
    count += add_field(&elements[count], packet, peer, VIDEO_ORIENTATION)
    count += add_element(
        &elements[count],
        peer.negotiated.extension_ids[DEPENDENCY_DESCRIPTOR],
        description,
        pictures_describe(&subscription.pictures, description, packet),
    )
    put24(time_field, send_time)
    count += add_element(
        &elements[count], peer.negotiated.extension_ids[ABS_SEND_TIME], time_field, 3
    )
    if peer.history != NULL:
        put16(number_field, <uint32_t>peer.history.next & 0xFFFF)
        count += add_element(
            &elements[count], peer.negotiated.extension_ids[TWCC], number_field, 2
        )
    if subscription.playout_delay_ms >= 0:
        put24(
            delay_field,
            (<uint32_t>(subscription.playout_delay_ms // 10) << 12) | (PLAYOUT_DELAY_MAX_MS // 10),
        )
        count += add_element(
            &elements[count], peer.negotiated.extension_ids[PLAYOUT_DELAY], delay_field, 3
        )
    if count == 0:
        return at
    for i in range(count):
        if elements[i].identifier > 14 or elements[i].length > 16:
            wide = True
    at += 4
    for i in range(count):
        if wide:
            out[at] = elements[i].identifier
            out[at + 1] = elements[i].length
            at += 2
        else:
            out[at] = <uint8_t>((elements[i].identifier << 4) | (elements[i].length - 1))
            at += 1
        memcpy(out + at, elements[i].data, elements[i].length)
        at += elements[i].length
    while (at - block) & 3:
        out[at] = 0
        at += 1
    out[0] |= 0x10
    put16(header, TWO_BYTE_FORM if wide else ONE_BYTE_FORM)
    put16(header + 2, <uint32_t>((at - block - 4) >> 2))
    return at


cdef inline int add_field(
    Element *element, const Packet *packet, const Peer *peer, int name
) noexcept nogil:
    return add_element(
        element,
        peer.negotiated.extension_ids[name],
        packet.data + packet.field_at[name],
        packet.field_length[name],
    )


cdef inline int add_element(
    Element *element, uint8_t identifier, const uint8_t *data, uint8_t length
) noexcept nogil:
    """1 if it was added, 0 if the subscriber has no id for it or there is nothing to add."""
    if identifier == 0 or length == 0:
        return 0
    element.identifier = identifier
    element.length = length
    element.data = data
    return 1
