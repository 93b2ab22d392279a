# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""The load generator: many browsers' media from one thread without the GIL.

Owner of all state here is the pump's thread while it runs, the caller's otherwise; Python
reads counters at any time. It knows nothing of signaling, ICE or DTLS: it is handed
connected sockets and SRTP keys.
"""

import math
import threading

from libc.stdint cimport UINT64_MAX, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from scripts.pump cimport linux, wire
from scripts.pump.figures import Figures
from scripts.pump.srtp import function_address, open_session, session_address

ctypedef int (*Crypt)(void *session, void *packet, int *length) noexcept nogil

cdef enum:
    BATCH = 64
    SLOT_BYTES = 2048
    MOST_BURST = 16
    BUCKETS = 768
    # 64 turns are about 180 packets: sent between two looks at the sockets when in a hurry.
    TURNS_A_LOOK = 64
    # On their way when sending flat out: enough that the server never waits, few enough that
    # what waits for it is still in the cache, as it would be at a lower rate.
    WINDOW = 512
    # Browsers stop sending MID when reports arrive, one to two seconds into a stream.
    PACKETS_WITH_MID = 100

cdef uint64_t SLIP_AFTER_NS = 20_000_000
# What did not come back in this time while nothing else did is lost: the window opens again.
cdef uint64_t GIVE_UP_NS = 20_000_000
# After the last packet is sent: wait this long for the network to fall silent.
cdef uint64_t QUIET_NS = 50_000_000
cdef uint64_t LINGER_NS = 500_000_000

cdef enum Kind:
    AUDIO = 0
    VIDEO = 1


cdef struct Peer:
    int fd
    void *seal
    void *open
    uint16_t transport_seq
    uint64_t received
    uint64_t to_check


cdef struct Flow:
    uint32_t peer
    Kind kind
    uint32_t ssrc
    uint8_t payload_type
    uint8_t mid[wire.MOST_MID_BYTES]
    int mid_bytes
    uint8_t mid_id
    uint8_t twcc_id
    int burst
    int packet_bytes
    double packets_per_second
    uint16_t seq
    uint16_t picture_id
    bint keyframe_due
    uint64_t sent
    uint64_t due_ns
    uint64_t period_ns


cdef struct Batch:
    uint8_t buffers[BATCH][SLOT_BYTES]
    linux.iovec vectors[BATCH]
    linux.mmsghdr messages[BATCH]


cdef struct Engine:
    int epoll
    Peer *peers
    uint32_t peer_count
    Flow *flows
    uint32_t flow_count
    uint32_t *heap
    bint running
    bint flat_out
    uint32_t check_every
    Crypt protect
    Crypt unprotect
    Crypt unprotect_rtcp
    uint64_t sent
    uint64_t unsent
    uint64_t received
    uint64_t received_bytes
    uint64_t authenticated
    uint64_t refused
    uint64_t rtcp
    uint64_t rtcp_refused
    uint64_t other
    uint64_t keyframes
    uint64_t slipped_ns
    uint64_t delays[BUCKETS]
    uint8_t filling[SLOT_BYTES]
    Batch outgoing
    Batch incoming


# Sending

cdef bint compose(
    Engine *engine, Flow *flow, uint32_t index, int place, bint keyframe, uint64_t now_ns
) noexcept nogil:
    """Write and protect packet `place` of a turn into the outgoing batch."""
    cdef Peer *peer = &engine.peers[flow.peer]
    cdef uint8_t *packet = engine.outgoing.buffers[place]
    cdef bint last = place == flow.burst - 1
    cdef bint with_mid = flow.mid_id and flow.sent < PACKETS_WITH_MID
    cdef uint64_t clock_khz = 90 if flow.kind == VIDEO else 48
    cdef uint32_t timestamp = <uint32_t>(now_ns * clock_khz // 1_000_000)
    cdef int length
    length = wire.write_header(packet, last, flow.payload_type, flow.seq, timestamp, flow.ssrc)
    length += wire.write_extensions(
        packet + length, flow.mid_id if with_mid else 0, flow.mid, flow.mid_bytes,
        flow.twcc_id, peer.transport_seq,
    )
    memcpy(packet + length, engine.filling, flow.packet_bytes - length)
    if flow.kind == VIDEO:
        wire.write_vp8(packet + length, place == 0, keyframe, flow.picture_id)
    length = flow.packet_bytes
    wire.write_stamp(packet + length, index, now_ns)
    flow.seq += 1
    flow.sent += 1
    peer.transport_seq += 1
    if engine.protect(peer.seal, packet, &length) != 0:
        return False
    engine.outgoing.vectors[place].iov_len = length
    return True


cdef void send_turn(Engine *engine, uint32_t index, uint64_t now_ns) noexcept nogil:
    """One frame of video, or one packet of audio."""
    cdef Flow *flow = &engine.flows[index]
    cdef bint keyframe = flow.kind == VIDEO and flow.keyframe_due
    cdef int written = 0
    cdef int accepted
    while written < flow.burst and compose(engine, flow, index, written, keyframe, now_ns):
        written += 1
    accepted = linux.sendmmsg(
        engine.peers[flow.peer].fd, engine.outgoing.messages, written, linux.MSG_DONTWAIT
    )
    accepted = max(accepted, 0)
    engine.sent += accepted
    engine.unsent += flow.burst - accepted
    flow.picture_id = (flow.picture_id + 1) & 0x7FFF
    if keyframe:
        flow.keyframe_due = False
        engine.keyframes += 1


# Receiving

cdef inline int delay_bucket(uint64_t delay_us) noexcept nogil:
    """The inverse of figures.bucket_floor_us."""
    cdef int octave = 0
    while delay_us >= 64:
        delay_us >>= 1
        octave += 1
    if delay_us >= 32:
        octave += 1
        delay_us -= 32
    return min(octave * 32 + <int>delay_us, BUCKETS - 1)


cdef void take_media(
    Engine *engine, Peer *peer, uint8_t *packet, int length, uint64_t now_ns
) noexcept nogil:
    cdef wire.Stamp stamp
    engine.received += 1
    engine.received_bytes += length
    peer.received += 1
    if peer.to_check > 1:
        peer.to_check -= 1
        return
    peer.to_check = engine.check_every
    if engine.unprotect(peer.open, packet, &length) != 0:
        engine.refused += 1
        return
    engine.authenticated += 1
    if length >= wire.HEADER_BYTES + wire.STAMP_BYTES and wire.read_stamp(packet + length, &stamp):
        engine.delays[delay_bucket((now_ns - stamp.sent_ns) // 1000)] += 1


cdef void take_reports(
    Engine *engine, uint32_t peer_index, uint8_t *packet, int length
) noexcept nogil:
    """Obey a PLI as a browser does, with a keyframe; nothing else in RTCP is answered.

    Source: RFC 3550, 6.1 (compound packets); RFC 4585, 6.3.1 (PLI: type 206, format 1).
    """
    cdef int at = 0
    cdef int end
    cdef uint32_t i
    if engine.unprotect_rtcp(engine.peers[peer_index].open, packet, &length) != 0:
        engine.rtcp_refused += 1
        return
    engine.rtcp += 1
    while at + 4 <= length:
        end = at + 4 * (wire.get16(packet + at + 2) + 1)
        if packet[at] & 0x1F == 1 and packet[at + 1] == 206 and at + 12 <= min(end, length):
            for i in range(engine.flow_count):
                if (engine.flows[i].peer == peer_index
                        and engine.flows[i].ssrc == wire.get32(packet + at + 8)):
                    engine.flows[i].keyframe_due = True
        at = end


cdef int drain(Engine *engine, uint32_t peer_index) noexcept nogil:
    """Read one batch from a peer's socket; returns how many were media."""
    cdef Peer *peer = &engine.peers[peer_index]
    cdef int media = 0
    cdef int count, i, length
    cdef uint8_t *packet
    cdef uint64_t now_ns
    count = linux.recvmmsg(
        peer.fd, engine.incoming.messages, BATCH, linux.MSG_DONTWAIT, NULL
    )
    now_ns = linux.monotonic_ns()
    for i in range(count):
        packet = engine.incoming.buffers[i]
        length = <int>engine.incoming.messages[i].msg_len
        if length < wire.HEADER_BYTES or packet[0] & 0xC0 != 0x80:
            engine.other += 1
        elif 192 <= packet[1] <= 223:
            take_reports(engine, peer_index, packet, length)
        else:
            take_media(engine, peer, packet, length, now_ns)
            media += 1
    return media


cdef int look(Engine *engine, uint64_t wait_ns) noexcept nogil:
    """Wait at most `wait_ns` for something to read, then read; returns how many were media."""
    cdef linux.epoll_event ready[BATCH]
    cdef linux.timespec timeout
    cdef int media = 0
    cdef int i
    timeout.tv_sec = wait_ns // 1_000_000_000
    timeout.tv_nsec = wait_ns % 1_000_000_000
    for i in range(linux.epoll_pwait2(engine.epoll, ready, BATCH, &timeout, NULL)):
        media += drain(engine, ready[i].data.u32)
    return media


# The schedule: a heap of flows, the one due first on top.

cdef void sift_down(Engine *engine, uint32_t at) noexcept nogil:
    cdef uint32_t *heap = engine.heap
    cdef uint32_t moving = heap[at]
    cdef uint64_t due_ns = engine.flows[moving].due_ns
    cdef uint32_t child = 2 * at + 1
    while child < engine.flow_count:
        if (child + 1 < engine.flow_count
                and engine.flows[heap[child + 1]].due_ns < engine.flows[heap[child]].due_ns):
            child += 1
        if due_ns <= engine.flows[heap[child]].due_ns:
            break
        heap[at] = heap[child]
        at = child
        child = 2 * at + 1
    heap[at] = moving


cdef void arrange(Engine *engine, double scale) noexcept nogil:
    """Give every flow its period at `scale` times its own pace, and spread their first turns."""
    cdef Flow *flow
    cdef uint32_t i
    cdef double phase = 0
    for i in range(engine.flow_count):
        flow = &engine.flows[i]
        flow.period_ns = max(<uint64_t>(1e9 * flow.burst / (flow.packets_per_second * scale)), 1)
        # Steps of the golden ratio spread any number of flows evenly.
        phase += 0.6180339887
        if phase >= 1:
            phase -= 1
        flow.due_ns = <uint64_t>(flow.period_ns * phase)
        engine.heap[i] = i
    for i in range(engine.flow_count // 2, 0, -1):
        sift_down(engine, i - 1)


cdef int send_due(Engine *engine, uint64_t elapsed_ns, uint64_t limit) noexcept nogil:
    """Take the turns due by `elapsed_ns`, until `limit` packets were sent in all."""
    cdef uint64_t now_ns = linux.monotonic_ns()
    cdef int turns = 0
    cdef Flow *flow
    while turns < TURNS_A_LOOK and engine.sent < limit:
        flow = &engine.flows[engine.heap[0]]
        if flow.due_ns > elapsed_ns:
            break
        send_turn(engine, engine.heap[0], now_ns)
        flow.due_ns += flow.period_ns
        sift_down(engine, 0)
        turns += 1
    return turns


cdef void pump_paced(Engine *engine) noexcept nogil:
    """Send on schedule and read what is there, until `running` is cleared."""
    cdef uint64_t start_ns = linux.monotonic_ns()
    cdef uint64_t elapsed_ns, due_ns
    # The default slack of 50 µs would show in the delays and bunch the schedule.
    linux.prctl(linux.PR_SET_TIMERSLACK, 1000)
    while engine.running:
        elapsed_ns = linux.monotonic_ns() - start_ns
        send_due(engine, elapsed_ns, UINT64_MAX)
        due_ns = engine.flows[engine.heap[0]].due_ns
        if due_ns + SLIP_AFTER_NS < elapsed_ns:
            # Move the schedule: what a stall held back is not sent as a flood.
            engine.slipped_ns += elapsed_ns - due_ns
            start_ns += elapsed_ns - due_ns
        look(engine, due_ns - elapsed_ns if due_ns > elapsed_ns else 0)


cdef void pump_flat_out(Engine *engine) noexcept nogil:
    """Keep WINDOW packets on their way, until `running` is cleared."""
    cdef uint64_t not_awaited = engine.sent - engine.received
    cdef uint64_t heard_ns = linux.monotonic_ns()
    cdef bint waiting
    while engine.running:
        waiting = send_due(engine, UINT64_MAX, engine.received + not_awaited + WINDOW) == 0
        if look(engine, GIVE_UP_NS if waiting else 0):
            heard_ns = linux.monotonic_ns()
        elif waiting and linux.monotonic_ns() - heard_ns >= GIVE_UP_NS:
            not_awaited = engine.sent - engine.received


cdef void fall_silent(Engine *engine) noexcept nogil:
    """Read on until nothing comes for QUIET_NS, LINGER_NS at the most."""
    cdef uint64_t start_ns = linux.monotonic_ns()
    cdef uint64_t now_ns = start_ns
    cdef uint64_t heard_ns = start_ns
    while now_ns - heard_ns < QUIET_NS and now_ns - start_ns < LINGER_NS:
        if look(engine, QUIET_NS):
            heard_ns = linux.monotonic_ns()
        now_ns = linux.monotonic_ns()


# The Python side

cdef void point_at_buffers(Batch *batch) noexcept:
    cdef int i
    for i in range(BATCH):
        batch.vectors[i].iov_base = &batch.buffers[i][0]
        batch.vectors[i].iov_len = SLOT_BYTES
        batch.messages[i].msg_hdr.msg_iov = &batch.vectors[i]
        batch.messages[i].msg_hdr.msg_iovlen = 1


cdef class Pump:
    """Many peers' media from one thread; see engine.pyi for the contract."""

    cdef Engine *engine
    cdef object thread
    cdef list kept

    def __cinit__(self, *, uint32_t check_every=1):
        self.engine = <Engine *>calloc(1, sizeof(Engine))
        if self.engine is NULL:
            raise MemoryError
        self.engine.check_every = max(check_every, 1)
        self.engine.protect = <Crypt><uintptr_t>function_address("srtp_protect")
        self.engine.unprotect = <Crypt><uintptr_t>function_address("srtp_unprotect")
        self.engine.unprotect_rtcp = <Crypt><uintptr_t>function_address("srtp_unprotect_rtcp")
        point_at_buffers(&self.engine.outgoing)
        point_at_buffers(&self.engine.incoming)
        memset(self.engine.filling, 0x5A, SLOT_BYTES)
        self.engine.epoll = linux.epoll_create1(0)
        if self.engine.epoll < 0:
            raise OSError("epoll_create1 failed")
        self.kept = []

    def __dealloc__(self):
        # The thread holds a reference: it is over, or was never started.
        if self.engine is not NULL:
            linux.close(self.engine.epoll)
            free(self.engine.peers)
            free(self.engine.flows)
            free(self.engine.heap)
            free(self.engine)

    def _must_be_still(self):
        if self.thread is not None:
            raise RuntimeError("stop the pump first")

    def add_peer(self, socket, str profile, bytes send_key, bytes receive_key):
        self._must_be_still()
        cdef uint32_t index = self.engine.peer_count
        cdef void *grown = realloc(self.engine.peers, (index + 1) * sizeof(Peer))
        cdef linux.epoll_event event
        if grown is NULL:
            raise MemoryError
        self.engine.peers = <Peer *>grown
        seal = open_session(profile, send_key, "send")
        open_ = open_session(profile, receive_key, "receive")
        memset(&self.engine.peers[index], 0, sizeof(Peer))
        self.engine.peers[index].fd = socket.fileno()
        self.engine.peers[index].seal = <void *><uintptr_t>session_address(seal)
        self.engine.peers[index].open = <void *><uintptr_t>session_address(open_)
        event.events = linux.EPOLLIN
        event.data.u64 = index
        if linux.epoll_ctl(self.engine.epoll, linux.EPOLL_CTL_ADD, socket.fileno(), &event) < 0:
            raise OSError("epoll_ctl failed")
        self.kept.append((socket, seal, open_))
        self.engine.peer_count += 1
        return index

    def add_flow(
        self, uint32_t peer, str kind, *, uint32_t ssrc, uint8_t payload_type, str mid="",
        uint8_t mid_id=0, uint8_t twcc_id=0, burst=None, packet_bytes=None,
        packets_per_second=None,
    ):
        self._must_be_still()
        cdef uint32_t index = self.engine.flow_count
        cdef bytes mid_bytes = mid.encode()
        cdef Flow flow
        video = {"video": True, "audio": False}[kind]
        memset(&flow, 0, sizeof(Flow))
        flow.peer = peer
        flow.kind = VIDEO if video else AUDIO
        flow.ssrc = ssrc
        flow.payload_type = payload_type
        flow.mid_id = mid_id if mid_bytes else 0
        flow.twcc_id = twcc_id
        flow.burst = burst if burst is not None else 6 if video else 1
        flow.packet_bytes = packet_bytes if packet_bytes is not None else 1100 if video else 100
        # A picture 30 times a second; 20 ms of Opus a packet.
        pace = packets_per_second or (30 * flow.burst if video else 50)
        flow.packets_per_second = pace
        flow.keyframe_due = video
        if peer >= self.engine.peer_count:
            raise IndexError(f"no peer {peer}")
        if len(mid_bytes) > wire.MOST_MID_BYTES or mid_id > 14 or twcc_id > 14:
            raise ValueError("extensions are one-byte ones: ids to 14, a mid of at most 16 bytes")
        if not 1 <= flow.burst <= MOST_BURST or pace <= 0:
            raise ValueError(f"a burst is of 1 to {MOST_BURST} packets, a pace above 0")
        if not wire.LEAST_PACKET_BYTES <= flow.packet_bytes <= 1400:
            raise ValueError(f"a packet has {wire.LEAST_PACKET_BYTES} to 1400 bytes")
        flow.mid_bytes = <int>len(mid_bytes)
        memcpy(flow.mid, <const char *>mid_bytes, len(mid_bytes))
        cdef void *grown = realloc(self.engine.flows, (index + 1) * sizeof(Flow))
        if grown is NULL:
            raise MemoryError
        self.engine.flows = <Flow *>grown
        grown = realloc(self.engine.heap, (index + 1) * sizeof(uint32_t))
        if grown is NULL:
            raise MemoryError
        self.engine.heap = <uint32_t *>grown
        self.engine.flows[index] = flow
        self.engine.flow_count += 1
        return index

    def start(self, packets_per_second=None):
        self._must_be_still()
        if self.engine.flow_count == 0:
            raise RuntimeError("nothing to send: add a flow first")
        own_pace = 0.0
        for i in range(self.engine.flow_count):
            own_pace += self.engine.flows[i].packets_per_second
        total = own_pace if packets_per_second is None else packets_per_second
        if not total > 0:
            raise ValueError("a rate is above 0")
        self.engine.flat_out = math.isinf(total)
        arrange(self.engine, 1.0 if self.engine.flat_out else total / own_pace)
        self.engine.running = True
        self.thread = threading.Thread(target=self._run, name="pump", daemon=True)
        self.thread.start()

    def _run(self):
        with nogil:
            if self.engine.flat_out:
                pump_flat_out(self.engine)
            else:
                pump_paced(self.engine)
            fall_silent(self.engine)

    def stop(self):
        if self.thread is not None:
            self.engine.running = False
            self.thread.join()
            self.thread = None

    def figures(self):
        cdef Engine *engine = self.engine
        return Figures(
            sent=engine.sent,
            unsent=engine.unsent,
            received=engine.received,
            received_bytes=engine.received_bytes,
            authenticated=engine.authenticated,
            refused=engine.refused,
            rtcp=engine.rtcp,
            rtcp_refused=engine.rtcp_refused,
            other=engine.other,
            keyframes=engine.keyframes,
            slipped_us=engine.slipped_ns // 1000,
            delays=[engine.delays[i] for i in range(BUCKETS)],
        )

    def received_by(self, uint32_t peer):
        if peer >= self.engine.peer_count:
            raise IndexError(f"no peer {peer}")
        return self.engine.peers[peer].received

    def sent_on(self, uint32_t flow):
        if flow >= self.engine.flow_count:
            raise IndexError(f"no flow {flow}")
        return self.engine.flows[flow].sent
