"""A made-up camera and microphone for libwebrtc: a bar that moves and a tone."""

import asyncio
from collections.abc import Mapping
from typing import Final

import webrtc

from scripts.client.offer import Kind

_AUDIO_RATE: Final = 48_000
_AUDIO_FRAME: Final = _AUDIO_RATE // 50
# Pictures of one round of the made-up camera: made once, since they are most of its work.
_PICTURES: Final = 16


class Camera:
    """A moving picture and a tone, on `tracks` until it is stopped."""

    def __init__(self, width: int, height: int, frames_per_second: int) -> None:
        self._size = (width, height)
        self._rate = frames_per_second
        self._video = webrtc.MediaStreamTrackGenerator("video")
        self._audio = webrtc.MediaStreamTrackGenerator("audio")
        self._pictures = self._video.writable.get_writer()
        self._sounds = self._audio.writable.get_writer()
        self._work: dict[Kind, asyncio.Task[None]] = {}

    @property
    def tracks(self) -> Mapping[Kind, webrtc.MediaStreamTrack]:
        return {"audio": self._audio, "video": self._video}

    def start(self, kind: Kind) -> None:
        """Does nothing where it runs."""
        if kind not in self._work:
            film = self._film() if kind == "video" else self._sound()
            self._work[kind] = asyncio.create_task(film)

    def pause(self, kind: Kind) -> None:
        """No pictures, or no sound, until it is started again."""
        task = self._work.pop(kind, None)
        if task is not None:
            task.cancel()

    async def stop(self) -> None:
        work = list(self._work.values())
        for kind in self.tracks:
            self.pause(kind)
        await asyncio.gather(*work, return_exceptions=True)
        for track in self.tracks.values():
            track.stop()

    async def _film(self) -> None:
        width, height = self._size
        pictures = [_picture(width, height, step) for step in range(_PICTURES)]
        start = asyncio.get_running_loop().time()
        number = 0
        while True:
            await _until(start + number / self._rate)
            init = webrtc.VideoFrameBufferInit(
                format="I420",
                coded_width=width,
                coded_height=height,
                timestamp=int((start + number / self._rate) * 1_000_000),
            )
            await self._pictures.write(webrtc.VideoFrame(pictures[number % _PICTURES], init))
            number += 1

    async def _sound(self) -> None:
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
                timestamp=int((start + number / 50) * 1_000_000),
                data=wave,
            )
            await self._sounds.write(webrtc.AudioData(init))
            number += 1


def _picture(width: int, height: int, step: int) -> bytes:
    """I420: a bright bar that has gone `step` of _PICTURES of the way across."""
    bar = width // 8
    left = step * width // _PICTURES
    row = bytearray(b"\x40" * width)
    row[left : left + bar] = b"\xd0" * min(bar, width - left)
    return bytes(row) * height + b"\x80" * (width * height // 2)


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - asyncio.get_running_loop().time()))
