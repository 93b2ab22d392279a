# What a video packet is: its layer, its place in its frame, its picture numbers, a keyframe?

from media.relay.state cimport Packet, Stream

cdef void describe(Stream *stream, Packet *packet) noexcept nogil
