# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""The schedule. Times are nanoseconds since the pump's start; flat out they are only an order.

Whoever enters a flow has made room for it in the heap.
"""

from libc.stdint cimport uint32_t, uint64_t
from scripts.pump.state cimport Engine, Flow


cdef void set_pace(Engine *engine, double scale) noexcept nogil:
    """Begin anew: every flow sends at `scale` times its own pace."""
    cdef uint32_t i
    engine.scale = scale
    engine.phase = 0
    engine.elapsed_ns = 0
    for i in range(engine.heap_count):
        set_first_turn(engine, engine.heap[i])
    rebuild(engine)


cdef void enter(Engine *engine, Flow *flow) noexcept nogil:
    set_first_turn(engine, flow)
    engine.heap[engine.heap_count] = flow
    engine.heap_count += 1
    rebuild(engine)


cdef void leave(Engine *engine, Flow *flow) noexcept nogil:
    """Does nothing where it is not there."""
    cdef uint32_t i
    for i in range(engine.heap_count):
        if engine.heap[i] == flow:
            engine.heap_count -= 1
            engine.heap[i] = engine.heap[engine.heap_count]
            rebuild(engine)
            return


cdef void take_turn(Engine *engine) noexcept nogil:
    """The flow on top had its turn."""
    engine.heap[0].due_ns += engine.heap[0].period_ns
    sift_down(engine, 0)


cdef void set_first_turn(Engine *engine, Flow *flow) noexcept nogil:
    flow.period_ns = max(
        <uint64_t>(1e9 * flow.burst / (flow.packets_per_second * engine.scale)), <uint64_t>1
    )
    # Steps of the golden ratio spread any number of flows evenly.
    engine.phase += 0.6180339887
    if engine.phase >= 1:
        engine.phase -= 1
    flow.due_ns = engine.elapsed_ns + <uint64_t>(flow.period_ns * engine.phase)


cdef void rebuild(Engine *engine) noexcept nogil:
    cdef uint32_t i
    for i in range(engine.heap_count // 2, 0, -1):
        sift_down(engine, i - 1)


cdef void sift_down(Engine *engine, uint32_t at) noexcept nogil:
    cdef Flow **heap = engine.heap
    cdef Flow *moving = heap[at]
    cdef uint32_t child = 2 * at + 1
    while child < engine.heap_count:
        if child + 1 < engine.heap_count and heap[child + 1].due_ns < heap[child].due_ns:
            child += 1
        if moving.due_ns <= heap[child].due_ns:
            break
        heap[at] = heap[child]
        at = child
        child = 2 * at + 1
    heap[at] = moving
