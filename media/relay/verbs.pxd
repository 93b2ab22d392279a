# What the verbs' effects have in common: peers.pyx and routing.pyx.

from media.relay.linux cimport pthread_mutex_lock, pthread_mutex_unlock
from media.relay.state cimport Shard

cdef enum Outcome:
    DONE
    UNKNOWN_HANDLE
    NO_MEMORY
    NOT_BOUND
    ADDRESS_IN_USE
    CONNECTION_CLOSED
    SSRC_IN_USE
    WRONG_KIND


cdef inline void pass_sending(Shard *shard) noexcept nogil:
    """Wait until what was made before has left; without the lock. See forward.flush_and_unlock."""
    pthread_mutex_lock(&shard.sending)
    pthread_mutex_unlock(&shard.sending)
