# Everything a shard knows: one socket, one thread, its peers, tracks and subscriptions.
#
# Every structure here is guarded by Shard.lock unless its comment says otherwise. Times are
# microseconds of the monotonic clock. A handle names an object for ever; a pointer is good
# only while the lock is held.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from media.relay.counters cimport COUNTERS
from media.relay.linux cimport epoll_event, iovec, mmsghdr, pthread_mutex_t, sockaddr_in6
from media.relay.locks cimport Turnstile
from media.relay.placing cimport Placing
from media.relay.reception cimport Reception
from media.relay.ring cimport Ring

# Header extensions, as the keys of configure_peer's `extensions`.
cdef enum:
    NO_EXTENSION
    MID
    RID
    REPAIRED_RID
    TWCC
    AUDIO_LEVEL
    VIDEO_ORIENTATION
    DEPENDENCY_DESCRIPTOR
    ABS_SEND_TIME
    PLAYOUT_DELAY
    EXTENSIONS

# Codec families, as in core.pyi.
cdef enum:
    NO_FAMILY
    OPUS
    VP8
    VP9
    AV1
    H264
    OTHER_AUDIO
    RED

cdef enum Role:
    UNKNOWN_ROLE
    MEDIA
    RETRANSMISSION

cdef enum:
    MID_MAX = 32
    RID_MAX = 16
    UFRAG_MAX = 256
    ADDRESSES_MAX = 8
    # A browser with camera, screen and their simulcast layers and retransmissions uses
    # 14 SSRCs; each one costs libsrtp 0.4 KB, so that a hostile one may not have many more.
    STREAMS_MAX = 64
    # Simulcast layers of one track; browsers send three.
    LAYERS_MAX = 4
    # Of spatial and temporal ids; more than any that is used.
    LAYER_ID_MAX = 7
    # Frames that the dependency descriptor describes (A.8.2)
    TEMPLATES_MAX = 64
    # A Wi-Fi MTU; larger media datagrams are nobody's.
    RTP_MAX = 1500
    # Our own header extensions and SRTP's trailer on top of it.
    OUTPUT_MAX = 1800
    # Video packets kept for subscribers that ask again: about 240 of full size, 1.4 s at
    # 1.5 Mbit/s. Powers of two, both.
    CACHE_BYTES = 262144
    CACHE_PACKETS = 1024
    # Numbers that are asked for at one time; more of them missing is a keyframe's business.
    MISSING_MAX = 256
    # Bytes that may be sent again before as many were sent: the rest of a keyframe.
    RESEND_AT_FIRST = 65536
    # Numbers whose last resending a subscription remembers, a power of two.
    RESENT_SPAN = 256
    # Transport-wide sequence numbers remembered, a power of two.
    FEEDBACK_SPAN = 1024
    # Packets sent to one peer whose feedback is waited for, a power of two: 1 s at 2,000 a
    # second, which is eleven full pictures.
    HISTORY_SPAN = 2048
    RECEIVE_MESSAGES = 64
    # Taken in before they are forwarded and the lock is released: about 0.2 ms.
    BATCH_PACKETS = 256
    RUN_PACKETS = 64
    # The lock is released when this many outputs wait, so that no verb waits longer than
    # it takes to make them: about 0.2 ms.
    OUTPUTS_PER_HOLD = 128
    OUTPUTS_MAX = OUTPUTS_PER_HOLD + RUN_PACKETS + 64
    # A frame over TCP holds what a datagram may (RFC 4571, 2).
    FRAME_MAX = RTP_MAX
    # The playout delay extension has 12 bits for it, in 10 ms; libwebrtc has 10 s at most.
    PLAYOUT_DELAY_MAX_MS = 10000
    TCP_EVENTS = 64
    TCP_ARENA = 262144

ctypedef void *srtp_t
ctypedef int (*srtp_operation)(srtp_t session, void *packet, int *length) noexcept nogil
ctypedef int (*srtp_deallocate)(srtp_t session) noexcept nogil
ctypedef int (*srtp_forget)(srtp_t session, unsigned int ssrc_network_order) noexcept nogil

# libsrtp's functions, by the pointers that pylibsrtp's cffi module gives.
cdef struct Srtp:
    srtp_operation protect
    srtp_operation unprotect
    srtp_operation protect_rtcp
    srtp_operation unprotect_rtcp
    srtp_deallocate deallocate
    srtp_forget remove_stream

# An IPv6 address, or an IPv4 one mapped into it, in network order; the port in host order.
cdef struct Address:
    uint64_t high
    uint64_t low
    uint16_t port
    uint64_t connection             # the handle of a TCP connection; 0: UDP

cdef struct Codec:
    uint32_t family
    uint32_t variant

cdef struct Negotiated:
    Codec codecs[128]
    bint takes_red
    uint8_t repairs[128]            # retransmission payload type -> 1 + the one it repairs
    uint8_t extension_names[256]    # id -> Extension
    uint8_t extension_ids[EXTENSIONS]

# One RTP packet in the receive buffer, decrypted; positions count from its first byte.
cdef struct Packet:
    uint8_t *data
    uint16_t header_length          # with CSRCs, without extensions
    uint16_t payload_at
    uint16_t payload_length         # without padding
    uint8_t payload_type
    bint marker
    uint16_t sequence
    uint32_t timestamp
    uint32_t ssrc
    int64_t sequence_ext
    Codec codec
    uint16_t field_at[EXTENSIONS]
    uint8_t field_length[EXTENSIONS]    # 0: absent
    # Of RED (red.pxd)
    uint16_t own_at                 # where its own block begins, in the payload
    Codec own_codec
    # Of video (descriptor.pyx)
    bint keyframe                   # it begins one
    bint begins_frame               # of one spatial layer
    bint ends_frame
    bint switches                   # what follows needs nothing of a higher temporal layer before
    uint8_t spatial
    uint8_t temporal
    uint8_t picture_at              # the picture id, in the payload; 0: absent
    uint8_t base_at                 # TL0PICIDX, likewise
    int next                        # in the run; -1 ends it

# Whether a number arrived, and where its packet is.
cdef struct CacheEntry:
    int64_t sequence_ext            # 0: none
    uint64_t start                  # counts all bytes ever written
    bint kept                       # False: it had no payload

# A layer's last packets, decrypted, for all its subscribers (cache.pxd).
cdef struct Cache:
    uint64_t written
    CacheEntry entries[CACHE_PACKETS]    # by number modulo the span
    uint8_t data[CACHE_BYTES]

cdef struct Missing:
    int64_t sequence_ext
    int64_t noticed_us
    int64_t due_us                  # when to ask (again), or to give up
    int asked

# What a layer is missing, and what it has (recovery.pyx): of the SSRC that is forwarded.
cdef struct Recovery:
    uint64_t stream_serial          # 0: nothing is followed
    int64_t highest
    int64_t due_us                  # the earliest of the missing ones'; 0: none is missing
    int missing_count
    Missing missing[MISSING_MAX]    # ascending
    Cache cache

# When a subscription was last sent a number again (resend.pyx).
cdef struct Resent:
    int64_t sequence_ext
    int64_t sent_us

# The highest layers of a scalable stream that a subscriber gets (scalability.pxd).
cdef struct Extent:
    int spatial
    int temporal

# How a subscriber's picture numbers differ from its source's, and the last ones it got, as it
# knows them (pictures.pxd). All wrap: those of pictures at 7 or 15 bits.
cdef struct Pictures:
    bint numbered
    bint base_numbered
    bint frame_numbered
    uint16_t shift                  # out = in + shift
    uint16_t last
    uint8_t base_shift
    uint8_t base_last
    uint16_t frame_shift            # of the dependency descriptor's frame numbers
    uint16_t frame_last

# Packets of one layer that arrived in one batch: forwarded together.
cdef struct Run:
    uint64_t track                  # handle: the track may go while the lock is released
    int layer
    uint64_t stream_serial
    uint64_t serial
    int first
    int last
    int count

cdef struct Peer
cdef struct Track
cdef struct Subscription

# One address that proved to be a peer's; a node of Shard.addresses.
cdef struct Binding:
    uint64_t hash
    Address address
    Peer *peer
    int64_t seen_us

# One local ufrag; a node of Shard.ufrags.
cdef struct Ufrag:
    uint64_t hash
    Peer *peer
    Ufrag *next
    uint16_t length
    char text[UFRAG_MAX]

# A frame as the dependency descriptor knows it.
cdef struct Template:
    uint8_t spatial
    uint8_t temporal
    uint8_t independent             # it refers to no earlier frame
    uint8_t switches                # as in Packet

# What a stream's last keyframe with a dependency descriptor said (dependency.pyx).
cdef struct Dependencies:
    int64_t since                   # that keyframe's number
    uint8_t first_template          # its id; they count modulo 64
    uint8_t template_count          # 0: there was none yet
    uint8_t target_count
    uint8_t chain_count
    uint8_t spatial_count
    Template templates[TEMPLATES_MAX]

# One SSRC received from a peer.
cdef struct Stream:
    uint64_t serial                 # never reused
    uint32_t ssrc
    Role role
    Track *track                    # NULL: not known (yet), or removed
    uint32_t repaired_ssrc          # of a RETRANSMISSION, as signalled; 0: not
    int layer                       # of its track's, or that it repairs; -1: not known
    uint8_t rid_length
    char rid[RID_MAX]               # what the layer is called
    uint8_t mid_length
    char mid[MID_MAX]               # as last seen in the extension
    int64_t seen_us
    uint32_t clock_rate
    Reception reception
    Dependencies dependencies
    # The publisher's last sender report
    uint64_t report_serial          # 0: none yet; never reused
    uint64_t report_ntp
    uint32_t report_timestamp
    int64_t report_us

# When the packets of one transport-wide sequence arrived (twcc.pyx).
cdef struct FeedbackLog:
    bint begun
    int64_t base                    # the first number that no feedback covers yet
    int64_t highest
    int unreported                  # packets since the last feedback
    uint8_t feedback_count
    uint32_t media_ssrc
    int64_t due_us                  # 0: nothing to report
    int64_t sent_us
    int64_t arrivals_us[FEEDBACK_SPAN]    # by number modulo the span; 0: not received

# What feedback said of a packet.
cdef enum Fate:
    UNREPORTED
    RECEIVED
    LOST

# One packet sent, by its transport-wide number.
cdef struct Sent:
    int64_t sent_us
    uint16_t length                 # on the wire, with IP and UDP headers
    uint8_t fate

# A cluster of packets sent at a rate of its own, to see whether it arrives at that rate:
# everything that went out in its time, media and padding (probing.pyx).
cdef struct Probe:
    int64_t bytes_a_second
    int64_t begun_us
    int64_t until_us
    int64_t due_us                  # 0: nothing is being sent
    uint64_t sent_before            # History.sent_bytes when it began
    int64_t first                   # its numbers
    int64_t last
    int64_t first_arrival_us        # 0: none arrived yet
    int64_t last_arrival_us
    uint16_t first_length
    uint64_t arrived_bytes

# What was sent to a peer under transport-wide numbers, and what its feedback says of it
# (history.pxd, acknowledged.pyx). The totals are since the beginning.
cdef struct History:
    int64_t next                    # the next packet's number; the low 16 bits go on the wire
    int64_t reported                # the first number that no feedback has covered
    bint heard                      # whether any feedback came: the next three are valid
    int64_t reference               # the last feedback's reference time, 64 ms, extended
    int64_t last_arrival_us         # by the peer's clock
    int64_t delay_origin_us         # the first packet's (arrival - sending): clocks differ
    uint64_t sent_packets
    uint64_t sent_bytes
    uint64_t padding_bytes          # of them, in probes
    uint64_t arrived_packets
    uint64_t arrived_bytes
    int64_t lost_packets
    int64_t arrival_us              # how long it took arrived_bytes to arrive
    int64_t delay_us                # the sum over arrived_packets
    uint64_t feedbacks
    uint64_t probes                 # whose result is known
    int64_t probe_bits_a_second     # of the last one of them
    Probe probe
    Sent packets[HISTORY_SPAN]      # by number modulo the span

# What a publisher is told to send at most, all together (REMB).
cdef struct Cap:
    int64_t bits_a_second
    int64_t due_us                  # 0: nothing is told
    int repeats                     # left; -1: for ever
    uint32_t media_ssrc             # one that it is about

cdef struct Peer:
    uint64_t handle
    Negotiated negotiated
    srtp_t receive
    srtp_t send
    bint selected
    Address destination
    int binding_count
    Binding *bindings[ADDRESSES_MAX]
    Ufrag *ufrags
    int64_t stun_since_us           # the window that stun_count counts in
    int stun_count
    Track *tracks
    Subscription *subscriptions
    Subscription *retired           # removed ones: their SSRCs must go on, not start again
    int stream_count
    int stream_hint
    uint32_t stream_ssrcs[STREAMS_MAX]
    Stream *streams[STREAMS_MAX]
    FeedbackLog *feedback           # NULL: transport-wide feedback is not negotiated
    History *history                # of what it is sent; NULL likewise
    Cap cap
    int64_t estimate                # bit/s, as its last REMB says
    uint64_t estimates
    uint64_t blocks                 # report blocks about what it receives
    uint64_t fraction_lost          # their sum, of 256
    int64_t reports_due_us          # 0: nothing to report
    int64_t round_trip_us           # as its last receiver report tells; 0: not known
    int64_t heard_us                # its last authentic packet; 0: none yet
    uint64_t packets_in
    uint64_t bytes_in
    uint64_t packets_out
    uint64_t bytes_out
    uint64_t authentication_failures
    uint64_t replays

# One simulcast layer of a track, or all of a track that has none (layers.pxd).
cdef struct Layer:
    Stream *active                  # the SSRC that is forwarded for it
    Recovery *recovery              # NULL: sound
    bint watched                    # by a subscriber, or one that is to switch to it
    bint keyframe_wanted
    uint64_t batch                  # run_index belongs to this batch
    int run_index
    int64_t seen_us                 # 0: no packet yet
    uint8_t rid_length              # 0: the track has no simulcast
    char rid[RID_MAX]

# What came of a layer, since the track was there.
cdef struct Figures:
    int64_t seen_us                 # 0: no packet yet
    uint64_t packets
    uint64_t bytes
    uint64_t keyframes

cdef struct Track:
    uint64_t handle
    Peer *peer
    Track *previous
    Track *next
    bint is_video
    bint forwarding
    uint8_t mid_length
    char mid[MID_MAX]
    uint32_t signalled_ssrc         # 0: none
    bint answers_nacks              # whether the publisher sends again what is asked for
    int layer_count                 # at least 1
    Layer layers[LAYERS_MAX]        # lowest first
    int figure_count
    Figures figures[LAYERS_MAX]     # of each, or of a scalable stream's spatial layers
    Subscription *subscribers
    int64_t keyframe_asked_us       # of any layer
    uint64_t packets
    uint64_t bytes
    uint64_t plis_sent
    uint64_t nacks_sent
    uint64_t retransmissions
    uint64_t recovered
    uint64_t given_up
    uint8_t loudness                # of its sound since it was asked for: 127 full scale, 0 none
    int64_t seen_us                 # 0: no packet yet

cdef struct Subscription:
    uint64_t handle
    Peer *peer
    Subscription *previous          # of the peer's
    Subscription *next
    Track *source
    Subscription *previous_subscriber    # of the source's
    Subscription *next_subscriber
    bint is_video
    uint8_t mid_length
    char mid[MID_MAX]
    uint32_t ssrc
    uint64_t run_serial             # the last run it was given
    int spatial                     # the layer it is to get, of those there are; -1: none
    int temporal
    int layer                       # that it gets; good only while it is flowing
    Extent extent                   # of a scalable stream, that it gets
    Extent extent_before
    int64_t extent_since            # the position where the present one began
    uint32_t picture_timestamp      # the newest picture's, as it came
    int playout_delay_ms            # at least, of pictures; -1: not told
    # The one continuous stream that the subscriber sees
    bint flowing                    # False: the next packet that may start it, starts it
    uint64_t stream_serial          # the Stream that timestamp_shift belongs to
    Placing placing
    uint32_t timestamp_shift        # out = in + shift
    uint32_t last_timestamp
    int64_t last_us                 # 0: nothing sent yet
    Pictures pictures
    Codec codec                     # payload_type's cache
    int payload_type
    int rtx_payload_type            # -1: none
    # Retransmissions: a stream of their own
    uint32_t rtx_ssrc               # 0: none
    uint16_t rtx_sequence           # the next one's
    int64_t resend_budget           # bytes
    Resent *resent                  # RESENT_SPAN of them by number; NULL without rtx_ssrc
    # RTCP
    uint64_t report_serial          # of the last sender report passed on
    bint clock_known                # what it said, as the subscriber was told (clock.pxd)
    uint64_t clock_ntp
    uint32_t clock_timestamp
    uint32_t report_ntp_middle
    int64_t report_sent_us
    int fraction_lost
    int64_t round_trip_us
    uint64_t packets
    uint64_t payload_bytes
    uint64_t dropped
    uint64_t nacks_received
    uint64_t retransmissions_sent

# Objects by handle.
cdef struct Slots:
    uint64_t kind
    uint32_t capacity
    uint32_t free_count
    uint32_t *free
    uint32_t *generations
    void **items

# Nodes that begin with their own hash, open addressing.
cdef struct HashTable:
    uint32_t mask
    uint32_t count
    uint64_t **nodes

# One TCP connection, from accept to close (tcp.pyx).
cdef struct Connection:
    uint64_t handle
    int fd
    int epoll                       # the shard's
    Address address
    bint proven                     # bound to a peer
    Connection *previous            # of those not proven, as they came
    Connection *next                # the same, or of those to be closed
    int64_t accepted_us
    uint32_t received               # bytes, while it is not proven
    uint16_t begun_length           # of a frame whose end has not come
    uint8_t begun[2 + FRAME_MAX]
    # Guarded by Shard.sending: the end of a frame whose begin has left.
    uint16_t rest_at
    uint16_t rest_length
    uint8_t rest[2 + OUTPUT_MAX]

# All of them. Nothing is allocated but a Connection, when it is accepted.
cdef struct Tcp:
    int listener                    # -1: there is no TCP
    int epoll
    int limit
    int64_t prove_us                # what a connection has to prove whose it is
    int count                       # atomic
    Slots slots
    Connection *oldest              # of those not proven
    Connection *newest
    # Owned by the relay thread; no lock
    bint ready                      # something may have happened on a connection
    bint paused                     # nothing is accepted until the next sweep
    int64_t sweep_us                # when to look who is late; 0: no connection is new
    size_t used                     # of `arena`, by frames that are not forwarded yet
    uint8_t *arena
    epoll_event events[TCP_EVENTS]

# Owned by the relay thread; no lock.
cdef struct Receiver:
    int capacity
    size_t stride
    uint8_t *data
    mmsghdr messages[RECEIVE_MESSAGES]
    iovec vectors[RECEIVE_MESSAGES]
    sockaddr_in6 sources[RECEIVE_MESSAGES]
    uint64_t controls[RECEIVE_MESSAGES][8]
    uint32_t overflow

# Datagrams ready to go; owned by the relay thread, filled under the lock, sent outside it.
cdef struct Sender:
    bint segmenting
    int message_count
    int packet_count
    size_t used
    uint8_t *arena
    mmsghdr messages[OUTPUTS_MAX]
    iovec vectors[OUTPUTS_MAX]
    sockaddr_in6 destinations[OUTPUTS_MAX]
    Address addresses[OUTPUTS_MAX]
    uint64_t controls[OUTPUTS_MAX][4]
    uint16_t segment_size[OUTPUTS_MAX]
    uint16_t segment_count[OUTPUTS_MAX]
    bint closed[OUTPUTS_MAX]
    # Messages that go over TCP, and by which connection: found when the lock is given back.
    int stream_count
    Connection *connections[OUTPUTS_MAX]
    uint64_t unwritten              # packets; an outcome as those below
    # Outcomes, added to the counters at the next hold of the lock
    uint64_t failed
    uint64_t refused

cdef struct Shard:
    int fd
    int family
    int wake_fd
    int events_fd
    int gather_us
    int stopping                    # atomic
    int64_t turns                   # atomic; written by the thread alone
    int64_t busy_us                 # likewise
    Turnstile lock
    # Held while datagrams leave. A verb that silences something passes it after `lock`.
    pthread_mutex_t sending
    Srtp srtp
    uint64_t seed
    uint64_t serials
    Slots peers
    Slots tracks
    Slots subscriptions
    HashTable addresses
    HashTable ufrags
    int64_t timer_us                # atomic; 0: none. When the next feedback is due
    int64_t now_us                  # when the batch in hand was received
    uint32_t send_time              # the same as abs-send-time
    uint64_t counters[COUNTERS]
    Ring up
    bint events_pending
    uint64_t batch
    int held_packets                # taken in since the last forward_runs: bounds the batch
    int packet_count
    Packet packets[BATCH_PACKETS]
    int run_count
    Run runs[BATCH_PACKETS]
    Receiver receiver
    Sender sender
    Tcp tcp
