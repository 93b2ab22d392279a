"""The load generator, against a socket that reads what it sends and against itself."""

import math
import os
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import av
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


def decoded(codec: str, frames: Sequence[bytes]) -> list[av.VideoFrame | av.AudioFrame]:
    context = av.CodecContext.create(codec, "r")
    assert isinstance(context, av.VideoCodecContext | av.AudioCodecContext)
    return [shown for frame in frames for shown in context.decode(av.Packet(frame))]


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
    assert figures.received == figures.sent == figures.authenticated
    # Each packet of sound is timed, and the last of each picture.
    assert sum(figures.delays) == pump.sent_on(flows[1]) + pump.sent_on(flows[0]) // 6
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


@pytest.mark.parametrize(("burst", "packet_bytes"), [(6, 1100), (1, 208)])
def test_what_it_sends_is_a_picture_that_moves_and_goes_on_after_a_pli(
    pump: Pump, wire: tuple[socket.socket, socket.socket], burst: int, packet_bytes: int
) -> None:
    listener = Listener(wire[1])
    pump.add_flow(
        speaker(pump, wire[0]),
        "video",
        ssrc=7,
        payload_type=96,
        burst=burst,
        packet_bytes=packet_bytes,
        packets_per_second=3000,
    )
    pump.start()
    frames: list[bytes] = [b""]
    while len(frames) <= 60:
        packet = listener.read()
        # The VP8 payload descriptor of these has four bytes (RFC 7741, 4.2).
        frames[-1] += packet.payload[4:]
        if packet.marker:
            frames.append(b"")
        if packet.marker and len(frames) == 30:
            listener.ask_for_keyframe(ssrc=7)
    pictures = decoded("vp8", frames[:60])
    assert [(p.width, p.height) for p in pictures if isinstance(p, av.VideoFrame)] == [
        (640, 360)
    ] * 60
    assert len({bytes(p.planes[0]) for p in pictures}) > 25


@pytest.mark.parametrize("packet_bytes", [72, 100, 105, 400, 700])
def test_what_it_sends_is_sound_whatever_its_padding(
    pump: Pump, wire: tuple[socket.socket, socket.socket], packet_bytes: int
) -> None:
    listener = Listener(wire[1])
    pump.add_flow(
        speaker(pump, wire[0]), "audio", ssrc=7, payload_type=111, packet_bytes=packet_bytes
    )
    pump.start(1_000)
    packets = [listener.read() for _ in range(50)]
    # Header, an empty extension, and no less than the sound with its stamp.
    assert {len(packet.payload) + 16 for packet in packets} == {max(packet_bytes, 84)}
    sounds = decoded("libopus", [packet.payload for packet in packets])
    assert {(s.samples, s.sample_rate) for s in sounds[1:] if isinstance(s, av.AudioFrame)} == {
        (960, 48_000)
    }
    assert len({bytes(s.planes[0]) for s in sounds}) > 40


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


def test_what_runs_is_not_started_again(pump: Pump) -> None:
    pump.start()
    with pytest.raises(RuntimeError):
        pump.start()
    pump.stop()
    with pytest.raises(RuntimeError):
        pump.start(1_000)


async def test_one_without_peers_rests(pump: Pump) -> None:
    pump.start()
    begun, used_before = time.monotonic(), time.process_time()
    await eventually(lambda: time.monotonic() - begun > 0.5)
    assert time.process_time() - used_before < 0.2


async def test_peers_come_and_go_while_it_runs(
    pump: Pump, wire: tuple[socket.socket, socket.socket]
) -> None:
    pump.start()
    first = pump.add_peer(wire[0], PROFILE, AWAY, BACK, room="a")
    second = pump.add_peer(wire[1], PROFILE, BACK, AWAY, room="a")
    flow = pump.add_flow(first, "audio", ssrc=1, payload_type=111)
    await eventually(lambda: pump.received_by(second) >= 20)
    pump.remove_peer(first)
    with pytest.raises(IndexError):
        pump.sent_on(flow)
    with pytest.raises(IndexError):
        pump.received_by(first)
    sent = pump.figures().sent
    other = pump.add_flow(second, "audio", ssrc=2, payload_type=111)
    await eventually(lambda: pump.sent_on(other) >= 20)
    # Nobody is left in the room to get it.
    assert pump.figures().sent - sent == pump.sent_on(other)
    assert pump.figures().expected == sent == pump.received_by(second)


async def test_a_hundred_peers_share_one_thread_and_leave_in_any_order(pump: Pump) -> None:
    with ExitStack() as stack:
        pump.start()
        peers = []
        for index in range(100):
            pair = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
            for end in pair:
                stack.enter_context(end).bind(("127.0.0.1", 0))
            pair[0].connect(pair[1].getsockname())
            pair[1].connect(pair[0].getsockname())
            for sock, keys in zip(pair, ((AWAY, BACK), (BACK, AWAY)), strict=True):
                peer = pump.add_peer(sock, PROFILE, *keys, room=index)
                pump.add_flow(peer, "audio", ssrc=peer, payload_type=111)
                peers.append(peer)
        await eventually(lambda: min(map(pump.received_by, peers)) >= 5)
        for peer in peers[::3]:
            pump.remove_peer(peer)
        rest = [peer for index, peer in enumerate(peers) if index % 3]
        with_partner = [p for p in rest if ((p - 1) ^ 1) + 1 in rest]
        before = pump.figures().received
        await eventually(lambda: pump.figures().received > before + 10 * len(with_partner))
        pump.stop()
        assert (pump.figures().refused, pump.figures().rtcp_refused) == (0, 0)


async def test_a_paused_flow_is_silent_and_goes_on_with_a_keyframe(
    pump: Pump, wire: tuple[socket.socket, socket.socket]
) -> None:
    peer = speaker(pump, wire[0])
    flow = pump.add_flow(peer, "video", ssrc=7, payload_type=96)
    sound = pump.add_flow(peer, "audio", ssrc=8, payload_type=111)
    pump.start()
    await eventually(lambda: pump.sent_on(flow) >= 12)
    pump.pause(flow)
    pump.pause(flow)
    sent, heard = pump.sent_on(flow), pump.sent_on(sound)
    await eventually(lambda: pump.sent_on(sound) >= heard + 10)
    assert pump.sent_on(flow) == sent
    pump.resume(flow)
    pump.resume(flow)
    await eventually(lambda: pump.sent_on(flow) >= sent + 12)
    assert pump.figures().keyframes == 2


class Server:
    """The far end of a wire that sends media and reads what is told of it."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._socket.settimeout(10)
        self._send: Session = open_session(PROFILE, BACK, "send")
        self._receive: Session = open_session(PROFILE, AWAY, "receive")

    def send(self, number: int, payload_type: int = 111, ssrc: int = 5) -> None:
        """A packet of numbers both of its stream and transport-wide."""
        header = struct.pack("!BBHII", 0x90, payload_type, number, 960 * number, ssrc)
        extension = struct.pack("!HHBHx", 0xBEDE, 1, TWCC_ID << 4 | 1, number)
        self._socket.send(self._send.protect(header + extension + bytes(40)))

    def send_report(self, ntp: int) -> None:
        report = struct.pack("!BBHIQIII", 0x80, 200, 6, 5, ntp, 0, 0, 0)
        self._socket.send(self._send.protect_rtcp(report))

    def hear(self, packet_type: int) -> bytes:
        """The next RTCP packet of the type."""
        while True:
            data = self._socket.recv(2048)
            if 192 <= data[1] <= 223:
                at, whole = 0, self._receive.unprotect_rtcp(data)
                while at < len(whole):
                    end = at + 4 * (int.from_bytes(whole[at + 2 : at + 4]) + 1)
                    if whole[at + 1] == packet_type:
                        return whole[at:end]
                    at = end


def test_transport_feedback_tells_of_what_came_and_what_did_not(
    pump: Pump, wire: tuple[socket.socket, socket.socket]
) -> None:
    server = Server(wire[1])
    pump.add_peer(wire[0], PROFILE, AWAY, BACK, twcc_id=TWCC_ID)
    # Before it starts: the numbers are together in one message.
    for number in (*range(10, 15), *range(17, 20)):
        server.send(number)
    pump.start()
    feedback = server.hear(205)
    base, count = struct.unpack_from("!HH", feedback, 12)
    assert (feedback[0] & 31, base, count) == (15, 10, 10)
    # 14 one-bit symbols: 5 came, 2 did not, 3 came (draft-holmer, 3.1.4).
    assert struct.unpack_from("!H", feedback, 20)[0] == 0b10_11111001110000


def test_a_receiver_report_tells_the_losses_and_answers_the_last_sender_report(
    pump: Pump, wire: tuple[socket.socket, socket.socket]
) -> None:
    server = Server(wire[1])
    pump.add_peer(wire[0], PROFILE, AWAY, BACK, clocks_khz={111: 48})
    server.send(1)
    server.send_report(0x0102030405060708)
    for number in (2, 3, 6):
        server.send(number)
    pump.start()
    report = server.hear(201)
    ssrc, lost, highest, _jitter, answered, delay = struct.unpack_from("!6I", report, 8)
    assert (report[0] & 31, ssrc, highest, answered) == (1, 5, 6, 0x03040506)
    # 2 of 6: 85 of 256, and in all.
    assert lost == 85 << 24 | 2
    assert 0 < delay < 5 * 65536
    assert pump.figures().missing == 2
    assert pump.figures().missing_share() == pytest.approx(2 / 6)


def test_a_late_packet_fills_its_gap(pump: Pump, wire: tuple[socket.socket, socket.socket]) -> None:
    server = Server(wire[1])
    peer = pump.add_peer(wire[0], PROFILE, AWAY, BACK, clocks_khz={111: 48})
    for number in (1, 2, 4, 5, 3):
        server.send(number)
    pump.start()
    server.hear(201)
    assert pump.received_by(peer) == 5
    assert pump.figures().missing == 0


def test_retransmissions_are_counted_apart(
    pump: Pump, wire: tuple[socket.socket, socket.socket]
) -> None:
    server = Server(wire[1])
    peer = pump.add_peer(wire[0], PROFILE, AWAY, BACK, twcc_id=TWCC_ID, clocks_khz={111: 48})
    server.send(1)
    server.send(2, payload_type=97, ssrc=6)
    pump.start()
    assert struct.unpack_from("!HH", server.hear(205), 12) == (1, 2)
    assert (pump.received_by(peer), pump.figures().repeats) == (1, 1)
    first = pump.first_media(peer)
    assert first is not None
    assert first == pytest.approx(time.monotonic(), abs=10)


def test_a_sender_report_has_the_streams_clock_and_counts(
    pump: Pump, wire: tuple[socket.socket, socket.socket]
) -> None:
    server = Server(wire[1])
    peer = pump.add_peer(wire[0], PROFILE, AWAY, BACK, clocks_khz={111: 48})
    pump.add_flow(peer, "audio", ssrc=9, payload_type=111)
    pump.start()
    ssrc, seconds, fraction, timestamp, packets, payload_bytes = struct.unpack_from(
        "!6I", server.hear(200), 4
    )
    now = seconds + fraction / 2**32
    assert ssrc == 9
    assert abs(now * 48_000 % 2**32 - timestamp) < 48
    assert 40 <= packets <= 60
    assert payload_bytes == packets * (100 - 16)


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
    for verb in (pump.remove_peer, pump.received_by, pump.first_media, pump.pause, pump.resume):
        with pytest.raises(IndexError):
            verb(1)
