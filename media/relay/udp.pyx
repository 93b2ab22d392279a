# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""One UDP socket in batches: recvmmsg with GRO, sendmmsg with GSO.

Both structures belong to the relay thread. Knows datagrams and addresses, nothing of media.
Sources: udp(7), recvmmsg(2), Linux Documentation/networking/segmentation-offloads.
"""

from libc.stdint cimport uint8_t, uint16_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from media.relay.linux cimport (
    AF_INET,
    CMSG_DATA,
    CMSG_FIRSTHDR,
    CMSG_LEN,
    CMSG_NXTHDR,
    CMSG_SPACE,
    EAGAIN,
    EINTR,
    EIO,
    ENOBUFS,
    MSG_DONTWAIT,
    MSG_TRUNC,
    SOL_SOCKET,
    SOL_UDP,
    SO_RXQ_OVFL,
    UDP_GRO,
    UDP_SEGMENT,
    cmsghdr,
    errno,
    htons,
    msghdr,
    ntohs,
    recvmmsg,
    sendmmsg,
    sendto,
    setsockopt,
    sockaddr,
    sockaddr_in,
    sockaddr_in6,
    socklen_t,
)
from media.relay.state cimport (
    Address,
    OUTPUTS_MAX,
    OUTPUT_MAX,
    RECEIVE_MESSAGES,
    Receiver,
    Sender,
)
from media.relay.tables cimport same_address
from media.relay.wire cimport get32

cdef enum:
    # The kernel hands coalesced packets over as one of up to 64 KiB.
    COALESCED_STRIDE = 65536 + 1088
    # Not a power of two: 64 buffers on one cache set would push each other out.
    PLAIN_STRIDE = 2048 + 64
    COALESCED_MESSAGES = 32
    # UDP_MAX_SEGMENTS is 64 before Linux 6.9; an IP packet holds 65,535 bytes with headers.
    SEGMENTS_MAX = 48
    SEGMENTED_BYTES_MAX = 64000
    CONTROL_BYTES = 64


cdef bint receiver_init(Receiver *receiver, int fd, bint coalesce) noexcept nogil:
    """False: no memory. coalesce: use GRO if the kernel has it."""
    cdef int on = 1
    cdef int i
    cdef bint coalesced
    memset(receiver, 0, sizeof(Receiver))
    setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on))
    coalesced = coalesce and setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof(on)) == 0
    receiver.capacity = COALESCED_MESSAGES if coalesced else RECEIVE_MESSAGES
    receiver.stride = COALESCED_STRIDE if coalesced else PLAIN_STRIDE
    receiver.data = <uint8_t *>malloc(receiver.stride * receiver.capacity)
    if receiver.data == NULL:
        return False
    for i in range(receiver.capacity):
        receiver.vectors[i].iov_base = receiver.data + i * receiver.stride
        receiver.vectors[i].iov_len = receiver.stride
        receiver.messages[i].msg_hdr.msg_name = &receiver.sources[i]
        receiver.messages[i].msg_hdr.msg_iov = &receiver.vectors[i]
        receiver.messages[i].msg_hdr.msg_iovlen = 1
        receiver.messages[i].msg_hdr.msg_control = &receiver.controls[i][0]
    return True


cdef void receiver_free(Receiver *receiver) noexcept nogil:
    free(receiver.data)


cdef int receive(Receiver *receiver, int fd) noexcept nogil:
    """How many messages wait in the batch now, without blocking; 0: none."""
    cdef int i, count
    for i in range(receiver.capacity):
        receiver.messages[i].msg_hdr.msg_namelen = sizeof(sockaddr_in6)
        receiver.messages[i].msg_hdr.msg_controllen = CONTROL_BYTES
    count = recvmmsg(fd, receiver.messages, receiver.capacity, MSG_DONTWAIT, NULL)
    return count if count > 0 else 0


cdef size_t segment_length(Receiver *receiver, int index) noexcept nogil:
    """The length of each packet but the last in message `index`; 0 if it was cut off.

    Notes the socket's count of packets dropped for a full receive buffer on the way.
    """
    cdef msghdr *header = &receiver.messages[index].msg_hdr
    cdef size_t length = receiver.messages[index].msg_len
    cdef cmsghdr *control
    cdef int segment
    if header.msg_flags & MSG_TRUNC:
        return 0
    if header.msg_controllen == 0:
        return length
    control = CMSG_FIRSTHDR(header)
    while control != NULL:
        if control.cmsg_level == SOL_UDP and control.cmsg_type == UDP_GRO:
            memcpy(&segment, CMSG_DATA(control), sizeof(segment))
            if segment > 0:
                length = segment
        elif control.cmsg_level == SOL_SOCKET and control.cmsg_type == SO_RXQ_OVFL:
            memcpy(&receiver.overflow, CMSG_DATA(control), sizeof(receiver.overflow))
        control = CMSG_NXTHDR(header, control)
    return length


cdef void read_sockaddr(const sockaddr_in6 *source, Address *address) noexcept nogil:
    """As a UDP address."""
    cdef const sockaddr_in *source4 = <const sockaddr_in *>source
    address.connection = 0
    if source.sin6_family == AF_INET:
        map_ipv4(<const uint8_t *>&source4.sin_addr, address)
        address.port = ntohs(source4.sin_port)
    else:
        memcpy(&address.high, &source.sin6_addr, 8)
        memcpy(&address.low, <const uint8_t *>&source.sin6_addr + 8, 8)
        address.port = ntohs(source.sin6_port)


cdef inline void map_ipv4(const uint8_t *octets, Address *address) noexcept nogil:
    cdef uint8_t low[8]
    low[0] = low[1] = 0
    low[2] = low[3] = 0xFF
    memcpy(&low[4], octets, 4)
    address.high = 0
    memcpy(&address.low, low, 8)


cdef bint is_ipv4(const Address *address) noexcept nogil:
    """Whether it is an IPv4 address, mapped."""
    cdef const uint8_t *low = <const uint8_t *>&address.low
    return address.high == 0 and get32(low) == 0x0000FFFF


cdef socklen_t write_sockaddr(const Address *address, int family, sockaddr_in6 *out) noexcept nogil:
    """The address for a socket of `family`; returns its length."""
    cdef sockaddr_in *out4 = <sockaddr_in *>out
    memset(out, 0, sizeof(sockaddr_in6))
    out.sin6_family = family
    out.sin6_port = htons(address.port)
    if family == AF_INET:
        memcpy(&out4.sin_addr, <const uint8_t *>&address.low + 4, 4)
        return sizeof(sockaddr_in)
    memcpy(&out.sin6_addr, &address.high, 8)
    memcpy(<uint8_t *>&out.sin6_addr + 8, &address.low, 8)
    return sizeof(sockaddr_in6)


cdef bint sender_init(Sender *sender, bint segment) noexcept nogil:
    """False: no memory. segment: use GSO until the kernel refuses it."""
    cdef int i
    memset(sender, 0, sizeof(Sender))
    sender.segmenting = segment
    sender.arena = <uint8_t *>malloc(<size_t>OUTPUTS_MAX * OUTPUT_MAX)
    if sender.arena == NULL:
        return False
    for i in range(OUTPUTS_MAX):
        sender.messages[i].msg_hdr.msg_name = &sender.destinations[i]
        sender.messages[i].msg_hdr.msg_iov = &sender.vectors[i]
        sender.messages[i].msg_hdr.msg_iovlen = 1
    return True


cdef void sender_free(Sender *sender) noexcept nogil:
    free(sender.arena)


cdef uint8_t *reserve(Sender *sender) noexcept nogil:
    """OUTPUT_MAX bytes to write one datagram into. The caller keeps below OUTPUTS_MAX."""
    return sender.arena + sender.used


cdef void commit(Sender *sender, const Address *destination, size_t length) noexcept nogil:
    """The reserved datagram is `length` bytes for `destination`.

    Datagrams of one size and destination in a row become one message for the kernel to
    segment; the last of them may be shorter.
    """
    cdef int last = sender.message_count - 1
    cdef uint8_t *data = sender.arena + sender.used
    sender.used += length
    sender.packet_count += 1
    if (
        last >= 0
        and sender.segmenting
        and not sender.closed[last]
        and length <= sender.segment_size[last]
        and sender.segment_count[last] < SEGMENTS_MAX
        and sender.vectors[last].iov_len + length <= SEGMENTED_BYTES_MAX
        and same_address(&sender.addresses[last], destination)
    ):
        sender.vectors[last].iov_len += length
        sender.segment_count[last] += 1
        sender.closed[last] = length < sender.segment_size[last]
        return
    last += 1
    sender.message_count += 1
    sender.vectors[last].iov_base = data
    sender.vectors[last].iov_len = length
    sender.addresses[last] = destination[0]
    sender.segment_size[last] = <uint16_t>length
    sender.segment_count[last] = 1
    sender.closed[last] = False
    if destination.connection:
        sender.stream_count += 1


cdef void prepare(Sender *sender, int index, int family) noexcept nogil:
    cdef msghdr *header = &sender.messages[index].msg_hdr
    cdef cmsghdr *control
    header.msg_namelen = write_sockaddr(
        &sender.addresses[index], family, &sender.destinations[index]
    )
    if sender.segment_count[index] == 1:
        header.msg_control = NULL
        header.msg_controllen = 0
        return
    header.msg_control = &sender.controls[index][0]
    header.msg_controllen = CMSG_SPACE(sizeof(uint16_t))
    control = CMSG_FIRSTHDR(header)
    control.cmsg_level = SOL_UDP
    control.cmsg_type = UDP_SEGMENT
    control.cmsg_len = CMSG_LEN(sizeof(uint16_t))
    memcpy(CMSG_DATA(control), &sender.segment_size[index], sizeof(uint16_t))


cdef void send_all(Sender *sender, int fd, int family) noexcept nogil:
    """Send what was committed and forget it. Never waits: what the socket does not take is lost.

    What goes over TCP has left before (tcp.send_streams).
    """
    cdef int at = 0
    cdef int done
    cdef int i
    for i in range(sender.message_count):
        prepare(sender, i, family)
    while at < sender.message_count:
        done = sendmmsg(fd, &sender.messages[at], sender.message_count - at, MSG_DONTWAIT)
        if done > 0:
            at += done
            continue
        if errno == EINTR:
            continue
        if errno == EAGAIN or errno == ENOBUFS:
            for i in range(at, sender.message_count):
                sender.failed += sender.segment_count[i]
            break
        if sender.segment_count[at] > 1:
            # EIO: this route cannot segment. Anything else is about this one message,
            # such as a path whose MTU is smaller than the segments.
            sender.segmenting = sender.segmenting and errno != EIO
            sender.refused += 1
            send_apart(sender, at, fd)
        else:
            sender.failed += 1
        at += 1
    sender.message_count = 0
    sender.packet_count = 0
    sender.used = 0


cdef void send_apart(Sender *sender, int index, int fd) noexcept nogil:
    """Send one message's segments one by one."""
    cdef msghdr *header = &sender.messages[index].msg_hdr
    cdef const uint8_t *data = <const uint8_t *>sender.vectors[index].iov_base
    cdef size_t left = sender.vectors[index].iov_len
    cdef size_t length
    while left:
        length = min(left, <size_t>sender.segment_size[index])
        if sendto(
            fd, data, length, MSG_DONTWAIT, <const sockaddr *>header.msg_name, header.msg_namelen
        ) < 0:
            sender.failed += 1
        data += length
        left -= length
