"""One person in a session, as the media plane knows it. Owned by the Sfu, on the event loop."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from media.news import Layers, Quality, Sections, TrackSlot, View
from media.peer import Peer
from media.quality import Figures
from media.seats import Seating, Source

# A client that keeps replacing its connection is told "closed" for the last few.
_CLOSED_CONNECTIONS_KEPT: Final = 16


@dataclass(slots=True)
class Participant:
    """Outlives the connections that come and go."""

    id: str
    connection: str | None = None
    last_seq: int = -1
    peer: Peer | None = None
    closed_connections: deque[str] = field(
        default_factory=lambda: deque(maxlen=_CLOSED_CONNECTIONS_KEPT)
    )
    mids: dict[Source, str] = field(default_factory=dict)  # source -> section that carries it
    # Sources that may not flow. A screen that nobody was told of is not shown.
    silenced: set[Source] = field(default_factory=lambda: {"screen"})
    seating: Seating = field(default_factory=Seating)
    fed: dict[int, int | None] = field(default_factory=dict)  # subscription -> track feeding it
    paused: frozenset[int] = frozenset()  # subscriptions held back, its connection being weak
    told: Sections | None = None
    quality: Quality | None = None  # of its connection, as last told
    figures: Figures | None = None  # of its connection, in the last second it was measured
    views: tuple[View, ...] | None = None  # None: its page has not said what it shows
    layers: Layers | None = None  # what of its pictures is watched; None: it was not told yet

    @property
    def shares_screen(self) -> bool:
        return "screen" not in self.silenced

    def track(self, source: Source) -> int | None:
        """The relay's track of a source, None while it is not sent."""
        if self.peer is None or source not in self.mids:
            return None
        sent = self.peer.sent.get(self.mids[source])
        return None if sent is None else sent.track

    def sections(self) -> Sections:
        """What it needs to see everyone, and what its sections show."""
        receptions = {} if self.peer is None else self.peer.receptions
        # Sections are asked for by their number: those that are there and those that lack.
        seats = {*receptions, *self.seating.needed()}
        tracks = tuple(
            TrackSlot(reception.mid, shown, seat.source, reception.subscription in self.paused)
            for seat, reception in receptions.items()
            if (shown := self.seating.shown(seat)) is not None
        )
        audios = sum(seat.kind == "audio" for seat in seats)
        return Sections(audios, len(seats) - audios, tracks)


Session: TypeAlias = dict[str, Participant]
"""The participants of one session, by their ids."""
