# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""The first yardstick: the least that a relay does, one packet after the other.

recvmmsg of 64 → SRTP unprotect → new header → SRTP protect → sendmmsg of 64, in one thread,
without GSO or GRO, without tracks, extensions, statistics or feedback.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uintptr_t
from libc.stdlib cimport calloc, free

from media.relay cimport wire
from scripts.pump cimport linux
from scripts.pump.srtp import function_address, open_session, session_address

ctypedef int (*Crypt)(void *session, void *packet, int *length) noexcept nogil

cdef enum:
    BATCH = 64
    SLOT_BYTES = 2048
    PORTS = 65536


cdef struct Route:
    void *open
    void *seal
    linux.sockaddr_in destination


cdef struct Loop:
    int fd
    Crypt unprotect
    Crypt protect
    Route *routes[PORTS]
    uint8_t buffers[BATCH][SLOT_BYTES]
    linux.sockaddr_in sources[BATCH]
    linux.iovec vectors[2][BATCH]
    linux.mmsghdr arrivals[BATCH]
    linux.mmsghdr departures[BATCH]


cdef bint forward(Loop *loop, int arrival, int departure) noexcept nogil:
    """Re-encrypt one packet for its destination; False where it has none or is not genuine."""
    cdef Route *route = loop.routes[linux.ntohs(loop.sources[arrival].sin_port)]
    cdef uint8_t *packet = loop.buffers[arrival]
    cdef int length = <int>loop.arrivals[arrival].msg_len
    if route is NULL or loop.unprotect(route.open, packet, &length) != 0:
        return False
    packet[1] ^= 1
    wire.put16(packet + 2, <uint16_t>(wire.get16(packet + 2) + 1000))
    wire.put32(packet + 4, wire.get32(packet + 4) + 90_000)
    wire.put32(packet + 8, wire.get32(packet + 8) ^ 0x55555555)
    if loop.protect(route.seal, packet, &length) != 0:
        return False
    loop.vectors[1][departure].iov_base = packet
    loop.vectors[1][departure].iov_len = length
    loop.departures[departure].msg_hdr.msg_name = &route.destination
    return True


cdef void run(Loop *loop) noexcept nogil:
    cdef int arrived, leaving, i
    while True:
        arrived = linux.recvmmsg(loop.fd, loop.arrivals, BATCH, linux.MSG_WAITFORONE, NULL)
        if arrived < 0:
            return
        leaving = 0
        for i in range(arrived):
            if forward(loop, i, leaving):
                leaving += 1
        if leaving:
            linux.sendmmsg(loop.fd, loop.departures, leaving, 0)


cdef class BareLoop:
    cdef Loop *loop
    cdef list kept

    def __cinit__(self, socket):
        cdef int i
        self.loop = <Loop *>calloc(1, sizeof(Loop))
        if self.loop is NULL:
            raise MemoryError
        self.loop.fd = socket.fileno()
        self.loop.unprotect = <Crypt><uintptr_t>function_address("srtp_unprotect")
        self.loop.protect = <Crypt><uintptr_t>function_address("srtp_protect")
        self.kept = [socket]
        for i in range(BATCH):
            self.loop.vectors[0][i].iov_base = &self.loop.buffers[i][0]
            self.loop.vectors[0][i].iov_len = SLOT_BYTES
            self.loop.arrivals[i].msg_hdr.msg_iov = &self.loop.vectors[0][i]
            self.loop.arrivals[i].msg_hdr.msg_iovlen = 1
            self.loop.arrivals[i].msg_hdr.msg_name = &self.loop.sources[i]
            self.loop.arrivals[i].msg_hdr.msg_namelen = sizeof(linux.sockaddr_in)
            self.loop.departures[i].msg_hdr.msg_iov = &self.loop.vectors[1][i]
            self.loop.departures[i].msg_hdr.msg_iovlen = 1
            self.loop.departures[i].msg_hdr.msg_namelen = sizeof(linux.sockaddr_in)

    def __dealloc__(self):
        cdef int i
        if self.loop is not NULL:
            for i in range(PORTS):
                free(self.loop.routes[i])
            free(self.loop)

    def route(
        self, uint16_t source_port, uint16_t destination_port, str profile, bytes receive_key,
        bytes send_key,
    ):
        opening = open_session(profile, receive_key, "receive")
        sealing = open_session(profile, send_key, "send")
        cdef Route *route = self.loop.routes[source_port]
        if route is NULL:
            route = <Route *>calloc(1, sizeof(Route))
            if route is NULL:
                raise MemoryError
            self.loop.routes[source_port] = route
        route.open = <void *><uintptr_t>session_address(opening)
        route.seal = <void *><uintptr_t>session_address(sealing)
        route.destination.sin_family = linux.AF_INET
        route.destination.sin_port = linux.htons(destination_port)
        route.destination.sin_addr.s_addr = linux.htonl(linux.INADDR_LOOPBACK)
        self.kept += [opening, sealing]

    def run(self):
        with nogil:
            run(self.loop)
