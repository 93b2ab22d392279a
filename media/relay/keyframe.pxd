# Does a payload begin a keyframe?

from libc.stdint cimport uint8_t, uint32_t

cdef bint begins_keyframe(uint32_t family, const uint8_t *payload, size_t length) noexcept nogil
