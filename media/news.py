"""What the media plane says and is told about a session, as plain values."""

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from media.peer import PeerState
from media.seats import Source

Quality: TypeAlias = Literal["good", "fair", "poor"]


@dataclass(frozen=True, slots=True)
class TrackSlot:
    """A section of the viewer's that shows one source of one participant.

    paused: nothing is sent in it for now, because the viewer's connection is weak.
    """

    mid: str
    participant_id: str
    source: Source
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Sections:
    """How many receive sections a participant needs, and whom the present ones show."""

    audios: int
    videos: int
    tracks: tuple[TrackSlot, ...]


@dataclass(frozen=True, slots=True)
class TrackLayers:
    """The layers of one source that somebody watches, by their rids."""

    source: Source
    layers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layers:
    """What of a participant's pictures is watched; only of those that it sends in layers."""

    tracks: tuple[TrackLayers, ...]


class View(Protocol):
    """One picture on a viewer's page: width by height in device pixels, 0 by 0 when hidden."""

    @property
    def participant_id(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...


class Listener(Protocol):
    """Told on the event loop, after the fact."""

    def sections_changed(self, session: str, participant: str, sections: Sections) -> None: ...

    def media_changed(self, session: str, participant: str, state: PeerState) -> None: ...

    def layers_changed(self, session: str, participant: str, layers: Layers) -> None:
        """The publisher is to send these layers of its pictures and may rest the others."""

    def speaker_changed(self, session: str, participant: str | None) -> None:
        """Who speaks in the session, None when nobody has for a while."""

    def quality_changed(self, session: str, participant: str, quality: Quality | None) -> None:
        """How good a participant's connection is, None while that is not known."""
