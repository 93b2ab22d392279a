"""What the load generator counted, and the arithmetic on it. Pure values."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

# 32 buckets an octave: a percentile is at most 3 % below the true value.
_STEPS = 32


def bucket_floor_us(index: int) -> int:
    """The least delay that the histogram counts in bucket `index`, in µs.

    Exact below 32 µs, then 32 buckets to each doubling.
    """
    if index < _STEPS:
        return index
    octave, step = divmod(index, _STEPS)
    return int((_STEPS + step) << (octave - 1))


@dataclass(frozen=True, slots=True)
class Figures:
    """Totals of a pump since it was made; the difference of two is a period.

    sent, unsent: packets handed to the kernel, and refused by it.
    received, received_bytes: RTP packets that came back, all of them, and their UDP payload.
    authenticated, refused: of those, how many libsrtp checked and took, and did not take.
    rtcp, rtcp_refused: SRTCP packets; other: STUN and whatever else came.
    keyframes: sent, the first of each flow and one for each PLI round.
    slipped_us: how far the schedule was moved because the generator could not keep up.
    delays: histogram of µs from a packet's sending to its reading, see bucket_floor_us.
    """

    sent: int
    unsent: int
    received: int
    received_bytes: int
    authenticated: int
    refused: int
    rtcp: int
    rtcp_refused: int
    other: int
    keyframes: int
    slipped_us: int
    delays: Sequence[int]

    def since(self, earlier: "Figures") -> "Figures":
        """What happened between `earlier` and this."""
        counts = {
            field.name: getattr(self, field.name) - getattr(earlier, field.name)
            for field in fields(self)
            if field.name != "delays"
        }
        delays = tuple(a - b for a, b in zip(self.delays, earlier.delays, strict=True))
        return Figures(**counts, delays=delays)

    @classmethod
    def total(cls, figures: "Sequence[Figures]") -> "Figures":
        """Of several pumps, at least one."""
        counts = {
            field.name: sum(getattr(one, field.name) for one in figures)
            for field in fields(cls)
            if field.name != "delays"
        }
        delays = tuple(map(sum, zip(*(one.delays for one in figures), strict=True)))
        return cls(**counts, delays=delays)

    def loss(self, copies: float = 1.0) -> float:
        """Fraction of the packets that should have come back and did not, never below 0.

        copies: how many receivers each packet sent has.
        """
        expected = self.sent * copies
        return max(0.0, 1.0 - self.received / expected) if expected else 0.0

    def delay_us(self, percentile: float) -> int | None:
        """The delay that `percentile` (0..100) of the measured packets do not pass, in µs.

        None when none was measured. Source: nearest rank.
        """
        total = sum(self.delays)
        if total == 0:
            return None
        rank = max(1, -(-total * percentile // 100))
        seen = 0
        for index, count in enumerate(self.delays):
            seen += count
            if seen >= rank:
                return bucket_floor_us(index)
        raise AssertionError("a rank within the total is always reached")
