"""The native load generator: many browsers' media from one thread without the GIL."""

from socket import socket
from typing import Literal

from scripts.pump.figures import Figures

class Pump:
    """Sends RTP on behalf of many peers and measures what comes back.

    Set up while it stands still, `start`, read `figures` whenever, `stop`; then it can be
    set up further and started again. Verbs that change it raise RuntimeError while it runs.
    """

    def __init__(self, *, check_every: int = 1) -> None:
        """check_every: authenticate, and take the delay of, one in so many packets a peer
        receives. All are counted."""
    def add_peer(self, socket: socket, profile: str, send_key: bytes, receive_key: bytes) -> int:
        """One transport: a connected UDP socket and the SRTP keys of both directions.

        profile: a name of scripts.pump.srtp.PROFILES. The keys are master key and salt, joined.
        The pump reads the socket from now on, but does not close it.
        """
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
        """One RTP stream of a peer: VP8 frames, the first a keyframe and one more at each PLI,
        or audio packets.

        mid, mid_id: the MID that its first 100 packets carry and the extension's id; twcc_id:
            that of the transport-wide sequence number. 0 leaves an extension out.
        burst: packets sent at once, one frame; 6 for video, 1 for audio.
        packet_bytes: a whole RTP packet before SRTP, 72..1400; 1,100 and 100.
        packets_per_second: its own pace; 180 for video, 50 for audio.
        Raises ValueError outside of these, IndexError for an unknown peer.
        """
    def start(self, packets_per_second: float | None = None) -> None:
        """Start sending, each flow at its own pace, or all of them scaled to this total.

        math.inf: flat out, in the same order.
        """
    def stop(self) -> None:
        """Stop sending, read on until 50 ms are silent (at most 500 ms), end the thread.

        Idempotent.
        """
    def figures(self) -> Figures:
        """Totals since the pump was made."""
    def received_by(self, peer: int) -> int:
        """RTP packets that this peer received."""
    def sent_on(self, flow: int) -> int:
        """RTP packets that this flow sent, those included that the kernel refused."""
