# Whose STUN request is this? Nothing is authenticated here. Source: RFC 8489, 5 and 14.3.

from libc.stdint cimport uint8_t
from media.relay.wire cimport get16, get32

cdef enum:
    BINDING_REQUEST = 0x0001
    MAGIC_COOKIE = 0x2112A442
    USERNAME = 0x0006
    # The most a request may be before the path's MTU is known (RFC 8489, 6.1). Checks of
    # browsers take 100 to 150; what is larger is made to be slow to parse.
    REQUEST_MAX = 548


cdef inline int stun_local_ufrag(
    const uint8_t *data, size_t length, const uint8_t **ufrag
) noexcept nogil:
    """The length of the local ufrag (USERNAME is "local:remote") that a binding request
    names, and where it is; -1 if this is no well-formed binding request."""
    cdef size_t at = 20
    cdef size_t value, i
    if not 20 <= length <= REQUEST_MAX or get16(data) != BINDING_REQUEST:
        return -1
    if get32(data + 4) != MAGIC_COOKIE:
        return -1
    if <size_t>get16(data + 2) + 20 != length or length & 3:
        return -1
    while at + 4 <= length:
        value = get16(data + at + 2)
        if at + 4 + value > length:
            return -1
        if get16(data + at) == USERNAME:
            for i in range(value):
                if data[at + 4 + i] == c":":
                    ufrag[0] = data + at + 4
                    return <int>i
            return -1
        at += 4 + ((value + 3) & ~<size_t>3)
    return -1
