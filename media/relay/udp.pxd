# One UDP socket in batches: recvmmsg with GRO, sendmmsg with GSO.

from libc.stdint cimport uint8_t
from media.relay.linux cimport socklen_t, sockaddr_in6
from media.relay.state cimport Address, Receiver, Sender

cdef bint receiver_init(Receiver *receiver, int fd, bint coalesce) noexcept nogil
cdef void receiver_free(Receiver *receiver) noexcept nogil
cdef int receive(Receiver *receiver, int fd) noexcept nogil
cdef size_t segment_length(Receiver *receiver, int index) noexcept nogil
cdef void read_sockaddr(const sockaddr_in6 *source, Address *address) noexcept nogil

cdef bint sender_init(Sender *sender, bint segment) noexcept nogil
cdef void sender_free(Sender *sender) noexcept nogil
cdef uint8_t *reserve(Sender *sender) noexcept nogil
cdef void commit(Sender *sender, const Address *destination, size_t length) noexcept nogil
cdef void send_all(Sender *sender, int fd, int family) noexcept nogil

cdef bint is_ipv4(const Address *address) noexcept nogil
cdef socklen_t write_sockaddr(const Address *address, int family, sockaddr_in6 *out) noexcept nogil
