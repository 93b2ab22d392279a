"""The load generator, against a socket that reads what it sends and against itself."""

import math
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import RTCP_PSFB_PLI, HeaderExtensionsMap, RtcpPsfbPacket, RtpPacket
from pylibsrtp import Session

from scripts.pump import Pump
from scripts.pump.srtp import KEY_BYTES, open_session
from tests.support.eventually import eventually

PROFILE = "SRTP_AEAD_AES_128_GCM"
AWAY, BACK = os.urandom(28), os.urandom(28)
MID_ID, TWCC_ID = 4, 3


@pytest.fixture
def wire() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two UDP sockets of 127.0.0.1, connected to each other."""
    with ExitStack() as stack:
        ends = [
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)
        ]
        for end in ends:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            end.bind(("127.0.0.1", 0))
        ends[0].connect(ends[1].getsockname())
        ends[1].connect(ends[0].getsockname())
        yield ends[0], ends[1]


@pytest.fixture
def pump() -> Iterator[Pump]:
    pump = Pump()
    yield pump
    pump.stop()


class Listener:
    """The far end of a wire: decrypts and parses what the pump sends."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._socket.settimeout(10)
        self._receive: Session = open_session(PROFILE, AWAY, "receive")
        self._send: Session = open_session(PROFILE, BACK, "send")
        self._extensions = HeaderExtensionsMap()
        self._extensions.configure(
            RTCRtpParameters(
                headerExtensions=[
                    RTCRtpHeaderExtensionParameters(
                        id=MID_ID, uri="urn:ietf:params:rtp-hdrext:sdes:mid"
                    ),
                    RTCRtpHeaderExtensionParameters(
                        id=TWCC_ID,
                        uri="http://www.ietf.org/id/"
                        "draft-holmer-rmcat-transport-wide-cc-extensions-01",
                    ),
                ]
            )
        )

    def read(self) -> RtpPacket:
        data = self._receive.unprotect(self._socket.recv(2048))
        return RtpPacket.parse(data, self._extensions)

    def ask_for_keyframe(self, ssrc: int) -> None:
        pli = RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=1, media_ssrc=ssrc)
        self._socket.send(self._send.protect_rtcp(bytes(pli)))


def speaker(pump: Pump, sock: socket.socket) -> int:
    return pump.add_peer(sock, PROFILE, AWAY, BACK)


def is_keyframe(packet: RtpPacket) -> bool:
    """Start of a VP8 frame with the inverse key frame flag of its tag clear (RFC 7741, 4.3)."""
    starts = packet.payload[0] & 0x10 != 0
    return starts and packet.payload[4] & 1 == 0 and packet.payload[7:10] == b"\x9d\x01\x2a"


async def test_two_peers_hear_all_that_each_other_sends(
    pump: Pump, wire: tuple[socket.socket, socket.socket]
) -> None:
    first = pump.add_peer(wire[0], PROFILE, AWAY, BACK)
    second = pump.add_peer(wire[1], PROFILE, BACK, AWAY)
    flows = [
        pump.add_flow(first, "video", ssrc=1, payload_type=96),
        pump.add_flow(second, "audio", ssrc=2, payload_type=111),
    ]
    pump.start(5_000)
    await eventually(lambda: pump.figures().received >= 2_000)
    pump.stop()
    figures = pump.figures()
    assert figures.received == figures.sent == figures.authenticated == sum(figures.delays)
    assert figures.received_bytes > figures.received * 100
    assert (figures.refused, figures.unsent, figures.other, figures.loss()) == (0, 0, 0, 0)
    assert pump.received_by(second) == pump.sent_on(flows[0])
    assert pump.received_by(first) == pump.sent_on(flows[1])


async def test_flat_out_loses_nothing_where_the_receiver_keeps_up(
    pump: Pump, wire: tuple[socket.socket, socket.socket]
) -> None:
    first = pump.add_peer(wire[0], PROFILE, AWAY, BACK)
    pump.add_peer(wire[1], PROFILE, BACK, AWAY)
    pump.add_flow(first, "video", ssrc=1, payload_type=96)
    pump.start(math.inf)
    # Past the wrap of the sequence number.
    await eventually(lambda: pump.figures().received > 70_000, within=30)
    pump.stop()
    figures = pump.figures()
    assert figures.received == figures.sent == figures.authenticated


@pytest.mark.parametrize("profile", sorted(KEY_BYTES))
async def test_every_profile_is_spoken(
    pump: Pump, wire: tuple[socket.socket, socket.socket], profile: str
) -> None:
    away, back = os.urandom(KEY_BYTES[profile]), os.urandom(KEY_BYTES[profile])
    first = pump.add_peer(wire[0], profile, away, back)
    pump.add_peer(wire[1], profile, back, away)
    pump.add_flow(first, "audio", ssrc=1, payload_type=111)
    pump.start()
    await eventually(lambda: pump.figures().authenticated >= 5)


async def test_what_another_key_sealed_is_counted_and_refused(
    pump: Pump, wire: tuple[socket.socket, socket.socket]
) -> None:
    first = pump.add_peer(wire[0], PROFILE, AWAY, BACK)
    pump.add_peer(wire[1], PROFILE, BACK, os.urandom(28))
    pump.add_flow(first, "audio", ssrc=1, payload_type=111)
    pump.start(1_000)
    await eventually(lambda: pump.figures().received >= 100)
    pump.stop()
    figures = pump.figures()
    assert figures.refused == figures.received
    assert figures.authenticated == sum(figures.delays) == 0


async def test_sampling_checks_some_and_counts_all(
    wire: tuple[socket.socket, socket.socket],
) -> None:
    pump = Pump(check_every=10)
    first = pump.add_peer(wire[0], PROFILE, AWAY, BACK)
    pump.add_peer(wire[1], PROFILE, BACK, AWAY)
    pump.add_flow(first, "audio", ssrc=1, payload_type=111)
    pump.start(2_000)
    await eventually(lambda: pump.figures().received >= 500)
    pump.stop()
    figures = pump.figures()
    assert figures.received == figures.sent
    assert figures.authenticated == -(-figures.received // 10)


def test_a_burst_is_one_frame_with_running_numbers(
    pump: Pump, wire: tuple[socket.socket, socket.socket]
) -> None:
    listener = Listener(wire[1])
    pump.add_flow(
        speaker(pump, wire[0]),
        "video",
        ssrc=0xCAFE,
        payload_type=96,
        mid="1",
        mid_id=MID_ID,
        twcc_id=TWCC_ID,
    )
    pump.start()
    packets = [listener.read() for _ in range(12)]
    for frame in (packets[:6], packets[6:]):
        assert [packet.marker for packet in frame] == [0, 0, 0, 0, 0, 1]
        assert len({packet.timestamp for packet in frame}) == 1
    assert packets[0].timestamp != packets[6].timestamp
    assert [packet.sequence_number for packet in packets] == list(range(12))
    transport = [packet.extensions.transport_sequence_number for packet in packets]
    assert transport == list(range(12))
    assert {(packet.ssrc, packet.payload_type) for packet in packets} == {(0xCAFE, 96)}
    assert {len(packet.payload) for packet in packets} == {1100 - 12 - 12}


def test_the_first_frame_is_a_keyframe_and_a_pli_brings_another(
    pump: Pump, wire: tuple[socket.socket, socket.socket]
) -> None:
    listener = Listener(wire[1])
    pump.add_flow(speaker(pump, wire[0]), "video", ssrc=7, payload_type=96)
    pump.start()
    frames = [listener.read() for _ in range(60)][::6]
    assert [is_keyframe(frame) for frame in frames] == [True] + [False] * 9
    listener.ask_for_keyframe(ssrc=7)
    following = [listener.read() for _ in range(60)][::6]
    assert sum(map(is_keyframe, following)) == 1
    assert pump.figures().keyframes == 2


def test_a_pli_for_another_stream_brings_none(
    pump: Pump, wire: tuple[socket.socket, socket.socket]
) -> None:
    listener = Listener(wire[1])
    pump.add_flow(speaker(pump, wire[0]), "video", ssrc=7, payload_type=96)
    pump.start()
    listener.ask_for_keyframe(ssrc=8)
    assert sum(is_keyframe(listener.read()) for _ in range(120)) == 1
    assert pump.figures().rtcp == 1


def test_mid_is_sent_in_the_first_hundred_packets_only(
    pump: Pump, wire: tuple[socket.socket, socket.socket]
) -> None:
    listener = Listener(wire[1])
    pump.add_flow(
        speaker(pump, wire[0]), "audio", ssrc=7, payload_type=111, mid="ab", mid_id=MID_ID
    )
    pump.start(1_000)
    mids = [listener.read().extensions.mid for _ in range(110)]
    assert mids == ["ab"] * 100 + [None] * 10


def test_flows_of_one_peer_share_its_transport_sequence(
    pump: Pump, wire: tuple[socket.socket, socket.socket]
) -> None:
    listener = Listener(wire[1])
    peer = speaker(pump, wire[0])
    pump.add_flow(peer, "audio", ssrc=7, payload_type=111, twcc_id=TWCC_ID)
    pump.add_flow(peer, "video", ssrc=8, payload_type=96, twcc_id=TWCC_ID)
    pump.start(2_000)
    packets = [listener.read() for _ in range(200)]
    assert {packet.ssrc for packet in packets} == {7, 8}
    transport = [packet.extensions.transport_sequence_number for packet in packets]
    assert transport == list(range(200))


def test_flows_keep_their_proportion_at_any_rate(
    pump: Pump, wire: tuple[socket.socket, socket.socket]
) -> None:
    listener = Listener(wire[1])
    peer = speaker(pump, wire[0])
    pump.add_flow(peer, "audio", ssrc=7, payload_type=111)
    pump.add_flow(peer, "video", ssrc=8, payload_type=96)
    pump.start(4_000)
    packets = [listener.read() for _ in range(1150)]
    # 50 to 180 a second: 250 of 1,150, give or take a turn of each.
    assert abs(sum(packet.ssrc == 7 for packet in packets) - 250) <= 3


def test_nothing_can_be_added_while_it_runs(
    pump: Pump, wire: tuple[socket.socket, socket.socket]
) -> None:
    peer = speaker(pump, wire[0])
    pump.add_flow(peer, "audio", ssrc=7, payload_type=111)
    pump.start()
    with pytest.raises(RuntimeError):
        pump.add_flow(peer, "audio", ssrc=8, payload_type=111)
    with pytest.raises(RuntimeError):
        pump.start()
    pump.stop()
    pump.add_flow(peer, "audio", ssrc=8, payload_type=111)


@pytest.mark.parametrize(
    ("packet_bytes", "burst", "packets_per_second"),
    [(50, 6, 180), (1500, 6, 180), (1100, 17, 180), (1100, 6, -1)],
)
def test_a_flow_out_of_bounds_is_refused(
    pump: Pump,
    wire: tuple[socket.socket, socket.socket],
    packet_bytes: int,
    burst: int,
    packets_per_second: float,
) -> None:
    peer = speaker(pump, wire[0])
    with pytest.raises(ValueError, match=r"a burst|a packet"):
        pump.add_flow(
            peer,
            "video",
            ssrc=7,
            payload_type=96,
            packet_bytes=packet_bytes,
            burst=burst,
            packets_per_second=packets_per_second,
        )


def test_an_unknown_peer_is_refused(pump: Pump) -> None:
    with pytest.raises(IndexError):
        pump.add_flow(0, "audio", ssrc=7, payload_type=111)
    with pytest.raises(RuntimeError):
        pump.start()
