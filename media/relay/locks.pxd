# A mutex that lets the control side in between two batches.
#
# The relay thread takes the lock again right after it released it: a plain mutex would make
# verbs wait for tens of milliseconds under load. A verb waits in the gate, the relay thread
# passes the gate only if somebody wants in.

from media.relay.linux cimport (
    atomic_add_int,
    atomic_read_int,
    pthread_mutex_destroy,
    pthread_mutex_init,
    pthread_mutex_lock,
    pthread_mutex_t,
    pthread_mutex_unlock,
)

cdef struct Turnstile:
    pthread_mutex_t gate
    pthread_mutex_t mutex
    int wanted                      # atomic


cdef inline void turnstile_init(Turnstile *lock) noexcept nogil:
    pthread_mutex_init(&lock.gate, NULL)
    pthread_mutex_init(&lock.mutex, NULL)
    lock.wanted = 0


cdef inline void turnstile_destroy(Turnstile *lock) noexcept nogil:
    pthread_mutex_destroy(&lock.gate)
    pthread_mutex_destroy(&lock.mutex)


cdef inline void control_lock(Turnstile *lock) noexcept nogil:
    atomic_add_int(&lock.wanted, 1)
    pthread_mutex_lock(&lock.gate)
    pthread_mutex_lock(&lock.mutex)
    pthread_mutex_unlock(&lock.gate)
    atomic_add_int(&lock.wanted, -1)


cdef inline void relay_lock(Turnstile *lock) noexcept nogil:
    if atomic_read_int(&lock.wanted) > 0:
        pthread_mutex_lock(&lock.gate)
        pthread_mutex_unlock(&lock.gate)
    pthread_mutex_lock(&lock.mutex)


cdef inline void unlock(Turnstile *lock) noexcept nogil:
    pthread_mutex_unlock(&lock.mutex)
