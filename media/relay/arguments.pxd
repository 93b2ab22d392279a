# The verbs' arguments as C values. All hold the GIL and raise ValueError.

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from media.relay.state cimport Address, Negotiated, Track

cdef object pack_address(object address, Address *out)
cdef object unpack_address(uint64_t high, uint64_t low, uint16_t port, uint64_t connection)
cdef object pack_negotiated(payload_types, rtx, extensions, Negotiated *out)
cdef bint is_video(str kind) except -1
cdef int pack_mid(str mid, char *out) except -1
cdef object pack_rids(rids, Track *out)
cdef int pack_ssrcs(ssrcs, uint32_t *out) except -1
