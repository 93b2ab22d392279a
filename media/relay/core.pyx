# cython: language_level=3
"""The relay's Python side: what core.pyi promises, checked and handed to native code.

Arguments are turned into C values first, then the verb runs without the GIL: no lock is
ever held while Python is needed.
"""

import os
import resource
import threading
from typing import NamedTuple

from media.relay.sessions import create_session, function_addresses
from media.relay.sockets import open_sockets

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from media.relay cimport downlinks, figures, loop, peers, routing, state, verbs
from media.relay.arguments cimport (
    is_video,
    pack_address,
    pack_mid,
    pack_negotiated,
    pack_rids,
    pack_ssrcs,
    unpack_address,
)
from media.relay.history cimport history_init
from media.relay.linux cimport (
    AF_INET,
    EFD_CLOEXEC,
    EFD_NONBLOCK,
    MSG_DONTWAIT,
    atomic_read_i64,
    atomic_write_int,
    close,
    eventfd,
    getpid,
    read,
    sendto,
    sockaddr,
    sockaddr_in6,
    socklen_t,
    write,
)
from media.relay.locks cimport control_lock, unlock
from media.relay.placing cimport placing_init
from media.relay.ring cimport Slot, ring_oldest, ring_pop
from media.relay.state cimport (
    FeedbackLog,
    History,
    LAYER_ID_MAX,
    Negotiated,
    PLAYOUT_DELAY_MAX_MS,
    RESEND_AT_FIRST,
    STREAMS_MAX,
    Shard,
    Subscription,
    TWCC,
    Track,
    UFRAG_MAX,
    srtp_t,
)
from media.relay.tables cimport slots_get
from media.relay.tcp cimport send_frame, tcp_free, tcp_open
from media.relay.timers cimport wake
from media.relay.udp cimport (
    is_ipv4,
    receiver_free,
    receiver_init,
    sender_free,
    sender_init,
    write_sockaddr,
)

Address = tuple[str, int] | tuple[str, int, int]

STUN = 1
DTLS = 2
CLOSED = 3

# TCP connections at one time, and their share of the descriptors that the process may have.
CONNECTIONS_MAX = 1024
DESCRIPTORS_SHARE = 4

OPUS = state.OPUS
VP8 = state.VP8
VP9 = state.VP9
AV1 = state.AV1
H264 = state.H264
OTHER_AUDIO = state.OTHER_AUDIO
RED = state.RED

class RelayError(Exception):
    """A verb that could not be done; `code` says why."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code


class Downlink(NamedTuple):
    sent_bytes: int
    padding_bytes: int
    arrived_packets: int
    arrived_bytes: int
    lost_packets: int
    arrival_us: int
    delay_us: int
    feedbacks: int
    probes: int
    probe_bits_per_second: int
    estimate: int
    estimates: int
    blocks: int
    fraction_lost: int
    round_trip_us: int


class Datagram(NamedTuple):
    kind: int
    peer: int
    address: Address
    data: bytes


cdef object _done(verbs.Outcome outcome):
    """Raise what `outcome` stands for."""
    if outcome == verbs.DONE:
        return
    if outcome == verbs.UNKNOWN_HANDLE:
        raise RelayError("relay.unknown_handle", "no such peer, track or subscription")
    if outcome == verbs.NOT_BOUND:
        raise RelayError("relay.not_bound", "the address is not one of the peer's")
    if outcome == verbs.ADDRESS_IN_USE:
        raise RelayError("relay.address_in_use", "another peer's media goes to this address")
    if outcome == verbs.CONNECTION_CLOSED:
        raise RelayError("relay.connection_closed", "the TCP connection is closed")
    if outcome == verbs.SSRC_IN_USE:
        raise RelayError("relay.ssrc_in_use", "another subscription of the peer has this SSRC")
    if outcome == verbs.WRONG_KIND:
        raise ValueError("audio goes to audio slots, video to video slots")
    raise MemoryError


cdef object _known(figures):
    """What was read of a handle; None stands for one that is not known."""
    if figures is None:
        _done(verbs.UNKNOWN_HANDLE)
    return figures


def connections_limit():
    """How many TCP connections there may be: sockets and files need descriptors, too."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return min(CONNECTIONS_MAX, allowed // DESCRIPTORS_SHARE)


cdef class Relay:
    """Two sockets and one thread. core.pyi says what each verb does."""

    cdef Shard *shard
    cdef object socket
    cdef object listener
    cdef object thread
    cdef object polling
    cdef int pid
    cdef readonly int port
    cdef readonly bint tcp

    def __cinit__(self):
        self.shard = <Shard *>calloc(1, sizeof(Shard))
        if self.shard == NULL:
            raise MemoryError
        self.shard.fd = self.shard.wake_fd = self.shard.events_fd = -1
        if not peers.init_shard(self.shard):
            raise MemoryError

    def __init__(
        self,
        str host="",
        int port=0,
        *,
        int gather_us=1000,
        bint offload=True,
        bint tcp=True,
        int prove_within_ms=10000,
    ):
        if not 0 <= gather_us <= 5000:
            raise ValueError(f"gather_us is 0..5000, not {gather_us}")
        if self.socket is not None:
            raise RuntimeError("a relay is set up once")
        self.pid = getpid()
        self.polling = threading.Lock()
        self._find_libsrtp()
        self.shard.seed = int.from_bytes(os.urandom(8), "little")
        self.shard.gather_us = gather_us
        self.shard.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        self.shard.events_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        if self.shard.wake_fd < 0 or self.shard.events_fd < 0:
            raise OSError("no file descriptor left for an eventfd")
        self.socket, self.listener = open_sockets(host, port, tcp=tcp)
        self.port = self.socket.getsockname()[1]
        self.shard.family = self.socket.family
        self.shard.fd = self.socket.fileno()
        if not receiver_init(&self.shard.receiver, self.shard.fd, offload):
            raise MemoryError
        if not sender_init(&self.shard.sender, offload):
            raise MemoryError
        self.tcp = self.listener is not None
        if self.tcp and not tcp_open(
            self.shard,
            self.listener.fileno(),
            connections_limit(),
            <int64_t>prove_within_ms * 1000,
        ):
            raise MemoryError

    cdef object _find_libsrtp(self):
        protect, unprotect, protect_rtcp, unprotect_rtcp, dealloc, remove = function_addresses()
        self.shard.srtp.protect = <state.srtp_operation><uintptr_t>protect
        self.shard.srtp.unprotect = <state.srtp_operation><uintptr_t>unprotect
        self.shard.srtp.protect_rtcp = <state.srtp_operation><uintptr_t>protect_rtcp
        self.shard.srtp.unprotect_rtcp = <state.srtp_operation><uintptr_t>unprotect_rtcp
        self.shard.srtp.deallocate = <state.srtp_deallocate><uintptr_t>dealloc
        self.shard.srtp.remove_stream = <state.srtp_forget><uintptr_t>remove

    def __dealloc__(self):
        # The thread keeps a reference to its relay: it has ended, or never began. In a child
        # process the locks may be held by nobody: what was inherited goes with the process.
        if self.shard == NULL or (self.pid and getpid() != self.pid):
            return
        peers.free_shard(self.shard)
        receiver_free(&self.shard.receiver)
        sender_free(&self.shard.sender)
        if self.shard.wake_fd >= 0:
            close(self.shard.wake_fd)
        if self.shard.events_fd >= 0:
            close(self.shard.events_fd)
        free(self.shard)

    cdef Shard *_here(self) except NULL:
        """The shard, unless this is a child process: there is no thread, and maybe a held lock."""
        if getpid() != self.pid:
            raise RelayError("relay.forked", "a relay belongs to the process that made it")
        return self.shard

    cdef object _pack(self, object address, state.Address *out):
        pack_address(address, out)
        if self.shard.family == AF_INET and not is_ipv4(out):
            raise ValueError(f"an IPv4 relay cannot reach {address[0]}")

    def start(self):
        self._here()
        if self.thread is not None or self.shard.fd < 0:
            raise RuntimeError("a relay is started once")
        self.thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self.thread.start()

    def _run(self):
        cdef Shard *shard = self.shard
        with nogil:
            loop.run(shard)

    def stop(self):
        cdef Shard *shard = self._here()
        atomic_write_int(&shard.stopping, 1)
        wake(shard)
        if self.thread is not None:
            self.thread.join()
        shard.fd = -1
        self.socket.close()
        with nogil:
            control_lock(&shard.lock)
            tcp_free(shard)
            unlock(&shard.lock)
        if self.listener is not None:
            self.listener.close()

    def wake(self):
        cdef Shard *shard = self._here()
        cdef int64_t turns = atomic_read_i64(&shard.turns)
        wake(shard)
        return turns

    @property
    def turns(self):
        return atomic_read_i64(&self._here().turns)

    @property
    def busy_us(self):
        return atomic_read_i64(&self._here().busy_us)

    def fileno(self):
        return self._here().events_fd

    def poll(self, int limit=64):
        cdef Shard *shard = self._here()
        cdef uint64_t count = 1
        cdef Slot *slot
        cdef list datagrams = []
        with self.polling:
            # Cleared before looking: what comes after is announced again.
            read(shard.events_fd, &count, sizeof(count))
            while len(datagrams) < limit:
                slot = ring_oldest(&shard.up)
                if slot == NULL:
                    break
                if self._is_peer(slot.peer):
                    datagrams.append(
                        Datagram(
                            slot.kind,
                            slot.peer,
                            unpack_address(
                                slot.address_high, slot.address_low, slot.port, slot.connection
                            ),
                            PyBytes_FromStringAndSize(<char *>slot.data, slot.length),
                        )
                    )
                ring_pop(&shard.up)
            if ring_oldest(&shard.up) != NULL:
                count = 1
                write(shard.events_fd, &count, sizeof(count))
        return datagrams

    cdef bint _is_peer(self, uint64_t handle):
        cdef Shard *shard = self.shard
        cdef void *peer
        with nogil:
            control_lock(&shard.lock)
            peer = slots_get(&shard.peers, handle)
            unlock(&shard.lock)
        return peer != NULL

    def send(self, address, bytes data):
        cdef Shard *shard = self._here()
        cdef state.Address packed
        cdef sockaddr_in6 to
        cdef socklen_t length
        cdef const uint8_t *payload = data
        cdef size_t payload_length = len(data)
        self._pack(address, &packed)
        if shard.fd < 0:
            return
        if packed.connection:
            with nogil:
                send_frame(shard, packed.connection, payload, payload_length)
            return
        length = write_sockaddr(&packed, shard.family, &to)
        sendto(shard.fd, <const char *>data, len(data), MSG_DONTWAIT, <const sockaddr *>&to, length)

    # Peers

    def add_peer(self, payload_types={}, rtx={}, extensions={}):
        cdef Shard *shard = self._here()
        cdef uint64_t peer
        cdef Negotiated checked
        # Before there is a peer: a refused one leaves nothing behind.
        pack_negotiated(payload_types, rtx, extensions, &checked)
        with nogil:
            peer = peers.add_peer(shard)
        if peer == 0:
            raise MemoryError
        self.configure_peer(peer, payload_types, rtx, extensions)
        return peer

    def configure_peer(self, uint64_t peer, payload_types, rtx, extensions):
        cdef Shard *shard = self._here()
        cdef Negotiated negotiated
        cdef FeedbackLog *log = NULL
        cdef History *history = NULL
        cdef verbs.Outcome outcome
        pack_negotiated(payload_types, rtx, extensions, &negotiated)
        if negotiated.extension_ids[TWCC]:
            log = <FeedbackLog *>calloc(1, sizeof(FeedbackLog))
            history = <History *>calloc(1, sizeof(History))
            if log == NULL or history == NULL:
                free(log)
                free(history)
                raise MemoryError
            history_init(history)
        with nogil:
            outcome = peers.configure_peer(shard, peer, &negotiated, &log, &history)
            free(log)
            free(history)
        _done(outcome)

    def remove_peer(self, uint64_t peer):
        cdef Shard *shard = self._here()
        cdef verbs.Outcome outcome
        with nogil:
            outcome = peers.remove_peer(shard, peer)
        _done(outcome)

    def expect(self, uint64_t peer, str ufrag):
        cdef Shard *shard = self._here()
        cdef bytes text = ufrag.encode()
        cdef const char *data = text
        cdef size_t length = len(text)
        cdef verbs.Outcome outcome
        if not 0 < length <= UFRAG_MAX:
            raise ValueError(f"a ufrag has 1..{UFRAG_MAX} bytes, this one {length}")
        with nogil:
            outcome = peers.expect(shard, peer, data, length)
        _done(outcome)

    def forget(self, str ufrag):
        cdef Shard *shard = self._here()
        cdef bytes text = ufrag.encode()
        cdef const char *data = text
        cdef size_t length = len(text)
        with nogil:
            peers.forget(shard, data, length)

    def bind(self, uint64_t peer, address):
        cdef Shard *shard = self._here()
        cdef state.Address packed
        cdef verbs.Outcome outcome
        self._pack(address, &packed)
        with nogil:
            outcome = peers.bind(shard, peer, &packed)
        _done(outcome)

    def select(self, uint64_t peer, address):
        cdef Shard *shard = self._here()
        cdef state.Address packed
        cdef bint sending = address is not None
        cdef verbs.Outcome outcome
        if sending:
            self._pack(address, &packed)
        with nogil:
            outcome = peers.select(shard, peer, &packed if sending else NULL)
        _done(outcome)

    def set_keys(self, uint64_t peer, str profile, bytes receive_key, bytes send_key):
        cdef Shard *shard = self._here()
        cdef srtp_t receive = <srtp_t><uintptr_t>create_session(profile, receive_key, inbound=True)
        cdef srtp_t send
        cdef verbs.Outcome outcome
        try:
            send = <srtp_t><uintptr_t>create_session(profile, send_key, inbound=False)
        except BaseException:
            shard.srtp.deallocate(receive)
            raise
        with nogil:
            outcome = peers.set_sessions(shard, peer, &receive, &send)
            if receive != NULL:
                shard.srtp.deallocate(receive)
            if send != NULL:
                shard.srtp.deallocate(send)
        _done(outcome)

    # What a peer sends

    def add_track(
        self, uint64_t peer, str kind, str mid, ssrcs=(), rtx_ssrcs=(), *, bint nack=False, rids=()
    ):
        cdef Shard *shard = self._here()
        cdef Track wanted
        cdef uint32_t media[STREAMS_MAX]
        cdef uint32_t repairs[STREAMS_MAX]
        cdef int media_count = pack_ssrcs(ssrcs, media)
        cdef int repair_count = pack_ssrcs(rtx_ssrcs, repairs)
        cdef uint64_t track = 0
        cdef verbs.Outcome outcome
        memset(&wanted, 0, sizeof(wanted))
        wanted.is_video = is_video(kind)
        wanted.mid_length = pack_mid(mid, wanted.mid)
        wanted.answers_nacks = nack and wanted.is_video
        pack_rids(rids, &wanted)
        with nogil:
            outcome = routing.add_track(
                shard, peer, &wanted, media, media_count, repairs, repair_count, &track
            )
        _done(outcome)
        return track

    def remove_track(self, uint64_t track):
        cdef Shard *shard = self._here()
        cdef verbs.Outcome outcome
        with nogil:
            outcome = routing.remove_track(shard, track)
        _done(outcome)

    def set_forwarding(self, uint64_t track, bint enabled):
        cdef Shard *shard = self._here()
        cdef verbs.Outcome outcome
        with nogil:
            outcome = routing.set_forwarding(shard, track, enabled)
        _done(outcome)

    def request_keyframe(self, uint64_t track):
        cdef Shard *shard = self._here()
        cdef verbs.Outcome outcome
        with nogil:
            outcome = routing.request_keyframe(shard, track)
        _done(outcome)

    # What a peer receives

    def add_subscription(
        self, uint64_t peer, str kind, str mid, uint32_t ssrc, uint32_t rtx_ssrc=0
    ):
        cdef Shard *shard = self._here()
        cdef Subscription wanted
        cdef bytes random = os.urandom(8)
        cdef uint64_t subscription = 0
        cdef verbs.Outcome outcome
        memset(&wanted, 0, sizeof(wanted))
        wanted.is_video = is_video(kind)
        wanted.mid_length = pack_mid(mid, wanted.mid)
        wanted.ssrc = ssrc
        wanted.spatial = wanted.temporal = LAYER_ID_MAX
        if rtx_ssrc == ssrc:
            raise ValueError("retransmissions need an SSRC of their own")
        wanted.rtx_ssrc = rtx_ssrc
        wanted.round_trip_us = wanted.playout_delay_ms = -1
        # Below 2**15: whoever misses the first packets cannot mistake the ROC (RFC 3711, 3.3.1).
        placing_init(&wanted.placing, int.from_bytes(random[:2], "little") & 0x7FFF)
        wanted.resend_budget = RESEND_AT_FIRST
        wanted.rtx_sequence = int.from_bytes(random[2:4], "little") & 0x7FFF
        wanted.last_timestamp = int.from_bytes(random[4:], "little")
        with nogil:
            outcome = routing.add_subscription(shard, peer, &wanted, &subscription)
        _done(outcome)
        return subscription

    def remove_subscription(self, uint64_t subscription):
        cdef Shard *shard = self._here()
        cdef verbs.Outcome outcome
        with nogil:
            outcome = routing.remove_subscription(shard, subscription)
        _done(outcome)

    def set_source(self, uint64_t subscription, track):
        cdef Shard *shard = self._here()
        cdef bint attached = track is not None
        cdef uint64_t handle = track if attached else 0
        cdef verbs.Outcome outcome
        with nogil:
            outcome = routing.set_source(shard, subscription, attached, handle)
        _done(outcome)

    def set_layer(self, uint64_t subscription, int spatial, int temporal=LAYER_ID_MAX):
        cdef Shard *shard = self._here()
        cdef verbs.Outcome outcome
        if not -1 <= spatial <= LAYER_ID_MAX or not 0 <= temporal <= LAYER_ID_MAX:
            raise ValueError(f"layers are 0..{LAYER_ID_MAX}, not {spatial} and {temporal}")
        with nogil:
            outcome = routing.set_layer(shard, subscription, spatial, temporal)
        _done(outcome)

    def set_playout_delay(self, uint64_t subscription, int delay_ms):
        cdef Shard *shard = self._here()
        cdef verbs.Outcome outcome
        if not 0 <= delay_ms <= PLAYOUT_DELAY_MAX_MS:
            raise ValueError(f"a playout delay is 0..{PLAYOUT_DELAY_MAX_MS} ms, not {delay_ms}")
        with nogil:
            outcome = routing.set_playout_delay(shard, subscription, delay_ms)
        _done(outcome)

    # Rates

    def downlink(self, uint64_t peer):
        cdef Shard *shard = self._here()
        cdef downlinks.Figures figures
        cdef verbs.Outcome outcome
        with nogil:
            outcome = downlinks.figures_of(shard, peer, &figures)
        _done(outcome)
        return Downlink(
            figures.sent_bytes,
            figures.padding_bytes,
            figures.arrived_packets,
            figures.arrived_bytes,
            figures.lost_packets,
            figures.arrival_us,
            figures.delay_us,
            figures.feedbacks,
            figures.probes,
            figures.probe_bits_a_second,
            figures.estimate,
            figures.estimates,
            figures.blocks,
            figures.fraction_lost,
            figures.round_trip_us,
        )

    def probe(self, uint64_t peer, int64_t bits_per_second, int duration_ms):
        cdef Shard *shard = self._here()
        cdef verbs.Outcome outcome
        if not 0 < bits_per_second <= downlinks.RATE_MAX or not 0 < duration_ms <= 1000:
            raise ValueError(f"no probe: {bits_per_second} bit/s for {duration_ms} ms")
        with nogil:
            outcome = downlinks.probe(shard, peer, bits_per_second, duration_ms)
        _done(outcome)

    def cap(self, uint64_t track, bits_per_second):
        cdef Shard *shard = self._here()
        cdef int64_t rate = 0 if bits_per_second is None else bits_per_second
        cdef verbs.Outcome outcome
        if bits_per_second is not None and not 0 < rate <= downlinks.RATE_MAX:
            raise ValueError(f"no cap: {bits_per_second} bit/s")
        with nogil:
            outcome = downlinks.cap(shard, track, rate)
        _done(outcome)

    # Figures

    def stats(self):
        return figures.of_relay(self._here())

    def objects(self):
        return figures.held(self._here())

    def peer_stats(self, uint64_t peer):
        return _known(figures.of_peer(self._here(), peer))

    def silences_ms(self, peers):
        return figures.silences_ms(self._here(), peers)

    def track_stats(self, uint64_t track):
        return _known(figures.of_track(self._here(), track))

    def layer_stats(self, uint64_t track):
        return _known(figures.of_layers(self._here(), track))

    def audio_levels(self, tracks):
        return _known(figures.audio_levels(self._here(), tracks))

    def subscription_stats(self, uint64_t subscription):
        return _known(figures.of_subscription(self._here(), subscription))
