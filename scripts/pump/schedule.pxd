"""Who sends when: a heap of the flows that send, the one due first on top."""

from libc.stdint cimport uint64_t
from scripts.pump.state cimport Engine, Flow

cdef void set_pace(Engine *engine, double scale) noexcept nogil
cdef void enter(Engine *engine, Flow *flow) noexcept nogil
cdef void leave(Engine *engine, Flow *flow) noexcept nogil
cdef void take_turn(Engine *engine) noexcept nogil
