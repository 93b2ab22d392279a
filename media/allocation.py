"""Which layer of each picture a viewer gets. Pure: an estimate and what is wanted in, grants out.

Sound is reserved first. Then each picture gets its lowest layer, screens before cameras and
large pictures before small ones; then, in the same order, one layer more as long as it fits, up
to what its view can show. Down at once, up only with a margin and not soon after a fall.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

# Below it pictures would take from sound; well above it they come back.
PICTURES_FROM: Final = 150_000
_PICTURES_AGAIN: Final = 180_000
_OFF_S: Final = 5.0
_OFF_MAX_S: Final = 40.0
_OFF_FORGOTTEN_S: Final = 60.0

_UP_MARGIN: Final = 1.15
_UP_AFTER_FALL_S: Final = 3.0
# What a publisher that one viewer alone watches can be capped to, of a layer's rate, before a
# lower layer looks better.
_ELASTIC: Final = 0.45
# And the lowest, where there is nothing below it to step to.
_LOWEST: Final = 90_000.0
# A picture that fills so much of a view is not worth four times its pixels.
_FILLS: Final = 0.9


@dataclass(frozen=True, slots=True)
class Layer:
    """rate: bit/s on the wire of what has to flow to show it; height: in pixels, about."""

    rate: float
    height: int


@dataclass(frozen=True, slots=True)
class Picture:
    """One video slot of the viewer's.

    height: as shown, in device pixels; 0: hidden, None: not known, as good as it gets.
    layers: lowest first, at least one.
    alone: nobody else watches anything of this publisher's, which can be capped therefore.
    """

    subscription: int
    screen: bool
    height: int | None
    layers: tuple[Layer, ...]
    alone: bool
    target: int = field(init=False)
    """The lowest layer that fills the view, else the highest; -1: hidden."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "target", _target(self.height, self.layers))

    def need(self, number: int) -> float:
        """bit/s that a layer takes, at the least; -1: none."""
        if number < 0:
            return 0.0
        rate = self.layers[number].rate
        if not self.alone:
            return rate
        return min(rate * _ELASTIC, _LOWEST) if number == 0 else rate * _ELASTIC


class Division:
    """One viewer's, from one estimate to the next."""

    def __init__(self) -> None:
        self._levels: dict[int, int] = {}
        self._fell_at = float("-inf")
        self._off_since: float | None = None
        self._off_at = float("-inf")
        self._off_s = _OFF_S

    def divide(
        self, now: float, estimate: float, sound: float, pictures: Sequence[Picture]
    ) -> Mapping[int, int]:
        """subscription -> layer, -1 for none, of each picture.

        estimate, sound: bit/s of the downlink, and of what is heard.
        """
        if self._is_off(now, estimate):
            levels = dict.fromkeys((each.subscription for each in pictures), -1)
        else:
            sure = _fill(estimate / _UP_MARGIN - sound, pictures)
            # Where the smaller budget is enough for everything, so is the larger one.
            enough = all(sure[each.subscription] == each.target for each in pictures)
            most = sure if enough else _fill(estimate - sound, pictures)
            levels = dict(self._steps(now, pictures, most, sure))
        self._levels = levels
        return levels

    def _is_off(self, now: float, estimate: float) -> bool:
        if self._off_since is not None:
            if estimate < _PICTURES_AGAIN or now - self._off_since < self._off_s:
                return True
            self._off_since = None
        elif estimate < PICTURES_FROM:
            # Again so soon: pictures are more than this line bears.
            again = now - self._off_at < _OFF_FORGOTTEN_S
            self._off_s = min(self._off_s * 2, _OFF_MAX_S) if again else _OFF_S
            self._off_since = self._off_at = now
        return self._off_since is not None

    def _steps(
        self,
        now: float,
        pictures: Sequence[Picture],
        most: Mapping[int, int],
        sure: Mapping[int, int],
    ) -> Iterator[tuple[int, int]]:
        for picture in pictures:
            slot = picture.subscription
            level = self._levels.get(slot, most[slot])
            if picture.target <= level:
                # A smaller view is no fall.
                level = picture.target
            if most[slot] < level:
                level, self._fell_at = most[slot], now
            elif level < 0 or now - self._fell_at >= _UP_AFTER_FALL_S:
                # What is sure of a smaller budget may be another picture's in this one.
                level = max(level, min(sure[slot], most[slot]))
            yield slot, level


def _target(height: int | None, layers: Sequence[Layer]) -> int:
    if height == 0:
        return -1
    if height is not None:
        for number, layer in enumerate(layers):
            if layer.height >= _FILLS * height:
                return number
    return len(layers) - 1


def _fill(budget: float, pictures: Sequence[Picture]) -> dict[int, int]:
    """subscription -> the layer that fits."""
    order = sorted(
        pictures,
        key=lambda each: (not each.screen, -(each.height if each.height is not None else 9999)),
    )
    levels = dict.fromkeys((each.subscription for each in order), -1)
    rising = order
    while rising:
        still = []
        for picture in rising:
            level = levels[picture.subscription]
            if level == picture.target:
                continue
            more = picture.need(level + 1) - picture.need(level)
            if more <= budget:
                budget -= more
                levels[picture.subscription] = level + 1
                still.append(picture)
        rising = still
    return levels
