"""Who was there, and when: intervals of presence, from what the server itself observed. Pure.

An interval ends at the last sign of a participant, not when its absence was noticed: whatever
goes down (tab, network, this server), nobody is counted as there afterwards.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from rooms.vocabulary import ParticipantId, Role

# socket: the participant's page was connected. media: packets came from it.
Kind: TypeAlias = Literal["socket", "media"]

# Signs this close belong to one stay: a burst of loss is no absence. A page answers pings
# every 5 s; media is heard several times a second, or every 5 s in silence.
ONE_STAY: Final = timedelta(seconds=6)
# Signs this close are the same one, looked at again: how long ago it was and what time it is are
# read a moment apart. So nothing is stored of who gave no new sign.
_ONE_SIGN: Final = timedelta(milliseconds=10)


@dataclass(frozen=True, slots=True)
class Interval:
    """One stay, from its first sign to its last."""

    participant: ParticipantId
    kind: Kind
    since: datetime
    until: datetime


class Attendance:
    """The intervals of one session. Owned by the session's room."""

    def __init__(self, earlier: Iterable[Interval] = ()) -> None:
        """earlier: what was stored before; nothing of it grows any more."""
        self._over = list(earlier)
        self._open: dict[tuple[ParticipantId, Kind], Interval] = {}
        self._unsaved: dict[tuple[ParticipantId, Kind, datetime], Interval] = {}

    def seen(self, participant: ParticipantId, kind: Kind, at: datetime) -> None:
        """A sign of the participant; one older than what is known says nothing new."""
        key = (participant, kind)
        before = self._open.get(key)
        if before is None:
            theirs = (one for one in self._over if (one.participant, one.kind) == key)
            if any(at - one.until < _ONE_SIGN for one in theirs):
                return  # what is over stays over, and two stays never share a moment
            stay = Interval(participant, kind, at, at)
        elif at - before.until < _ONE_SIGN:
            return
        elif at - before.until <= ONE_STAY:
            stay = replace(before, until=at)
        else:
            self._over.append(before)
            stay = Interval(participant, kind, at, at)
        self._open[key] = stay
        self._unsaved[participant, kind, stay.since] = stay

    def knows(self, participant: ParticipantId) -> bool:
        """Whether there was any sign of the participant, ever."""
        return any(stay.participant == participant for stay in (*self._open.values(), *self._over))

    def left(self, participant: ParticipantId) -> None:
        """The participant's stays are over, as they are; a later sign begins a new one."""
        for key in [key for key in self._open if key[0] == participant]:
            self._over.append(self._open.pop(key))

    def take_unsaved(self) -> list[Interval]:
        """What is new or has grown since this was last asked."""
        taken = list(self._unsaved.values())
        self._unsaved = {}
        return taken

    @property
    def saved(self) -> bool:
        """Whether nothing is new or has grown."""
        return not self._unsaved

    def put_back(self, unsaved: Iterable[Interval]) -> None:
        """These could not be stored; what has grown since is newer."""
        for stay in unsaved:
            self._unsaved.setdefault((stay.participant, stay.kind, stay.since), stay)

    @property
    def intervals(self) -> list[Interval]:
        """Everything known, by beginning."""
        return sorted(
            (*self._over, *self._open.values()),
            key=lambda stay: (stay.since, stay.participant, stay.kind),
        )

    def overlap_s(self, roles: Mapping[ParticipantId, Role]) -> int:
        """Whole seconds with media from at least one therapist and at least one client."""
        return overlap_s(self.intervals, roles)


def overlap_s(intervals: Iterable[Interval], roles: Mapping[ParticipantId, Role]) -> int:
    """Whole seconds with media from at least one therapist and at least one client."""
    media = [stay for stay in intervals if stay.kind == "media" and stay.participant in roles]
    therapists = list(_union(stay for stay in media if roles[stay.participant] == "therapist"))
    clients = list(_union(stay for stay in media if roles[stay.participant] == "client"))
    both = timedelta(0)
    for since, until in therapists:
        for begun, ended in clients:
            both += max(timedelta(0), min(until, ended) - max(since, begun))
    return int(both.total_seconds())


def _union(intervals: Iterable[Interval]) -> Iterator[tuple[datetime, datetime]]:
    """The same time as spans that do not touch, in order."""
    spans = sorted((stay.since, stay.until) for stay in intervals)
    since: datetime | None = None
    until = datetime.min
    for begun, ended in spans:
        if since is not None and begun <= until:
            until = max(until, ended)
            continue
        if since is not None:
            yield since, until
        since, until = begun, ended
    if since is not None:
        yield since, until
