"""The other person of a demo session, so that one browser is enough to see Plumm work.

A real client, made of aiortc's parts: it joins by the public protocol and sends a moving test
picture and a soft tone, or a video file, until the session ends.
"""

import asyncio
import secrets
from pathlib import Path
from typing import Final

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaPlayer

from signaling.client import Json, RefusedByServer, RoomClient

# A picture with motion everywhere, and a beep a second over a quiet tone.
_TEST_PICTURE: Final = (
    "testsrc2=size=640x480:rate=30[out0];"
    "sine=frequency=330:beep_factor=2:sample_rate=48000,volume=0.2[out1]"
)


class Partner:
    """One synthetic participant. `run` lasts until the session ends or it is cancelled."""

    def __init__(self, room_url: str, file: Path | None = None) -> None:
        self._room = RoomClient(room_url)
        self._file = file
        self._over = asyncio.Event()
        self._lost = False
        # Not max-bundle: aiortc would then take its candidates from the last section, and an
        # answer has them in the first.
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))

    async def run(self) -> None:
        """Join, send, and wait for the end, which may come at any moment.

        Raises RefusedByServer, OSError for a server that is gone or a file that cannot be
        opened, av.FFmpegError for one that cannot be played.
        """
        player = self._player()
        try:
            self._room.on("session:ended", self._finish)
            self._room.on("room:replaced", self._finish)
            self._room.on("disconnect", self._lose)
            await self._room.connect()
            await self._publish(player)
            await self._over.wait()
            if self._lost:
                raise ConnectionError("the server is gone")
        except RefusedByServer as refusal:
            if refusal.code != "session.ended":
                raise
        except ConnectionError:
            if self._lost or not self._over.is_set():
                raise
        finally:
            # aiortc's threads are not daemons: an unclosed connection would hang the exit.
            await self._connection.close()
            for track in (player.audio, player.video):
                if track is not None:
                    track.stop()
            await self._room.close()

    def _player(self) -> MediaPlayer:
        if self._file is None:
            return MediaPlayer(_TEST_PICTURE, format="lavfi")
        return MediaPlayer(str(self._file), loop=True)

    async def _publish(self, player: MediaPlayer) -> None:
        pc = self._connection
        for track in (player.audio, player.video):
            if track is not None:
                pc.addTransceiver(track, direction="sendonly")
        await pc.setLocalDescription(await pc.createOffer())
        sources = {
            transceiver.mid: "microphone" if transceiver.kind == "audio" else "camera"
            for transceiver in pc.getTransceivers()
        }
        answer = await self._room.request(
            "rtc:offer",
            {
                "connection": secrets.token_hex(8),
                "seq": 1,
                "sdp": pc.localDescription.sdp,
                "sources": sources,
            },
        )
        await pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
        await self._room.request(
            "state:set",
            {"microphone": player.audio is not None, "camera": player.video is not None},
        )

    def _finish(self, _payload: Json) -> None:
        self._over.set()

    def _lose(self, _reason: str) -> None:
        """The socket is closed; unless the partner was told why, the server is gone."""
        self._lost = not self._over.is_set()
        self._over.set()


def run(room_url: str, file: Path | None = None) -> None:
    """Be the partner until the session ends. Raises what `Partner.run` raises."""
    asyncio.run(_run(room_url, file))


async def _run(room_url: str, file: Path | None) -> None:
    await Partner(room_url, file).run()
