# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The dependency descriptor: which layer a packet is of, and where its stream may be entered.

A header extension of three bytes and more. Keyframes carry the templates that later packets
refer to; they are kept with the stream. It says of any codec what keyframe.pyx and
descriptor.pyx find in the payload, which rooms that are encrypted end to end do not show.

Source: RTP Payload Format For AV1, appendix A. What is malformed, or refers to a template
that did not come, says nothing.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset
from media.relay.state cimport (
    DEPENDENCY_DESCRIPTOR,
    Dependencies,
    LAYERS_MAX,
    Packet,
    Stream,
    TEMPLATES_MAX,
    Template,
)

cdef enum:
    # What a frame is to a decode target (A.8.3): absent from it, or a place to switch to it
    NOT_PRESENT = 0
    SWITCH = 2
    # next_layer_idc (A.8.2)
    NEXT_TEMPORAL = 1
    NEXT_SPATIAL = 2
    NO_MORE = 3

# Bits, most significant first. Reading beyond the end fails and gives zeros.
cdef struct Bits:
    const uint8_t *data
    int at
    int end
    bint failed


cdef uint32_t take(Bits *bits, int count) noexcept nogil:
    """count: at most 32."""
    cdef uint32_t value = 0
    if bits.end - bits.at < count:
        bits.failed = True
        bits.at = bits.end
        return 0
    while count:
        value = value << 1 | (bits.data[bits.at >> 3] >> (7 - (bits.at & 7)) & 1)
        bits.at += 1
        count -= 1
    return value


cdef uint32_t take_below(Bits *bits, uint32_t count) noexcept nogil:
    """A number below `count` in as few bits as it takes: ns(n), A.8.2."""
    cdef int width = 0
    cdef uint32_t spare, value
    while count >> width:
        width += 1
    spare = (<uint32_t>1 << width) - count
    value = take(bits, width - 1)
    if value < spare:
        return value
    return (value << 1) - spare + take(bits, 1)


cdef bint read_dependency(Stream *stream, Packet *packet) noexcept nogil:
    """Fill in the packet's layer, whether it begins or ends its frame, whether it is a keyframe.

    False: it says nothing, and nothing is filled in.
    """
    cdef const uint8_t *data = packet.data + packet.field_at[DEPENDENCY_DESCRIPTOR]
    cdef const Dependencies *known = &stream.dependencies
    cdef Dependencies fresh
    cdef Template template
    cdef Bits bits
    cdef uint32_t flags = 0
    cdef int index
    if packet.field_length[DEPENDENCY_DESCRIPTOR] < 3:
        return False
    bits.data = data
    bits.at = 24
    bits.end = 8 * packet.field_length[DEPENDENCY_DESCRIPTOR]
    bits.failed = False
    if packet.field_length[DEPENDENCY_DESCRIPTOR] > 3:
        flags = take(&bits, 5)
    if flags & 0x10:
        read_structure(&bits, &fresh)
        known = &fresh
    if bits.failed:
        return False
    index = (data[0] + 64 - known.first_template) & 63
    if index >= known.template_count:
        return False
    template = known.templates[index]
    read_exceptions(&bits, flags, known, &template)
    if bits.failed:
        return False
    packet.begins_frame = data[0] >> 7
    packet.ends_frame = data[0] >> 6 & 1
    packet.spatial = template.spatial
    packet.temporal = template.temporal
    packet.switches = packet.begins_frame and template.temporal == 0 and template.switches
    packet.keyframe = (
        flags & 0x10 != 0
        and packet.begins_frame
        and template.spatial == 0
        and template.independent
    )
    # One that is sent again, or late, may be older than what is known.
    if flags & 0x10 and packet.sequence_ext >= stream.dependencies.since:
        stream.dependencies = fresh
        stream.dependencies.since = packet.sequence_ext
    return True


cdef void read_structure(Bits *bits, Dependencies *into) noexcept nogil:
    """template_dependency_structure, A.8.2."""
    cdef uint8_t chains
    cdef int i
    memset(into, 0, sizeof(Dependencies))
    into.first_template = <uint8_t>take(bits, 6)
    into.target_count = <uint8_t>(take(bits, 5) + 1)
    read_layers(bits, into)
    for i in range(into.template_count):
        into.templates[i].switches = read_targets(bits, into.target_count)
    for i in range(into.template_count):
        into.templates[i].independent = not take_reference(bits)
        if not into.templates[i].independent:
            while take_reference(bits):
                pass
    chains = <uint8_t>take_below(bits, into.target_count + 1)
    into.chain_count = chains
    if chains:
        for i in range(into.target_count):
            take_below(bits, chains)
        for i in range(into.template_count * chains):
            take(bits, 4)
    if take(bits, 1):
        for i in range(into.spatial_count):
            take(bits, 32)                  # width and height, less one


cdef void read_layers(Bits *bits, Dependencies *into) noexcept nogil:
    """template_layers, A.8.2; more layers than there can be is a failure."""
    cdef uint8_t spatial = 0
    cdef uint8_t temporal = 0
    cdef uint32_t step = 0
    while step != NO_MORE and not bits.failed:
        if into.template_count == TEMPLATES_MAX or spatial == LAYERS_MAX or temporal > 7:
            bits.failed = True
            return
        into.templates[into.template_count].spatial = spatial
        into.templates[into.template_count].temporal = temporal
        into.template_count += 1
        step = take(bits, 2)
        if step == NEXT_TEMPORAL:
            temporal += 1
        elif step == NEXT_SPATIAL:
            temporal = 0
            spatial += 1
    into.spatial_count = spatial + 1


cdef bint read_targets(Bits *bits, int count) noexcept nogil:
    """Whether all decode targets that the frame is part of may be switched to at it."""
    cdef bint present = False
    cdef bint switches = True
    cdef uint32_t indication
    cdef int i
    for i in range(count):
        indication = take(bits, 2)
        if indication != NOT_PRESENT:
            present = True
            if indication != SWITCH:
                switches = False
    return present and switches


cdef inline bint take_reference(Bits *bits) noexcept nogil:
    """Whether a template refers to one more earlier frame."""
    if not take(bits, 1):
        return False
    take(bits, 4)
    return True


cdef void read_exceptions(
    Bits *bits, uint32_t flags, const Dependencies *known, Template *template
) noexcept nogil:
    """What the frame has of its own, rather than from its template."""
    cdef uint32_t size
    if flags & 0x08:
        take(bits, known.target_count)      # those that are active now
    if flags & 0x04:
        template.switches = read_targets(bits, known.target_count)
    if flags & 0x02:
        size = take(bits, 2)
        template.independent = size == 0
        while size:
            take(bits, 4 * size)
            size = take(bits, 2)
    if flags & 0x01:
        for _ in range(known.chain_count):
            take(bits, 8)
