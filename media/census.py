"""What there is in the media plane now, counted when somebody asks. Changes nothing."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:  # they load the native relay, which who shows these figures does without
    from media.participant import Participant, Session
    from media.relay import Relay

Connection: TypeAlias = Literal["none", "connecting", "connected", "lost"]
Quality: TypeAlias = Literal["good", "fair", "poor"]

_WORST_FIRST: Final[tuple[Quality | None, ...]] = ("poor", "fair", "good", None)


@dataclass(frozen=True, slots=True)
class Census:
    """How many there are. layers: of simulcast tracks each of theirs, of another track one.

    connections: participants by the state of their connection. qualities: by its quality, None
    where it is not known.
    """

    rooms: int
    tracks: int
    layers: int
    subscriptions: int
    connections: Mapping[Connection, int]
    qualities: Mapping[Quality | None, int]

    @property
    def participants(self) -> int:
        return sum(self.connections.values())


@dataclass(frozen=True, slots=True)
class Line:
    """One participant's connection. Totals since it was made; 0 while there is none.

    received, lost: media packets from the participant, of what was sent first.
    loss_down, round_trip_ms: as last measured (`media.quality.Figures`); None while not known.
    """

    participant: str
    connection: Connection
    quality: Quality | None
    bytes_in: int
    bytes_out: int
    received: int
    lost: int
    loss_down: float | None
    round_trip_ms: float | None


def count(sessions: Mapping[str, "Session"]) -> Census:
    """O(participants)."""
    connections: Counter[Connection] = Counter()
    qualities: Counter[Quality | None] = Counter()
    tracks = layers = subscriptions = 0
    for member in _members(sessions):
        connections[_connection(member)] += 1
        qualities[member.quality] += 1
        if member.peer is not None:
            tracks += len(member.peer.sent)
            layers += sum(max(1, len(one.publication.rids)) for one in member.peer.sent.values())
            subscriptions += len(member.peer.receptions)
    return Census(len(sessions), tracks, layers, subscriptions, connections, qualities)


def lines(
    relay: "Relay", sessions: Mapping[str, "Session"], at_most: int
) -> dict[str, Sequence[Line]]:
    """The connections of each room, of so many rooms: those with the worst lines, worst first.

    O(participants), and some 10 µs for each one that is shown.
    """
    worst = sorted(
        sessions.items(),
        key=lambda room: min(
            (_WORST_FIRST.index(one.quality) for one in room[1].values()), default=3
        ),
    )
    return {
        session: [_line(relay, member) for member in members.values()]
        for session, members in islice(worst, at_most)
    }


def _line(relay: "Relay", member: "Participant") -> Line:
    peer = member.peer
    if peer is None:
        return Line(member.id, "none", member.quality, 0, 0, 0, 0, None, None)
    totals = relay.peer_stats(peer.handle)
    tracks = [relay.track_stats(one.track) for one in peer.sent.values()]
    measured = member.figures
    return Line(
        participant=member.id,
        connection=peer.state,
        quality=member.quality,
        bytes_in=totals["bytes_in"],
        bytes_out=totals["bytes_out"],
        received=sum(one["packets"] for one in tracks),
        lost=sum(one["lost"] for one in tracks),
        loss_down=None if measured is None else measured.loss_down,
        round_trip_ms=None if measured is None else measured.round_trip_ms,
    )


def _members(sessions: Mapping[str, "Session"]) -> Iterator["Participant"]:
    for members in sessions.values():
        yield from members.values()


def _connection(member: "Participant") -> Connection:
    return "none" if member.peer is None else member.peer.state
