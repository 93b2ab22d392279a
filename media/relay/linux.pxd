# The system calls and structures the relay uses. C owns every layout and packing.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "<time.h>" nogil:
    ctypedef long time_t
    struct timespec:
        time_t tv_sec
        long tv_nsec
    int CLOCK_MONOTONIC
    int TIMER_ABSTIME
    int clock_gettime(int clock, timespec *now)
    int clock_nanosleep(int clock, int flags, const timespec *request, timespec *rest)


cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len


cdef extern from "<sys/socket.h>" nogil:
    ctypedef unsigned int socklen_t
    struct sockaddr:
        pass
    struct msghdr:
        void *msg_name
        socklen_t msg_namelen
        iovec *msg_iov
        size_t msg_iovlen
        void *msg_control
        size_t msg_controllen
        int msg_flags
    struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len
    struct cmsghdr:
        size_t cmsg_len
        int cmsg_level
        int cmsg_type
    int AF_INET
    int AF_INET6
    struct linger:
        int l_onoff
        int l_linger
    int MSG_DONTWAIT
    int MSG_NOSIGNAL
    int MSG_TRUNC
    int SOL_SOCKET
    int SO_LINGER
    int SO_RXQ_OVFL
    int SOCK_CLOEXEC
    int SOCK_NONBLOCK
    cmsghdr *CMSG_FIRSTHDR(msghdr *message)
    cmsghdr *CMSG_NXTHDR(msghdr *message, cmsghdr *control)
    uint8_t *CMSG_DATA(cmsghdr *control)
    size_t CMSG_LEN(size_t length)
    size_t CMSG_SPACE(size_t length)
    int recvmmsg(int fd, mmsghdr *messages, unsigned int count, int flags, timespec *timeout)
    int sendmmsg(int fd, mmsghdr *messages, unsigned int count, int flags)
    ssize_t sendto(
        int fd, const void *data, size_t length, int flags, const sockaddr *to, socklen_t to_length
    )
    int accept4(int fd, sockaddr *source, socklen_t *length, int flags)
    ssize_t recv(int fd, void *data, size_t length, int flags)
    ssize_t send(int fd, const void *data, size_t length, int flags)
    ssize_t sendmsg(int fd, const msghdr *message, int flags)
    int setsockopt(int fd, int level, int name, const void *value, socklen_t length)


cdef extern from "<netinet/in.h>" nogil:
    struct in_addr:
        uint32_t s_addr
    struct in6_addr:
        uint8_t s6_addr[16]
    struct sockaddr_in:
        uint16_t sin_family
        uint16_t sin_port
        in_addr sin_addr
    struct sockaddr_in6:
        uint16_t sin6_family
        uint16_t sin6_port
        uint32_t sin6_flowinfo
        in6_addr sin6_addr
        uint32_t sin6_scope_id
    uint16_t htons(uint16_t value)
    uint16_t ntohs(uint16_t value)
    uint32_t htonl(uint32_t value)


cdef extern from *:
    """
    #include <netinet/udp.h>
    #ifndef UDP_SEGMENT
    #define UDP_SEGMENT 103
    #endif
    #ifndef UDP_GRO
    #define UDP_GRO 104
    #endif
    #ifndef SOL_UDP
    #define SOL_UDP 17
    #endif
    """
    int SOL_UDP
    int UDP_SEGMENT
    int UDP_GRO


cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int POLLIN
    int ppoll(pollfd *fds, unsigned long count, const timespec *timeout, const void *mask)


cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        uint64_t u64
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int EPOLLIN
    int EPOLLOUT
    int EPOLL_CLOEXEC
    int EPOLL_CTL_ADD
    int EPOLL_CTL_DEL
    int EPOLL_CTL_MOD
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int operation, int fd, epoll_event *event)
    int epoll_wait(int epoll, epoll_event *events, int count, int timeout_ms)


cdef extern from "<sys/eventfd.h>" nogil:
    int EFD_NONBLOCK
    int EFD_CLOEXEC
    int eventfd(unsigned int value, int flags)


cdef extern from "<unistd.h>" nogil:
    ssize_t read(int fd, void *data, size_t length)
    ssize_t write(int fd, const void *data, size_t length)
    int close(int fd)
    int getpid()


cdef extern from "<errno.h>" nogil:
    int errno
    int EAGAIN
    int ECONNABORTED
    int EINTR
    int EIO
    int ENOBUFS


cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    int pthread_mutex_init(pthread_mutex_t *mutex, const void *attributes)
    int pthread_mutex_destroy(pthread_mutex_t *mutex)
    int pthread_mutex_lock(pthread_mutex_t *mutex)
    int pthread_mutex_unlock(pthread_mutex_t *mutex)


cdef extern from *:
    # GCC's and Clang's atomics, generic over the integer type.
    """
    #define atomic_read(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
    #define atomic_write(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
    #define atomic_add(p, v) __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)
    """
    int atomic_read_int "atomic_read" (const int *value) nogil
    void atomic_write_int "atomic_write" (int *value, int to) nogil
    int atomic_add_int "atomic_add" (int *value, int by) nogil
    uint32_t atomic_read_u32 "atomic_read" (const uint32_t *value) nogil
    void atomic_write_u32 "atomic_write" (uint32_t *value, uint32_t to) nogil
    int64_t atomic_read_i64 "atomic_read" (const int64_t *value) nogil
    void atomic_write_i64 "atomic_write" (int64_t *value, int64_t to) nogil


cdef inline int64_t monotonic_us() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t>now.tv_sec * 1000000 + now.tv_nsec // 1000
