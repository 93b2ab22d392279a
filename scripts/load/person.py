"""One participant of a room: what a person does, noted in the record, through all their clients.

Times are of time.monotonic. Whatever fails is a failure in the record, and puts the person out.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal

from scripts.client.crowd import Client, Kind
from scripts.load.record import Doing, Record

_MEDIA_WITHIN_S: Final = 10.0
_SECTIONS_WITHIN_S: Final = 20.0


class Person:
    """`join`, `enter`, then whatever one does; `out` always. make_client: one for their link.

    client: None while out. ended: when this client heard that the session is over.
    """

    def __init__(self, make_client: Callable[[], Client], record: Record) -> None:
        self._make_client = make_client
        self._record = record
        self.client: Client | None = None
        self.ended: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.sends = False
        self._microphone = True
        self._camera = True

    async def join(self) -> bool:
        """Come in, until media can flow; False where it failed."""
        client = self.client = self._make_client()
        self.ended = asyncio.get_running_loop().create_future()
        self._microphone = self._camera = True
        client.room.on("session:ended", self._hear_of_the_end)

        async def join() -> None:
            await client.join()
            await client.connect()

        return await self._do("join", join())

    async def enter(self, others: int, began: float) -> None:
        """Send to the others who are in and hear of them. began: when joining did."""
        client = self._client()

        async def enter() -> float:
            # The sound and the picture of each of the others.
            await client.receives(2 * others, _SECTIONS_WITHIN_S)
            client.send()
            self.sends = True
            return await client.first_media(_MEDIA_WITHIN_S)

        if others:
            await self._do("first_media", enter(), began)
            return
        # There is nobody to hear of.
        with self._record.failures_of("first_media"):
            client.send()
            self.sends = True

    async def leave(self) -> None:
        """Say so, and be out."""

        async def leave() -> None:
            self.hush()
            await self._client().room.request("room:leave", {})

        if await self._do("leave", leave()):
            await self.out()

    async def refresh(self) -> None:
        """Another connection for media."""
        client = self._client()

        async def refresh() -> float:
            await client.refresh()
            if not self._microphone:
                client.pause("audio")
            if not self._camera:
                client.pause("video")
            return await client.first_media(_MEDIA_WITHIN_S)

        await self._do("refresh", refresh())

    async def reconnect(self) -> None:
        """The socket drops, and another one joins; media goes on meanwhile."""
        await self._do("reconnect", self._client().rejoin())

    async def move(self) -> None:
        """Media goes on from another source port."""
        await self._do("move", self._client().move(_MEDIA_WITHIN_S))

    async def toggle_microphone(self) -> None:
        """Off where it is on, else on."""
        self._microphone = not self._microphone
        await self._do("mute", self._turn("microphone", on=self._microphone))

    async def toggle_camera(self) -> None:
        """Off where it is on, else on."""
        self._camera = not self._camera
        await self._do("camera", self._turn("camera", on=self._camera))

    def hush(self) -> None:
        """Send nothing more."""
        if self.client is not None and self.sends:
            self.client.pause("audio")
            self.client.pause("video")

    async def out(self) -> None:
        """Be gone without a word. Idempotent."""
        client, self.client, self.sends = self.client, None, False
        if client is not None:
            with self._record.failures_of("leave"):
                await client.close()

    def _client(self) -> Client:
        assert self.client is not None, "join first"
        return self.client

    async def _turn(self, source: Literal["microphone", "camera"], *, on: bool) -> None:
        """Nothing is sent that the server would drop: that would be taken for loss."""
        client = self._client()
        kind: Kind = "audio" if source == "microphone" else "video"
        if not on:
            client.pause(kind)
        await client.room.request("state:set", {source: on})
        if on:
            client.resume(kind)

    async def _do(
        self, doing: Doing, work: Awaitable[float | None], began: float | None = None
    ) -> bool:
        well = await self._record.of(doing, work, began)
        if not well:
            await self.out()
        return well

    def _hear_of_the_end(self, _ended: object) -> None:
        if not self.ended.done():
            self.ended.set_result(self._record.now())
