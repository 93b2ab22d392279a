"""Who speaks in one session, from how loud each is. Pure: levels and the time in, a name out.

Loudness alone would hand the floor to every cough. Each participant has a credit that grows
with each interval in which it is loud and shrinks with each in which it is not. The floor goes
to whoever has earned it, once the one who has it now does not earn it any more. In intervals of
100 ms that takes half a second of speech, and a cough of 300 ms (at most four intervals) gets
nothing.
"""

from collections.abc import Mapping
from typing import Final

INTERVAL_S: Final = 0.1
"""How often `Conversation.hear` is to be called."""

# dB below full scale, RFC 6464's unit. Speech behind a browser's gain control is at 15 to 40,
# a room behind its noise suppression at 55 and below; someone who whispers is not overheard.
_LOUD: Final = 45
_CREDIT_FOR_THE_FLOOR: Final = 5
# One who had the floor for long must not keep it from an answer: 400 ms of silence leave less
# than the floor takes, and the answer needs half a second to earn it.
_MOST_CREDIT: Final = 8
# Two at once: the louder one, if by so many dB that it is no matter of chance.
_CLEARLY_LOUDER: Final = 6
# Of the way to the present level in one interval: about 300 ms of speech are averaged.
_SMOOTHING: Final = 0.3
# Somebody who thinks before going on still has the floor.
_HOLD_S: Final = 4.0


class _Voice:
    """One participant's credit and smoothed level (of its loud intervals)."""

    def __init__(self) -> None:
        self.credit = 0
        self.level = 127.0

    def hear(self, level: int) -> None:
        if level > _LOUD:
            self.credit = max(0, self.credit - 1)
            return
        if self.credit == 0:
            self.level = level
        self.level += _SMOOTHING * (level - self.level)
        self.credit = min(_MOST_CREDIT, self.credit + 1)


class Conversation:
    """The voices of one session and who has the floor."""

    def __init__(self) -> None:
        self._voices: dict[str, _Voice] = {}
        self._heard_at = 0.0
        self.speaker: str | None = None

    def hear(self, levels: Mapping[str, int], now: float) -> str | None:
        """Take the levels of one interval, by participant; who has the floor after it.

        levels: 0 (full scale) to 127 dB below. One who is not in them has gone.
        now: seconds on a clock that never jumps.
        """
        self._voices = {who: self._voices.get(who) or _Voice() for who in levels}
        for who, level in levels.items():
            self._voices[who].hear(level)
        if self.speaker is None or self.speaker not in levels:
            self.speaker = None
        elif levels[self.speaker] <= _LOUD:
            self._heard_at = now
        elif now - self._heard_at >= _HOLD_S:
            self.speaker = None
        challenger = self._challenger()
        if challenger is not None and self._gives_way_to(self._voices[challenger]):
            self.speaker, self._heard_at = challenger, now
        return self.speaker

    def _challenger(self) -> str | None:
        """The loudest of those who have earned the floor and do not have it."""
        earned = [
            who
            for who, voice in self._voices.items()
            if voice.credit >= _CREDIT_FOR_THE_FLOOR and who != self.speaker
        ]
        return min(earned, key=lambda who: self._voices[who].level, default=None)

    def _gives_way_to(self, challenger: _Voice) -> bool:
        if self.speaker is None:
            return True
        present = self._voices[self.speaker]
        return (
            present.credit < _CREDIT_FOR_THE_FLOOR
            or challenger.level <= present.level - _CLEARLY_LOUDER
        )
