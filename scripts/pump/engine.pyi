"""The native load generator: many browsers' media from one thread without the GIL."""

from collections.abc import Hashable, Mapping
from socket import socket
from typing import Literal

from scripts.pump.figures import Figures

class Pump:
    """Sends RTP on behalf of many peers and measures what comes back.

    Peers and flows come and go at any time, whether it runs or not; so do `start` and `stop`.
    """

    def __init__(self, *, check_every: int = 1) -> None:
        """check_every: authenticate, and take the delay of, one in so many packets a peer
        receives. All are counted."""
    def add_peer(
        self,
        socket: socket,
        profile: str,
        send_key: bytes,
        receive_key: bytes,
        *,
        room: Hashable | None = None,
        twcc_id: int = 0,
        clocks_khz: Mapping[int, int] | None = None,
    ) -> int:
        """One transport: a connected UDP socket and the SRTP keys of both directions; its number.

        profile: a name of scripts.pump.srtp.PROFILES. The keys are master key and salt, joined.
        The pump reads the socket from now on, but does not close it.
        room: a copy of what the peer sends is expected by each of the others in it; None: by one.
        twcc_id: the extension whose numbers its transport-wide feedback tells of; 0: none.
        clocks_khz: by payload type, of the media it receives, which sender and receiver reports
            then tell of; other types are RTX. None: all is media, and there are no reports.
        Raises ValueError for ids above 14 or payload types above 127.
        """
    def remove_peer(self, peer: int) -> None:
        """It and its flows are gone, and its socket is not read any more. Raises IndexError."""
    def add_flow(
        self,
        peer: int,
        kind: Literal["audio", "video"],
        *,
        ssrc: int,
        payload_type: int,
        mid: str = "",
        mid_id: int = 0,
        twcc_id: int = 0,
        burst: int | None = None,
        packet_bytes: int | None = None,
        packets_per_second: float | None = None,
    ) -> int:
        """One RTP stream of a peer; its number. It sends while the pump runs.

        It is the recording's VP8, from its keyframe on at the start, at its end and at each PLI,
        or its Opus.

        mid, mid_id: the MID that its first 100 packets carry and the extension's id; twcc_id:
            that of the transport-wide sequence number. 0 leaves an extension out.
        burst: packets sent at once, one picture, which zeros behind its end fill up; a larger
            picture takes more. 6 for video, 1 for audio.
        packet_bytes: a whole RTP packet before SRTP, 72..1400; 1,100 and 100. A sound is never
            cut, and takes up to 104.
        packets_per_second: its own pace; 180 for video, 50 for audio.
        Raises ValueError outside of these, IndexError for an unknown peer.
        """
    def pause(self, flow: int) -> None:
        """It sends no more until `resume`. Raises IndexError."""
    def resume(self, flow: int) -> None:
        """It goes on where it was, a picture with a keyframe. Raises IndexError."""
    def start(self, packets_per_second: float | None = None) -> None:
        """Start sending, each flow at its own pace, or those that are there scaled to this total.

        math.inf: flat out, in the same order. Flows that come later have the same scale.
        Raises RuntimeError where it runs, or where a total is given and nobody sends.
        """
    def stop(self) -> None:
        """Stop sending, read on until 50 ms are silent (at most 500 ms), end the thread.

        Idempotent.
        """
    def figures(self) -> Figures:
        """Totals since the pump was made."""
    def received_by(self, peer: int) -> int:
        """Media packets that this peer received. Raises IndexError."""
    def first_media(self, peer: int) -> float | None:
        """When its first media packet came, by time.monotonic; None: not yet. Raises IndexError."""
    def sent_on(self, flow: int) -> int:
        """RTP packets it sent, those included that the kernel refused. Raises IndexError."""
