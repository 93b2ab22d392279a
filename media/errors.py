"""What the media package refuses, each with a stable code that a client may read."""

from typing import ClassVar


class MediaError(Exception):
    """Base of every refusal by this package."""

    code: ClassVar[str]


class BadOffer(MediaError):
    """An SDP offer that cannot be answered.

    section: position of the m= section at fault, counted from 1; None for the session part.
    mid: that section's mid where it has a valid one, else "".
    The message never holds ICE credentials or fingerprints.
    """

    code = "rtc.bad_offer"

    def __init__(self, reason: str, section: int | None = None, mid: str = "") -> None:
        place = "" if section is None else f"section {section}"
        place += f" (mid {mid})" if mid else ""
        super().__init__(f"{place}: {reason}" if place else reason)
        self.reason = reason
        self.section = section
        self.mid = mid


class StaleOffer(MediaError):
    """An offer that is not newer than one already answered on its connection."""

    code = "rtc.stale_offer"

    def __init__(self, seq: int, newest: int) -> None:
        super().__init__(f"offer {seq} is not newer than offer {newest}")
        self.seq = seq
        self.newest = newest


class ConnectionClosed(MediaError):
    """A connection that was replaced by a newer one of its participant, or closed."""

    code = "rtc.connection_closed"

    def __init__(self, connection: str) -> None:
        super().__init__("this connection was replaced or closed")
        self.connection = connection
