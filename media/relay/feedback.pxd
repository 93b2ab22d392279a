# What the relay owes each publisher, when it is due.

from media.relay.state cimport Shard

cdef void give_feedback(Shard *shard) noexcept nogil
