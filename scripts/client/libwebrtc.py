"""Participants made of libwebrtc, the engine inside Chromium, without a browser.

Encoders, decoders, congestion control and jitter buffers are real, at some 15 MB and a tenth of a
core each: tens of them, not thousands. They join by the public protocol as the room page does.
The package `wrtc` brings the engine (`pip install plumm[load]`).
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self
from urllib.parse import urlsplit

import webrtc

from scripts.client.camera import Camera
from scripts.client.crowd import Client
from scripts.client.offer import Kind
from scripts.client.peer import CAMERA, Picture
from scripts.client.transport import ConnectionFailed
from scripts.pump import Figures
from signaling.client import RoomClient

# Candidates on 127.0.0.1, which libwebrtc leaves out by itself; before the first connection.
webrtc.allow_loopback()

MOST_PEOPLE: Final = 60
"""More of them in one process only measure that process."""

_SOURCES: Final[dict[Kind, str]] = {"audio": "microphone", "video": "camera"}
_KINDS: Final = (webrtc.MediaType.audio, webrtc.MediaType.video)
# Statistics cost a millisecond: not to be asked for in a tight loop.
_LOOK_S: Final = 0.02
_CONNECTED_WITHIN_S: Final = 20.0
_PICTURES_PER_SECOND: Final = 30


@dataclass(frozen=True, slots=True)
class Layer:
    """One simulcast encoding. scale: its picture is that many times smaller each way."""

    rid: str
    scale: float


@dataclass(frozen=True, slots=True)
class Received:
    """What came in one section. frames, keyframes: decoded. energy: of sound (webrtc-stats)."""

    mid: str
    ssrc: int
    packets: int
    lost: int
    frames: int
    keyframes: int
    height: int
    energy: float


class WrtcClient:
    """One participant: crowd.Client says what it does.

    room_url: the link a participant opens. layers: of a simulcast camera, lowest first; without
    them it has one encoding. most_kbit: of each. One that is not closed would hang the process at
    its exit.
    """

    def __init__(
        self,
        room_url: str,
        *,
        layers: Sequence[Layer] = (),
        size: tuple[int, int] = (320, 240),
        frames_per_second: int = 15,
        most_kbit: int | None = None,
    ) -> None:
        self.room = RoomClient(room_url)
        self.offers = 0
        self.participant_id = ""
        self.tracks: list[dict[str, Any]] = []
        self._camera = Camera(*size, frames_per_second)
        self._layers = layers
        self._most_bits = None if most_kbit is None else most_kbit * 1000
        self._sent: dict[Kind, webrtc.RTCRtpTransceiver] = {}
        self._negotiating = asyncio.Lock()
        self._connection = _connection()
        self._id = secrets.token_hex(8)

    async def join(self) -> None:
        self.room.on("rtc:sections", self._take)
        joined = await self.room.connect()
        self.participant_id = joined["participant_id"]
        self._publish()
        self._add_sections(joined["sections"])

    async def connect(self) -> None:
        await self._negotiate()
        try:
            await self._until(self._is_connected, _CONNECTED_WITHIN_S)
        except TimeoutError as error:
            raise ConnectionFailed(f"still {self.state}") from error

    async def receives(self, sections: int, timeout_s: float) -> None:
        async def agreed() -> bool:
            return self.answer.count("a=sendonly") >= sections

        await self._until(agreed, timeout_s)

    def send(self) -> None:
        for kind in _SOURCES:
            self._camera.start(kind)

    def pause(self, kind: Kind) -> None:
        self._camera.pause(kind)

    def resume(self, kind: Kind) -> None:
        self._camera.start(kind)

    async def first_media(self, timeout_s: float) -> float:
        async def came() -> bool:
            return any(each.packets for each in await self.received())

        return await self._until(came, timeout_s)

    async def refresh(self) -> None:
        audios, videos = (self._receiving(kind) for kind in _KINDS)
        self._connection.close()
        self._connection, self._id, self.offers = _connection(), secrets.token_hex(8), 0
        self._publish()
        self._add_sections({"audios": audios, "videos": videos, "tracks": self.tracks})
        await self.connect()

    async def rejoin(self) -> None:
        await self.room.close()
        joined = await self.room.connect()
        await self._take(joined["sections"])

    async def move(self, timeout_s: float) -> float:
        """By a restart of ICE, which gathers anew: libwebrtc's sockets are its own."""
        before = await self._pair()

        async def moved() -> bool:
            pair = await self._pair()
            return pair[0] != before[0] and pair[1] > 0

        self._connection.restart_ice()
        await self._negotiate()
        return await self._until(moved, timeout_s)

    async def close(self) -> None:
        await self._camera.stop()
        self._connection.close()
        await self.room.close()

    @property
    def state(self) -> str:
        return str(self._connection.connection_state.value)

    @property
    def offer(self) -> str:
        """The SDP of the last offer."""
        assert self._connection.local_description is not None
        return self._connection.local_description.sdp

    @property
    def answer(self) -> str:
        """The SDP of the last answer."""
        assert self._connection.remote_description is not None
        return self._connection.remote_description.sdp

    async def received(self, kind: Kind | None = None) -> list[Received]:
        """A value for each section, of the kind or of any, in which something came."""
        report = await self._connection.get_stats()
        return [
            _received(stats)
            for stats in report.values()
            if isinstance(stats, webrtc.RTCInboundRtpStreamStats) and kind in (None, stats.kind)
        ]

    async def sent(self, kind: Kind) -> list[webrtc.RTCOutboundRtpStreamStats]:
        """The statistics of each encoding of the kind."""
        report = await self._connection.get_stats()
        return [
            stats
            for stats in report.values()
            if isinstance(stats, webrtc.RTCOutboundRtpStreamStats) and stats.kind == kind
        ]

    async def figures(self) -> Figures:
        """Of this connection; what it says nothing of is 0."""
        report = await self._connection.get_stats()
        figures = Figures()
        for stats in report.values():
            if isinstance(stats, webrtc.RTCOutboundRtpStreamStats):
                again = stats.retransmitted_packets_sent or 0
                figures = replace(
                    figures,
                    sent=figures.sent + (stats.packets_sent or 0) - again,
                    keyframes=figures.keyframes + (stats.key_frames_encoded or 0),
                )
            elif isinstance(stats, webrtc.RTCInboundRtpStreamStats):
                repeated = stats.retransmitted_packets_received or 0
                figures = replace(
                    figures,
                    received=figures.received + (stats.packets_received or 0) - repeated,
                    repeats=figures.repeats + repeated,
                    received_bytes=figures.received_bytes + (stats.bytes_received or 0),
                    missing=figures.missing + (stats.packets_lost or 0),
                )
        return figures

    async def _is_connected(self) -> bool:
        return self.state == "connected"

    async def _pair(self) -> tuple[str, int]:
        """The pair of candidates in use, and the packets that came by it."""
        report = await self._connection.get_stats()
        for stats in report.values():
            if isinstance(stats, webrtc.RTCTransportStats) and stats.selected_candidate_pair_id:
                pair = report.get(stats.selected_candidate_pair_id)
                came = (
                    pair.packets_received
                    if isinstance(pair, webrtc.RTCIceCandidatePairStats)
                    else 0
                )
                return stats.selected_candidate_pair_id, came or 0
        return "", 0

    async def _until(self, holds: Callable[[], Awaitable[bool]], timeout_s: float) -> float:
        """When it held, by time.monotonic. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while True:
                if await holds():
                    return time.monotonic()
                await asyncio.sleep(_LOOK_S)

    def _publish(self) -> None:
        encodings = [
            webrtc.RTCRtpEncodingParameters(
                rid=layer.rid, scale_resolution_down_by=layer.scale, max_bitrate=self._most_bits
            )
            for layer in self._layers
        ] or [webrtc.RTCRtpEncodingParameters(max_bitrate=self._most_bits)]
        for kind, track in self._camera.tracks.items():
            init = webrtc.RTCRtpTransceiverInit(
                direction="sendonly", send_encodings=encodings if kind == "video" else []
            )
            self._sent[kind] = self._connection.add_transceiver(track, init)

    def _receiving(self, kind: webrtc.MediaType) -> int:
        return sum(
            each.direction == "recvonly" and each.receiver.track.kind == kind
            for each in self._connection.get_transceivers()
        )

    def _add_sections(self, sections: dict[str, Any]) -> bool:
        self.tracks = sections["tracks"]
        added = False
        for kind in _KINDS:
            for _ in range(self._receiving(kind), sections[f"{kind.value}s"]):
                self._connection.add_transceiver(
                    kind, webrtc.RTCRtpTransceiverInit(direction="recvonly")
                )
                added = True
        return added

    async def _take(self, sections: dict[str, Any]) -> None:
        if self._add_sections(sections):
            await self._negotiate()

    async def _negotiate(self) -> None:
        async with self._negotiating:
            await self._connection.set_local_description()
            self.offers += 1
            answered = await self.room.request(
                "rtc:offer",
                {
                    "connection": self._id,
                    "seq": self.offers,
                    "sdp": self.offer,
                    "sources": {each.mid: _SOURCES[kind] for kind, each in self._sent.items()},
                },
            )
            await self._connection.set_remote_description(
                webrtc.RTCSessionDescriptionInit(type="answer", sdp=answered["sdp"])
            )
            self.tracks = answered["sections"]["tracks"]


class _Counted(WrtcClient):
    """One whose media its crowd counts, until the last moment of each connection."""

    def __init__(self, room_url: str, picture: Picture, crowd: "WrtcCrowd") -> None:
        bits = 8 * picture.packets * picture.packet_bytes * _PICTURES_PER_SECOND
        super().__init__(room_url, most_kbit=bits // 1000)
        # All links to one room have one path; what differs is behind the #.
        self.room_path = urlsplit(room_url).path
        self.sends = False
        self.before = Figures()
        self._crowd = crowd

    def send(self) -> None:
        super().send()
        self.sends = True

    async def refresh(self) -> None:
        await self._crowd.count(self)
        self.before = Figures()
        await super().refresh()

    async def close(self) -> None:
        await self._crowd.count(self)
        self._crowd.clients.discard(self)
        await super().close()


class WrtcCrowd:
    """Clients of libwebrtc; see crowd.Crowd. Counted: sent, expected, received, missing."""

    name: Final = "wrtc"

    def __init__(self) -> None:
        self.clients: set[_Counted] = set()
        self._total = Figures()
        self._counting = asyncio.Lock()

    def client(self, room_url: str, picture: Picture = CAMERA) -> Client:
        client = _Counted(room_url, picture, self)
        self.clients.add(client)
        return client

    async def figures(self) -> Figures:
        for client in list(self.clients):
            await self.count(client)
        return self._total

    async def count(self, client: _Counted) -> None:
        """Add what came and went on its connection since the last time."""
        async with self._counting:
            if client not in self.clients:
                return
            now = await client.figures()
            since, client.before = now.since(client.before), now
            others = sum(
                each.sends and each.room_path == client.room_path and each is not client
                for each in self.clients
            )
            self._total = self._total.plus(replace(since, expected=since.sent * others))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in list(self.clients):
            await client.close()


def _connection() -> webrtc.RTCPeerConnection:
    return webrtc.RTCPeerConnection(webrtc.RTCConfiguration(bundle_policy="max-bundle"))


def _received(stats: webrtc.RTCInboundRtpStreamStats) -> Received:
    return Received(
        mid=str(stats.mid),
        ssrc=stats.ssrc,
        packets=stats.packets_received or 0,
        lost=stats.packets_lost or 0,
        frames=stats.frames_decoded or 0,
        keyframes=stats.key_frames_decoded or 0,
        height=stats.frame_height or 0,
        energy=stats.total_audio_energy or 0.0,
    )
