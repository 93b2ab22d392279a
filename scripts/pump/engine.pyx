# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""The load generator: many browsers' media from one thread without the GIL.

While it runs its thread holds the lock but where it waits; verbs take it in between, and whoever
holds it may change anything. Python reads counters at any time. It knows nothing of signaling,
ICE or DTLS: it is handed connected sockets and SRTP keys.
"""

import math
import threading

from libc.stdint cimport UINT64_MAX, int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy
from media.relay.locks cimport (
    control_lock, relay_lock, turnstile_destroy, turnstile_init, unlock,
)
from media.relay.wire cimport get16, get32
from scripts.pump cimport linux, wire
from scripts.pump.reports cimport note_packet, note_sender_report, report
from scripts.pump.schedule cimport enter, leave, set_pace, take_turn
from scripts.pump.sending cimport send_turn
from scripts.pump.state cimport (
    AUDIO, BATCH, BUCKETS, MOST_BURST, PAYLOAD_TYPES, SLOT_BYTES, VIDEO, Batch, Clip, Crypt,
    Engine, Flow, Frame, Peer,
)
from scripts.pump.figures import Figures
from scripts.pump.recording import recording
from scripts.pump.srtp import function_address, open_session, session_address

cdef enum:
    # 64 turns are about 180 packets: sent between two looks at the sockets when in a hurry.
    TURNS_A_LOOK = 64
    # On their way when sending flat out: enough that the server never waits, few enough that
    # what waits for it is still in the cache, as it would be at a lower rate.
    WINDOW = 512

cdef uint64_t SLIP_AFTER_NS = 20_000_000
# What a verb adds begins after it at the latest.
cdef uint64_t LONGEST_WAIT_NS = 5_000_000
# What did not come back in this time while nothing else did is lost: the window opens again.
cdef uint64_t GIVE_UP_NS = 20_000_000
# After the last packet is sent: wait this long for the network to fall silent.
cdef uint64_t QUIET_NS = 50_000_000
cdef uint64_t LINGER_NS = 500_000_000
# Of one peer's feedback. libwebrtc: 50 to 250 ms, by the rate.
cdef uint64_t REPORT_EVERY_NS = 100_000_000


# Sending

cdef int send_due(Engine *engine, uint64_t until_ns, uint64_t limit) noexcept nogil:
    """Take the turns due by `until_ns`, until `limit` packets were sent in all."""
    cdef uint64_t now_ns = linux.monotonic_ns()
    cdef int turns = 0
    while turns < TURNS_A_LOOK and engine.sent < limit and engine.heap_count:
        if engine.heap[0].due_ns > until_ns:
            break
        engine.elapsed_ns = engine.heap[0].due_ns
        send_turn(engine, engine.heap[0], now_ns)
        take_turn(engine)
        turns += 1
    return turns


cdef void report_due(Engine *engine, uint64_t now_ns) noexcept nogil:
    """Each peer in its turn, all of them in REPORT_EVERY_NS."""
    if engine.peer_count == 0:
        engine.report_ns = now_ns + REPORT_EVERY_NS
    elif engine.report_ns + REPORT_EVERY_NS < now_ns:
        engine.report_ns = now_ns
    while engine.report_ns <= now_ns:
        if engine.reporting >= engine.peer_count:
            engine.reporting = 0
        report(engine, engine.peers[engine.reporting], now_ns)
        engine.reporting += 1
        engine.report_ns += REPORT_EVERY_NS // engine.peer_count


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


cdef bint take_media(
    Engine *engine, Peer *peer, uint8_t *packet, int length, uint64_t now_ns
) noexcept nogil:
    """False: it is no media of anybody's."""
    cdef wire.Stamp stamp
    if not note_packet(peer, packet, length, now_ns, &engine.missing):
        engine.repeats += 1
        return False
    engine.received += 1
    engine.received_bytes += length
    peer.received += 1
    if peer.first_media_ns == 0:
        peer.first_media_ns = now_ns
    if peer.to_check > 1:
        peer.to_check -= 1
        return True
    peer.to_check = engine.check_every
    if engine.unprotect(peer.open, packet, &length) != 0:
        engine.refused += 1
        return True
    engine.authenticated += 1
    if length >= wire.HEADER_BYTES + wire.STAMP_BYTES and wire.read_stamp(packet + length, &stamp):
        engine.delays[delay_bucket((now_ns - stamp.sent_ns) // 1000)] += 1
    return True


cdef void take_reports(
    Engine *engine, Peer *peer, uint8_t *packet, int length, uint64_t now_ns
) noexcept nogil:
    """Obey a PLI as a browser does, with a keyframe, and note sender reports.

    Source: RFC 3550, 6.1 (compound packets); RFC 4585, 6.3.1 (PLI: type 206, format 1).
    """
    cdef Flow *flow
    cdef int at = 0
    cdef int end
    if engine.unprotect_rtcp(peer.open, packet, &length) != 0:
        engine.rtcp_refused += 1
        return
    engine.rtcp += 1
    while at + 4 <= length:
        end = at + 4 * (get16(packet + at + 2) + 1)
        if packet[at + 1] == 200 and at + 28 <= min(end, length):
            note_sender_report(peer, packet + at, now_ns)
        elif packet[at] & 0x1F == 1 and packet[at + 1] == 206 and at + 12 <= min(end, length):
            flow = peer.flows
            while flow != NULL:
                if flow.ssrc == get32(packet + at + 8):
                    flow.keyframe_due = True
                flow = flow.next
        at = end


cdef int drain(Engine *engine, Peer *peer) noexcept nogil:
    """Read one batch from a peer's socket; returns how many were media."""
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
            take_reports(engine, peer, packet, length, now_ns)
        else:
            media += take_media(engine, peer, packet, length, now_ns)
    return media


cdef int read_all(Engine *engine) noexcept nogil:
    """Read what is there; returns how many were media."""
    cdef linux.epoll_event ready[BATCH]
    cdef int media = 0
    cdef int i
    for i in range(linux.epoll_wait(engine.epoll, ready, BATCH, 0)):
        media += drain(engine, <Peer *>ready[i].data.ptr)
    return media


# The thread

cdef void rest(Engine *engine, uint64_t wait_ns) noexcept nogil:
    """Let go of the lock, and wait for something to read, `wait_ns` at the most."""
    cdef linux.pollfd readable
    cdef linux.timespec timeout
    unlock(&engine.lock)
    if wait_ns:
        readable.fd = engine.epoll
        readable.events = linux.POLLIN
        timeout.tv_sec = 0
        timeout.tv_nsec = <long>min(wait_ns, LONGEST_WAIT_NS)
        linux.ppoll(&readable, 1, &timeout, NULL)
    relay_lock(&engine.lock)


cdef void pump_paced(Engine *engine) noexcept nogil:
    """Send on schedule and read what is there, until `running` is cleared."""
    cdef uint64_t start_ns = linux.monotonic_ns()
    cdef uint64_t now_ns, due_ns
    # The default slack of 50 µs would show in the delays and bunch the schedule.
    linux.prctl(linux.PR_SET_TIMERSLACK, 1000)
    while engine.running:
        now_ns = linux.monotonic_ns()
        send_due(engine, now_ns - start_ns, UINT64_MAX)
        engine.elapsed_ns = now_ns - start_ns
        due_ns = start_ns + engine.heap[0].due_ns if engine.heap_count else UINT64_MAX
        if engine.heap_count and due_ns + SLIP_AFTER_NS < now_ns:
            # Move the schedule: what a stall held back is not sent as a flood.
            engine.slipped_ns += now_ns - due_ns
            start_ns += now_ns - due_ns
        report_due(engine, now_ns)
        due_ns = min(due_ns, engine.report_ns)
        rest(engine, due_ns - now_ns if due_ns > now_ns else 0)
        read_all(engine)


cdef void pump_flat_out(Engine *engine) noexcept nogil:
    """Keep WINDOW packets on their way, until `running` is cleared."""
    cdef uint64_t not_awaited = engine.sent - engine.received
    cdef uint64_t heard_ns = linux.monotonic_ns()
    cdef uint64_t now_ns
    cdef bint waiting
    while engine.running:
        waiting = send_due(engine, UINT64_MAX, engine.received + not_awaited + WINDOW) == 0
        report_due(engine, linux.monotonic_ns())
        rest(engine, GIVE_UP_NS if waiting else 0)
        now_ns = linux.monotonic_ns()
        if read_all(engine):
            heard_ns = now_ns
        elif waiting and now_ns - heard_ns >= GIVE_UP_NS:
            not_awaited = engine.sent - engine.received


cdef void fall_silent(Engine *engine) noexcept nogil:
    """Read on until nothing comes for QUIET_NS, LINGER_NS at the most."""
    cdef uint64_t start_ns = linux.monotonic_ns()
    cdef uint64_t now_ns = start_ns
    cdef uint64_t heard_ns = start_ns
    while now_ns - heard_ns < QUIET_NS and now_ns - start_ns < LINGER_NS:
        rest(engine, QUIET_NS)
        if read_all(engine):
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


cdef fill_clip(Clip *clip, tuple frames):
    """Point at the frames, whose owner has to live as long."""
    cdef bytes frame
    clip.frames = <Frame *>calloc(len(frames), sizeof(Frame))
    if clip.frames is NULL:
        raise MemoryError
    for frame in frames:
        clip.frames[clip.count].data = <const uint8_t *>frame
        clip.frames[clip.count].length = <int>len(frame)
        clip.count += 1


cdef class PeerSeat:
    """One peer's state, and what has to live as long."""

    cdef Peer state
    cdef object kept
    cdef object room
    cdef list flows


cdef class FlowSeat:
    cdef Flow state


cdef class Pump:
    """Many peers' media from one thread; see engine.pyi for the contract."""

    cdef Engine *engine
    cdef object thread
    cdef object recording
    cdef dict peers
    cdef dict flows
    cdef dict rooms
    cdef uint32_t peers_made
    cdef uint32_t flows_made

    def __cinit__(self, *, uint32_t check_every=1):
        self.engine = <Engine *>calloc(1, sizeof(Engine))
        if self.engine is NULL:
            raise MemoryError
        turnstile_init(&self.engine.lock)
        self.engine.scale = 1
        self.engine.check_every = max(check_every, 1)
        self.engine.protect = <Crypt><uintptr_t>function_address("srtp_protect")
        self.engine.unprotect = <Crypt><uintptr_t>function_address("srtp_unprotect")
        self.engine.protect_rtcp = <Crypt><uintptr_t>function_address("srtp_protect_rtcp")
        self.engine.unprotect_rtcp = <Crypt><uintptr_t>function_address("srtp_unprotect_rtcp")
        point_at_buffers(&self.engine.outgoing)
        point_at_buffers(&self.engine.incoming)
        self.recording = recording()
        fill_clip(&self.engine.pictures, self.recording.pictures)
        fill_clip(&self.engine.sounds, self.recording.sounds)
        self.engine.epoll = linux.epoll_create1(0)
        if self.engine.epoll < 0:
            raise OSError("epoll_create1 failed")
        self.peers, self.flows, self.rooms = {}, {}, {}

    def __dealloc__(self):
        # The thread holds a reference: it is over, or was never started.
        if self.engine is not NULL:
            linux.close(self.engine.epoll)
            turnstile_destroy(&self.engine.lock)
            free(self.engine.peers)
            free(self.engine.heap)
            free(self.engine.sounds.frames)
            free(self.engine.pictures.frames)
            free(self.engine)

    cdef void take_lock(self) noexcept:
        with nogil:
            control_lock(&self.engine.lock)

    def add_peer(
        self, socket, str profile, bytes send_key, bytes receive_key, *, room=None,
        uint8_t twcc_id=0, clocks_khz=None,
    ):
        cdef PeerSeat seat = PeerSeat()
        cdef Engine *engine = self.engine
        cdef linux.epoll_event event
        cdef void *grown
        if twcc_id > 14:
            raise ValueError("extensions are one-byte ones: ids to 14")
        seal = open_session(profile, send_key, "send")
        open_ = open_session(profile, receive_key, "receive")
        seat.kept, seat.room, seat.flows = (socket, seal, open_), room, []
        seat.state.fd = socket.fileno()
        seat.state.seal = <void *><uintptr_t>session_address(seal)
        seat.state.open = <void *><uintptr_t>session_address(open_)
        seat.state.twcc_id = twcc_id
        seat.state.tells_reception = bool(clocks_khz)
        for payload_type, clock_khz in (clocks_khz or {}).items():
            if not 0 <= payload_type < PAYLOAD_TYPES:
                raise ValueError(f"{payload_type} is no payload type")
            seat.state.clocks_khz[<int>payload_type] = clock_khz
        event.events = linux.EPOLLIN
        event.data.ptr = &seat.state
        self.take_lock()
        try:
            grown = realloc(engine.peers, (engine.peer_count + 1) * sizeof(Peer *))
            if grown is NULL:
                raise MemoryError
            engine.peers = <Peer **>grown
            if linux.epoll_ctl(engine.epoll, linux.EPOLL_CTL_ADD, seat.state.fd, &event) < 0:
                raise OSError("epoll_ctl failed")
            engine.peers[engine.peer_count] = &seat.state
            engine.peer_count += 1
            number = self.peers_made
            self.peers_made += 1
            self.peers[number] = seat
            self.rooms.setdefault(room, []).append(seat)
            self.count_others(room)
        finally:
            unlock(&engine.lock)
        return number

    cdef count_others(self, room):
        """Those without a room have one receiver each, whoever it is."""
        cdef PeerSeat seat
        for seat in self.rooms[room]:
            seat.state.others = 1 if room is None else <uint32_t>len(self.rooms[room]) - 1

    def remove_peer(self, uint32_t peer):
        cdef PeerSeat seat = self.seat(peer)
        cdef FlowSeat flow
        cdef Engine *engine = self.engine
        cdef uint32_t i
        self.take_lock()
        try:
            for number in seat.flows:
                flow = self.flows.pop(number)
                leave(engine, &flow.state)
            for i in range(engine.peer_count):
                if engine.peers[i] == &seat.state:
                    engine.peer_count -= 1
                    engine.peers[i] = engine.peers[engine.peer_count]
                    break
            linux.epoll_ctl(engine.epoll, linux.EPOLL_CTL_DEL, seat.state.fd, NULL)
            del self.peers[peer]
            self.rooms[seat.room].remove(seat)
            self.count_others(seat.room)
            if not self.rooms[seat.room]:
                del self.rooms[seat.room]
        finally:
            unlock(&engine.lock)

    cdef PeerSeat seat(self, uint32_t peer):
        if peer not in self.peers:
            raise IndexError(f"no peer {peer}")
        return self.peers[peer]

    cdef FlowSeat flow_seat(self, uint32_t flow):
        if flow not in self.flows:
            raise IndexError(f"no flow {flow}")
        return self.flows[flow]

    def add_flow(
        self, uint32_t peer, str kind, *, uint32_t ssrc, uint8_t payload_type, str mid="",
        uint8_t mid_id=0, uint8_t twcc_id=0, burst=None, packet_bytes=None,
        packets_per_second=None,
    ):
        cdef PeerSeat seat = self.seat(peer)
        cdef FlowSeat flow_seat = FlowSeat()
        cdef Flow *flow = &flow_seat.state
        cdef Engine *engine = self.engine
        cdef bytes mid_bytes = mid.encode()
        cdef void *grown
        video = {"video": True, "audio": False}[kind]
        flow.peer = &seat.state
        flow.kind = VIDEO if video else AUDIO
        flow.clip = &engine.pictures if video else &engine.sounds
        flow.clock_khz = 90 if video else 48
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
        if len(mid_bytes) > wire.MOST_MID_BYTES or mid_id > 14 or twcc_id > 14:
            raise ValueError("extensions are one-byte ones: ids to 14, a mid of at most 16 bytes")
        if not 1 <= flow.burst <= MOST_BURST or pace <= 0:
            raise ValueError(f"a burst is of 1 to {MOST_BURST} packets, a pace above 0")
        if not wire.LEAST_PACKET_BYTES <= flow.packet_bytes <= 1400:
            raise ValueError(f"a packet has {wire.LEAST_PACKET_BYTES} to 1400 bytes")
        flow.mid_bytes = <int>len(mid_bytes)
        memcpy(flow.mid, <const char *>mid_bytes, len(mid_bytes))
        self.take_lock()
        try:
            # Room for the flows that are paused, too.
            grown = realloc(engine.heap, (len(self.flows) + 1) * sizeof(Flow *))
            if grown is NULL:
                raise MemoryError
            engine.heap = <Flow **>grown
            flow.number = self.flows_made
            self.flows_made += 1
            flow.next = seat.state.flows
            seat.state.flows = flow
            seat.flows.append(flow.number)
            self.flows[flow.number] = flow_seat
            enter(engine, flow)
        finally:
            unlock(&engine.lock)
        return flow.number

    def pause(self, uint32_t flow):
        cdef FlowSeat seat = self.flow_seat(flow)
        self.take_lock()
        leave(self.engine, &seat.state)
        seat.state.paused = True
        unlock(&self.engine.lock)

    def resume(self, uint32_t flow):
        cdef FlowSeat seat = self.flow_seat(flow)
        self.take_lock()
        if seat.state.paused:
            seat.state.paused = False
            seat.state.keyframe_due = seat.state.kind == VIDEO
            enter(self.engine, &seat.state)
        unlock(&self.engine.lock)

    def start(self, packets_per_second=None):
        if self.thread is not None:
            raise RuntimeError("it runs")
        own_pace = 0.0
        cdef FlowSeat seat
        for seat in self.flows.values():
            own_pace += seat.state.packets_per_second
        scale = 1.0
        self.engine.flat_out = False
        if packets_per_second is not None:
            if not packets_per_second > 0:
                raise ValueError("a rate is above 0")
            if not self.flows:
                raise RuntimeError("nothing to send at that rate: add a flow first")
            self.engine.flat_out = math.isinf(packets_per_second)
            scale = 1.0 if self.engine.flat_out else packets_per_second / own_pace
        set_pace(self.engine, scale)
        self.engine.running = True
        self.thread = threading.Thread(target=self._run, name="pump", daemon=True)
        self.thread.start()

    def _run(self):
        with nogil:
            relay_lock(&self.engine.lock)
            if self.engine.flat_out:
                pump_flat_out(self.engine)
            else:
                pump_paced(self.engine)
            fall_silent(self.engine)
            unlock(&self.engine.lock)

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
            expected=engine.expected,
            received=engine.received,
            received_bytes=engine.received_bytes,
            missing=engine.missing,
            repeats=engine.repeats,
            authenticated=engine.authenticated,
            refused=engine.refused,
            rtcp=engine.rtcp,
            rtcp_refused=engine.rtcp_refused,
            reports=engine.reports,
            other=engine.other,
            keyframes=engine.keyframes,
            slipped_us=engine.slipped_ns // 1000,
            delays=[engine.delays[i] for i in range(BUCKETS)],
        )

    def received_by(self, uint32_t peer):
        return self.seat(peer).state.received

    def first_media(self, uint32_t peer):
        cdef uint64_t at_ns = self.seat(peer).state.first_media_ns
        return at_ns / 1e9 if at_ns else None

    def sent_on(self, uint32_t flow):
        return self.flow_seat(flow).state.sent
