# cython: language_level=3
"""The verbs' arguments as C values, checked: our own misuse is a ValueError here, or nowhere."""

import socket

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from media.relay cimport state
from media.relay.state cimport (
    Address,
    LAYERS_MAX,
    MID_MAX,
    NO_FAMILY,
    Negotiated,
    RID_MAX,
    STREAMS_MAX,
    Track,
)

_EXTENSIONS = {
    "mid": state.MID,
    "rid": state.RID,
    "repaired_rid": state.REPAIRED_RID,
    "twcc": state.TWCC,
    "audio_level": state.AUDIO_LEVEL,
    "video_orientation": state.VIDEO_ORIENTATION,
    "dependency_descriptor": state.DEPENDENCY_DESCRIPTOR,
    "abs_send_time": state.ABS_SEND_TIME,
    "playout_delay": state.PLAYOUT_DELAY,
}


cdef object pack_address(object address, Address *out):
    """Raises ValueError for anything but a numeric address and a port, and a TCP connection."""
    cdef bytes packed
    host, port, out.connection = address if len(address) == 3 else (*address, 0)
    if not 0 < port < 65536:
        raise ValueError(f"bad port {port}")
    try:
        packed = bytes(10) + b"\xff\xff" + socket.inet_pton(socket.AF_INET, host)
    except OSError:
        try:
            packed = socket.inet_pton(socket.AF_INET6, host)
        except OSError:
            raise ValueError(f"not an IP address: {host!r}") from None
    memcpy(&out.high, <const char *>packed, 8)
    memcpy(&out.low, <const char *>packed + 8, 8)
    out.port = port


cdef object unpack_address(uint64_t high, uint64_t low, uint16_t port, uint64_t connection):
    cdef bytes packed = PyBytes_FromStringAndSize(<char *>&high, 8) + PyBytes_FromStringAndSize(
        <char *>&low, 8
    )
    if packed.startswith(bytes(10) + b"\xff\xff"):
        host = socket.inet_ntop(socket.AF_INET, packed[12:])
    else:
        host = socket.inet_ntop(socket.AF_INET6, packed)
    return (host, port, connection) if connection else (host, port)


cdef object pack_negotiated(payload_types, rtx, extensions, Negotiated *out):
    memset(out, 0, sizeof(Negotiated))
    for payload_type, (family, variant) in payload_types.items():
        if not 0 <= payload_type < 128 or not NO_FAMILY < family <= state.RED:
            raise ValueError(f"bad payload type {payload_type} of family {family}")
        out.codecs[<int>payload_type].family = family
        out.codecs[<int>payload_type].variant = variant
        out.takes_red |= family == state.RED
    for payload_type, repaired in rtx.items():
        if not 0 <= payload_type < 128 or not 0 <= repaired < 128:
            raise ValueError(f"bad retransmission payload type {payload_type}")
        out.repairs[<int>payload_type] = repaired + 1
    for name, identifier in extensions.items():
        if not 0 < identifier < 256:
            raise ValueError(f"bad extension id {identifier}")
        if name in _EXTENSIONS:
            out.extension_names[<int>identifier] = _EXTENSIONS[name]
            out.extension_ids[<int>_EXTENSIONS[name]] = identifier


cdef bint is_video(str kind) except -1:
    if kind not in ("audio", "video"):
        raise ValueError(f"a track is audio or video, not {kind!r}")
    return kind == "video"


cdef int pack_mid(str mid, char *out) except -1:
    """Returns its length."""
    cdef bytes text = mid.encode()
    if len(text) > MID_MAX:
        raise ValueError(f"a mid has at most {MID_MAX} bytes, this one {len(text)}")
    memcpy(out, <const char *>text, len(text))
    return len(text)


cdef object pack_rids(rids, Track *out):
    """The track's layers; without rids it has one."""
    cdef bytes text
    cdef int i
    if len(rids) > LAYERS_MAX or len(set(rids)) < len(rids):
        raise ValueError(f"a track has at most {LAYERS_MAX} different layers, not {rids}")
    out.layer_count = max(len(rids), 1)
    for i in range(len(rids)):
        text = rids[i].encode()
        if not 0 < len(text) <= RID_MAX:
            raise ValueError(f"a rid has 1..{RID_MAX} bytes, this one {len(text)}")
        memcpy(out.layers[i].rid, <const char *>text, len(text))
        out.layers[i].rid_length = len(text)


cdef int pack_ssrcs(ssrcs, uint32_t *out) except -1:
    """Returns how many; one peer cannot have more than STREAMS_MAX."""
    cdef int count = 0
    for ssrc in ssrcs[:STREAMS_MAX]:
        out[count] = ssrc
        count += 1
    return count
