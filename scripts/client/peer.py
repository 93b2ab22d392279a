"""One participant without a browser: joins by its link, negotiates, connects.

Speaks the public protocol (signaling/PROTOCOL.md) as a browser does: fetches a join token,
opens the socket, offers its sections, offers again when the server asks for more. What it
sends is whoever drives its socket to say, most often a scripts.pump.Pump.
"""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from scripts.client.offer import (
    CLOCKS_KHZ,
    PAYLOAD_TYPES,
    Answer,
    Kind,
    Section,
    compose_offer,
    read_answer,
)
from scripts.client.transport import SrtpKeys, Transport
from scripts.pump import Pump
from signaling.client import RoomClient

# Chromium repeats its checks every 2.5 s; the server takes consent back after 30 s.
CONSENT_PERIOD_S: Final = 5.0
_SOURCES: Final = {"audio": "microphone", "video": "camera"}


@dataclass(frozen=True, slots=True)
class Picture:
    """The packets of one picture, 30 a second; sizes are of whole RTP packets before SRTP."""

    packets: int = 6
    packet_bytes: int = 1100


CAMERA: Final = Picture()


class Peer:
    """`await join()`, then `await connect()`; `await close()` always.

    room_url: the link a participant opens. sends: the kinds it has a section for.
    room: its socket, for events of the user's own. answer: the server's last, None before one.
    Owned by one event loop, which has to go on turning: it keeps consent and answers
    `rtc:sections`.
    """

    def __init__(self, room_url: str, sends: Sequence[Kind] = ("audio", "video")) -> None:
        self.room = RoomClient(room_url)
        self._transport = Transport()
        self._sections = [Section(kind, secrets.randbits(32) or 1) for kind in sends]
        self._connection = secrets.token_hex(8)
        self._seq = 0
        self._negotiating = asyncio.Lock()
        self._negotiated = asyncio.Event()
        self._consent_timer: asyncio.TimerHandle | None = None
        self.answer: Answer | None = None
        self._keys: SrtpKeys | None = None
        self.flows: dict[Kind, list[int]] = {"audio": [], "video": []}
        """The numbers that the pump knows its streams by."""

    async def join(self) -> None:
        """Take the place in the room. Raises what RoomClient.connect raises."""
        self.room.on("rtc:sections", self._sections_wanted)
        joined = await self.room.connect()
        self._add_receiving(joined["sections"])

    async def connect(self) -> None:
        """Offer, ICE and DTLS. Raises ConnectionFailed, RefusedByServer."""
        await self._negotiate()
        assert self.answer is not None
        self._keys = await self._transport.connect(self.answer)
        self._keep_consent()

    async def refresh(self) -> None:
        """A new connection for the same participant. Whoever drives the socket leaves it first.

        Raises what `connect` raises.
        """
        self._stop_consent()
        self._transport.close()
        self._transport = Transport()
        self._connection, self._seq = secrets.token_hex(8), 0
        await self.connect()

    def move(self) -> None:
        """Go on from another source port; the server answers there after `check`."""
        self._transport.move()

    def check(self) -> None:
        """An ICE check, from where we are."""
        self._transport.keep_consent()

    async def rejoin(self) -> None:
        """A new socket for the same participant. Raises what `join` raises."""
        await self.room.close()
        joined = await self.room.connect()
        await self._sections_wanted(joined["sections"])

    async def close(self) -> None:
        """Leave without a word, as a closed tab does."""
        self._stop_consent()
        self._transport.close()
        await self.room.close()

    async def receives(self, sections: int, timeout_s: float = 5.0) -> None:
        """Wait until the server has agreed to send in so many sections. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while self._receiving() < sections:
                self._negotiated.clear()
                await self._negotiated.wait()

    def _receiving(self) -> int:
        answered = {} if self.answer is None else self.answer.sections
        return sum(section.direction == "sendonly" for section in answered.values())

    def send_by(self, pump: Pump, picture: Picture = CAMERA, room: str | None = None) -> int:
        """Hand the socket, the keys and a flow for each section to a pump; the peer's number.

        room: who is in the same one gets what it sends (Pump.add_peer).
        """
        assert self.answer is not None, "connect first"
        assert self._keys is not None, "connect first"
        keys = self._keys
        number = pump.add_peer(
            self._transport.socket,
            keys.profile,
            keys.send_key,
            keys.receive_key,
            room=room,
            twcc_id=max((section.twcc_id for section in self.answer.sections.values()), default=0),
            clocks_khz=CLOCKS_KHZ,
        )
        self.flows = {"audio": [], "video": []}
        for mid, section in enumerate(self._sections):
            if section.ssrc is not None:
                agreed = self.answer.sections[str(mid)]
                flow = pump.add_flow(
                    number,
                    section.kind,
                    ssrc=section.ssrc,
                    payload_type=PAYLOAD_TYPES[section.kind],
                    mid=str(mid),
                    mid_id=agreed.mid_id,
                    twcc_id=agreed.twcc_id,
                    burst=picture.packets if section.kind == "video" else None,
                    packet_bytes=picture.packet_bytes if section.kind == "video" else None,
                )
                self.flows[section.kind].append(flow)
        return number

    def _keep_consent(self) -> None:
        self._transport.keep_consent()
        loop = asyncio.get_running_loop()
        self._consent_timer = loop.call_later(CONSENT_PERIOD_S, self._keep_consent)

    def _stop_consent(self) -> None:
        if self._consent_timer is not None:
            self._consent_timer.cancel()

    async def _sections_wanted(self, wanted: dict[str, Any]) -> None:
        if self._add_receiving(wanted):
            await self._negotiate()

    def _add_receiving(self, wanted: dict[str, Any]) -> bool:
        before = len(self._sections)
        for kind, count in (("audio", wanted["audios"]), ("video", wanted["videos"])):
            present = sum(s.kind == kind and s.ssrc is None for s in self._sections)
            missing = max(0, count - present)
            self._sections += [Section("audio" if kind == "audio" else "video", None)] * missing
        return len(self._sections) > before

    async def _negotiate(self) -> None:
        async with self._negotiating:
            self._seq += 1
            answered = await self.room.request(
                "rtc:offer",
                {
                    "connection": self._connection,
                    "seq": self._seq,
                    "sdp": compose_offer(self._sections, self._transport.ours, self._seq),
                    "sources": {
                        str(mid): _SOURCES[section.kind]
                        for mid, section in enumerate(self._sections)
                        if section.ssrc is not None
                    },
                },
            )
            self.answer = read_answer(answered["sdp"])
            self._negotiated.set()
