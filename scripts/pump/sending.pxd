"""One turn of a flow: its packets written, sealed and sent."""

from libc.stdint cimport uint64_t
from scripts.pump.state cimport Engine, Flow

cdef void send_turn(Engine *engine, Flow *flow, uint64_t now_ns) noexcept nogil
