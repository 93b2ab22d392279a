"""What the load generator counted, and the arithmetic on it. Pure values."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

BUCKETS: Final = 768
# 32 buckets an octave: a percentile is at most 3 % below the true value.
_STEPS: Final = 32


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

    sent, unsent: media packets handed to the kernel, and refused by it.
    expected: of those sent, a copy for each of the others in their room.
    received, received_bytes: media packets that came back, and their UDP payload.
    missing: of the media sent to us, by the gaps in its numbers; sources of reports alone.
    repeats: RTX, which is a probe, since nothing is asked for again.
    authenticated, refused: of media, how many libsrtp checked and took, and did not take.
    rtcp, rtcp_refused: SRTCP packets; other: STUN and whatever else came.
    reports: RTCP packets sent. keyframes: sent, the first of each flow and one a PLI round.
    slipped_us: how far the schedule was moved because the generator could not keep up.
    delays: histogram of µs from a packet's sending to its reading, see bucket_floor_us.
    """

    sent: int = 0
    unsent: int = 0
    expected: int = 0
    received: int = 0
    received_bytes: int = 0
    missing: int = 0
    repeats: int = 0
    authenticated: int = 0
    refused: int = 0
    rtcp: int = 0
    rtcp_refused: int = 0
    reports: int = 0
    other: int = 0
    keyframes: int = 0
    slipped_us: int = 0
    delays: Sequence[int] = (0,) * BUCKETS

    def since(self, earlier: "Figures") -> "Figures":
        """What happened between `earlier` and this."""
        return self._with(earlier, -1)

    def plus(self, other: "Figures") -> "Figures":
        """Both together."""
        return self._with(other, 1)

    def _with(self, other: "Figures", factor: int) -> "Figures":
        counts = {
            field.name: getattr(self, field.name) + factor * getattr(other, field.name)
            for field in fields(self)
            if field.name != "delays"
        }
        delays = tuple(a + factor * b for a, b in zip(self.delays, other.delays, strict=True))
        return Figures(**counts, delays=delays)

    def delivered(self) -> float | None:
        """Share of the expected packets that came; None where none was expected."""
        return self.received / self.expected if self.expected else None

    def loss(self) -> float:
        """Share of the expected packets that did not come, never below 0."""
        delivered = self.delivered()
        return 0.0 if delivered is None else max(0.0, 1.0 - delivered)

    def missing_share(self) -> float:
        """Share of what was sent to us that the numbers of the rest show to be missing.

        What a server holds back leaves no gap, and is not in it.
        """
        told = self.received + self.missing
        return max(0.0, self.missing / told) if told else 0.0

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
