"""A participant made of libwebrtc, the engine inside Chromium, without a browser.

Encoders, decoders, congestion control and jitter buffers are real, at some 15 MB and a tenth of a
core each. It joins by the public protocol as the room page does, on 127.0.0.1 only.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import webrtc

from signaling.client import RoomClient
from tests.support.eventually import eventually

# Candidates on 127.0.0.1, which libwebrtc leaves out by itself; before the first connection.
webrtc.allow_loopback()

_SOURCES: Final = {"audio": "microphone", "video": "camera"}
_AUDIO_RATE: Final = 48_000
_AUDIO_FRAME: Final = _AUDIO_RATE // 50
# How long a picture is looked at to see whether it moves: three frames at the slowest rate.
_LOOK_S: Final = 0.3
# Pictures of one round of the made-up camera: made once, since they are most of its work.
_PICTURES: Final = 16


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


class Camera:
    """A moving picture and a tone, on `tracks` until it is stopped."""

    def __init__(self, width: int, height: int, frames_per_second: int) -> None:
        self._size = (width, height)
        self._rate = frames_per_second
        self._video = webrtc.MediaStreamTrackGenerator("video")
        self._audio = webrtc.MediaStreamTrackGenerator("audio")
        self._work: list[asyncio.Task[None]] = []

    @property
    def tracks(self) -> Mapping[str, webrtc.MediaStreamTrack]:
        return {"audio": self._audio, "video": self._video}

    def start(self) -> None:
        self._work = [asyncio.create_task(self._film()), asyncio.create_task(self._sound())]

    async def stop(self) -> None:
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        for track in self.tracks.values():
            track.stop()

    async def _film(self) -> None:
        width, height = self._size
        writer = self._video.writable.get_writer()
        pictures = [_picture(width, height, step) for step in range(_PICTURES)]
        start = asyncio.get_running_loop().time()
        number = 0
        while True:
            await _until(start + number / self._rate)
            init = webrtc.VideoFrameBufferInit(
                format="I420",
                coded_width=width,
                coded_height=height,
                timestamp=number * 1_000_000 // self._rate,
            )
            await writer.write(webrtc.VideoFrame(pictures[number % _PICTURES], init))
            number += 1

    async def _sound(self) -> None:
        writer = self._audio.writable.get_writer()
        # A tone of 400 Hz: 8 whole square waves in a frame of 20 ms, soft.
        wave = (b"\x00\x10" * 60 + b"\x00\xf0" * 60) * (_AUDIO_FRAME // 120)
        start = asyncio.get_running_loop().time()
        number = 0
        while True:
            await _until(start + number / 50)
            init = webrtc.AudioDataInit(
                format="s16",
                sample_rate=_AUDIO_RATE,
                number_of_frames=_AUDIO_FRAME,
                number_of_channels=1,
                timestamp=number * 20_000,
                data=wave,
            )
            await writer.write(webrtc.AudioData(init))
            number += 1


class Person:
    """Use as an async context manager, which joins and leaves; `room` is its socket.

    room_url: the link a participant opens. layers: of a simulcast camera, lowest first; without
    them it has one encoding. One that is not left would hang the process at its exit.
    """

    def __init__(
        self,
        room_url: str,
        *,
        layers: Sequence[Layer] = (),
        size: tuple[int, int] = (320, 240),
        frames_per_second: int = 15,
    ) -> None:
        self.room = RoomClient(room_url)
        self.offers = 0
        self._camera = Camera(*size, frames_per_second)
        self._layers = layers
        self._connection = webrtc.RTCPeerConnection(
            webrtc.RTCConfiguration(bundle_policy="max-bundle")
        )
        self._id = secrets.token_hex(8)
        self._sent: dict[str, webrtc.RTCRtpTransceiver] = {}
        self._negotiating = asyncio.Lock()
        self.participant_id = ""
        self.tracks: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        try:
            self.room.on("rtc:sections", self._take)
            joined = await self.room.connect()
            self.participant_id = joined["participant_id"]
            self._publish()
            self._add_sections(joined["sections"])
            await self._negotiate()
            self._camera.start()
            await eventually(lambda: self.state == "connected", "a connection", within=20)
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._leave()

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

    async def received(self, kind: str) -> list[Received]:
        """A value for each section of the kind in which something came."""
        report = await self._connection.get_stats()
        return [
            _received(stats)
            for stats in report.values()
            if isinstance(stats, webrtc.RTCInboundRtpStreamStats) and stats.kind == kind
        ]

    async def sent(self, kind: str) -> list[webrtc.RTCOutboundRtpStreamStats]:
        """The statistics of each encoding of the kind."""
        report = await self._connection.get_stats()
        return [
            stats
            for stats in report.values()
            if isinstance(stats, webrtc.RTCOutboundRtpStreamStats) and stats.kind == kind
        ]

    async def sees(self, count: int, *, within: float = 10.0) -> None:
        """So many pictures move: frames of each are decoded meanwhile."""
        await self._grow("video", count, lambda each: each.frames, within)

    async def hears(self, count: int, *, within: float = 10.0) -> None:
        """So many people are heard: the energy of each one's sound grows meanwhile."""
        await self._grow("audio", count, lambda each: each.energy, within)

    async def _grow(
        self, kind: str, count: int, value: Callable[[Received], float], within: float
    ) -> None:
        async def all_grow() -> bool:
            before = {each.mid: value(each) for each in await self.received(kind)}
            await asyncio.sleep(_LOOK_S)
            now = {each.mid: value(each) for each in await self.received(kind)}
            growing = [mid for mid, total in now.items() if total > before.get(mid, 0)]
            assert len(growing) == count, f"{kind} went from {before} to {now}"
            return True

        await eventually(all_grow, f"{count} times {kind}", within=within)

    def _publish(self) -> None:
        encodings = [
            webrtc.RTCRtpEncodingParameters(rid=layer.rid, scale_resolution_down_by=layer.scale)
            for layer in self._layers
        ]
        for kind, track in self._camera.tracks.items():
            init = webrtc.RTCRtpTransceiverInit(
                direction="sendonly", send_encodings=encodings if kind == "video" else []
            )
            self._sent[kind] = self._connection.add_transceiver(track, init)

    def _add_sections(self, sections: dict[str, Any]) -> bool:
        self.tracks = sections["tracks"]
        added = False
        for kind in webrtc.MediaType.audio, webrtc.MediaType.video:
            present = sum(
                each.direction == "recvonly" and each.receiver.track.kind == kind
                for each in self._connection.get_transceivers()
            )
            for _ in range(present, sections[f"{kind.value}s"]):
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

    async def _leave(self) -> None:
        await self._camera.stop()
        self._connection.close()
        await self.room.close()


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


def _picture(width: int, height: int, step: int) -> bytes:
    """I420: a bright bar that has gone `step` of _PICTURES of the way across."""
    bar = width // 8
    left = step * width // _PICTURES
    row = bytearray(b"\x40" * width)
    row[left : left + bar] = b"\xd0" * min(bar, width - left)
    return bytes(row) * height + b"\x80" * (width * height // 2)


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - asyncio.get_running_loop().time()))
