"""Who is shown in which seat of one viewer's. Pure.

A seat is a place to receive one source of one participant in. The microphone and the camera of
one number are one person's, and browsers keep their lips in step; a screen has seats of its own,
because what it shows is in step with nobody's voice. Seats are filled from the lowest; one that
is left goes to the next who comes, so that a long session does not pile up sections.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["audio", "video"]
Source: TypeAlias = Literal["microphone", "camera", "screen"]

KIND_OF: Final[Mapping[Source, Kind]] = {
    "microphone": "audio",
    "camera": "video",
    "screen": "video",
}

# Seats asked for before anyone is there to sit in them: the one who waits is ready for the
# other, and a session of two never renegotiates.
_SEATS_AHEAD: Final = 1


class Seat(NamedTuple):
    """A place to receive in."""

    source: Source
    number: int

    @property
    def kind(self) -> Kind:
        return KIND_OF[self.source]


@dataclass(slots=True)
class Seating:
    """Whom each seat of one viewer's shows. people, screens: by seat number."""

    people: dict[int, str] = field(default_factory=dict)
    screens: dict[int, str] = field(default_factory=dict)

    def add(self, person: str) -> None:
        """Give a person the lowest free seat."""
        self.people[_lowest_free(self.people)] = person

    def add_screen(self, person: str) -> None:
        """Give a person's screen the lowest free seat of its kind. Idempotent."""
        if person not in self.screens.values():
            self.screens[_lowest_free(self.screens)] = person

    def remove(self, person: str) -> None:
        """Free every seat that shows the person. Idempotent."""
        self.people = {n: shown for n, shown in self.people.items() if shown != person}
        self.remove_screen(person)

    def remove_screen(self, person: str) -> None:
        """Free the seat that shows the person's screen. Idempotent."""
        self.screens = {n: shown for n, shown in self.screens.items() if shown != person}

    def shown(self, seat: Seat) -> str | None:
        """Whom a seat shows; None where it is free."""
        return (self.screens if seat.source == "screen" else self.people).get(seat.number)

    def needed(self) -> Iterator[Seat]:
        """The seats that have to be there: those that show someone, and some ahead."""
        for number in sorted({*self.people, *range(_SEATS_AHEAD)}):
            yield Seat("microphone", number)
            yield Seat("camera", number)
        for number in sorted(self.screens):
            yield Seat("screen", number)


def _lowest_free(seats: Mapping[int, str]) -> int:
    number = 0
    while number in seats:
        number += 1
    return number
