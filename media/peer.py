"""One browser's connection: its negotiation, its ICE and DTLS, its handle in the relay.

Owned by the Sfu, on the event loop. A Peer knows nothing of rooms: it has tracks that the
browser sends and seats that it receives in; whom a seat shows is the Sfu's business.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final, Literal
from zlib import crc32

import structlog

from media.answerer import Plan, Publication, ServerDescription, Slot, make_answer
from media.codec import Codec
from media.dtls import Certificate, DtlsServer
from media.errors import BadOffer
from media.ice_lite import Address, Credentials, IceLite
from media.offer import Offer
from media.relay import Relay, RelayError
from media.seats import Kind, Seat, Source

log = structlog.get_logger(__name__)

PeerState = Literal["connecting", "connected", "lost"]

# A session id is any 63-bit number (RFC 8829, 5.2.1); one bit less never looks negative.
_SDP_SESSION_BITS: Final = 62


@dataclass(frozen=True, slots=True)
class Reception:
    """A seat's section in this connection, and the relay's subscription that feeds it."""

    mid: str
    slot: Slot
    subscription: int


@dataclass(frozen=True, slots=True)
class Sent:
    """A section the browser sends in, and the relay's track for it."""

    publication: Publication
    track: int


class Peer:
    """The server's side of one RTCPeerConnection."""

    def __init__(
        self,
        relay: Relay,
        certificate: Certificate,
        candidates: Sequence[tuple[str, int]],
        on_state: Callable[[PeerState], None],
    ) -> None:
        self._relay = relay
        self._certificate = certificate
        self._candidates = tuple(candidates)
        self._on_state = on_state
        self._state: PeerState = "connecting"
        self._sdp_session_id = secrets.randbits(_SDP_SESSION_BITS)
        self._sdp_version = 0
        self._cname = secrets.token_urlsafe(9)
        self._slots: dict[Seat, Slot] = {}
        self._ice: IceLite | None = None
        self._fingerprints: tuple[tuple[str, str], ...] = ()
        self._dtls = DtlsServer(certificate, self._send_dtls)
        self._dtls_task: asyncio.Task[None] | None = None
        self._secured = False
        self._detached = False
        self.handle = relay.add_peer()
        self.sent: dict[str, Sent] = {}
        """By mid: what the browser sends."""
        self.receptions: dict[Seat, Reception] = {}
        """By seat: where the browser receives."""

    @property
    def state(self) -> PeerState:
        return self._state

    def negotiate(self, offer: Offer, needed: Iterable[Seat] = ()) -> str:
        """Answer one offer of this connection, and make the relay follow it.

        A recvonly section gets the first free one of the needed seats that fits its kind when
        it is first seen, beyond these the lowest of a person's; it keeps it while it stays
        recvonly. A seat keeps its SSRC for the life of the connection.
        Raises BadOffer, and then nothing has changed.
        """
        if self._fingerprints and self._fingerprints != offer.fingerprints:
            raise BadOffer("the fingerprint changed within one connection")
        local = self._credentials_for(offer)
        slots = self._slots_for(offer, tuple(needed))
        answer, plan = make_answer(
            offer,
            ServerDescription(
                session_id=self._sdp_session_id,
                version=self._sdp_version,
                ufrag=local.ufrag,
                pwd=local.pwd,
                fingerprint=self._certificate.fingerprint,
                candidates=self._candidates,
                tcp=self._relay.tcp,
            ),
            {mid: slot for mid, (_, slot) in slots.items()},
        )
        self._sdp_version += 1
        self._fingerprints = offer.fingerprints
        self._follow_ice(local, offer.ice_ufrag)
        self._relay.configure_peer(
            self.handle,
            {number: (codec.family, _variant(codec)) for number, codec in plan.codecs.items()},
            plan.rtx,
            plan.extensions,
        )
        self._follow_publications(plan)
        self._follow_slots(plan, slots)
        return answer

    # Datagrams, as the relay hands them up

    def receive_stun(self, data: bytes, address: Address, now: float) -> None:
        """A binding request for one of our ufrags, not authenticated yet."""
        if self._ice is None:
            return
        verdict = self._ice.receive(data, address, now)
        if verdict is None:
            return
        # Bound only now that MESSAGE-INTEGRITY passed: nobody else's datagram reaches DTLS.
        try:
            self._relay.bind(self.handle, address)
            # Each time: the address may have been another peer's meanwhile.
            if verdict.selected:
                self._relay.select(self.handle, address)
        except RelayError as error:
            if error.code == "relay.connection_closed":
                self._ice.lose_address(address)
                return
            if error.code != "relay.address_in_use":
                raise
            return  # forged, or a port that changed hands: answered once its owner is silent
        if verdict.retired is not None:
            self._relay.forget(verdict.retired)
        self._relay.send(address, verdict.reply)
        if self._secured:
            self._set_state("connected")

    def receive_dtls(self, data: bytes) -> None:
        """A DTLS record from an address that is bound to this peer."""
        if self._dtls_task is None:
            self._dtls_task = asyncio.create_task(self._secure())
            self._dtls_task.add_done_callback(_log_failure)
        self._dtls.feed(data)

    def connection_closed(self, address: Address) -> None:
        """The TCP connection that was this address ended, and so did sending if it was selected."""
        if self._ice is not None:
            self._ice.lose_address(address)

    def check_consent(self, now: float) -> None:
        """Stop sending where no valid check came for 30 s; a later check brings it back."""
        if self._ice is not None and self._ice.consent_expired(now):
            self._ice.lose_consent()
            self._relay.select(self.handle, None)
            self._set_state("lost")

    def detach(self) -> None:
        """Leave the relay: when this returns, no packet goes to or comes from the browser."""
        self._detached = True
        if self._dtls_task is not None:
            self._dtls_task.cancel()
        self._relay.remove_peer(self.handle)

    async def say_goodbye(self) -> None:
        """After detach(): close the DTLS association, so that the browser knows at once."""
        if self._dtls_task is not None:
            await asyncio.wait([self._dtls_task])
        await self._dtls.stop()

    # The steps of a negotiation

    def _credentials_for(self, offer: Offer) -> Credentials:
        """A changed ufrag is an ICE restart and wants new credentials (RFC 8839, 4.4.1.1.1)."""
        if self._ice is not None and self._ice.remote_ufrag == offer.ice_ufrag:
            return self._ice.local
        return Credentials.generate()

    def _follow_ice(self, local: Credentials, remote_ufrag: str) -> None:
        if self._ice is None:
            self._ice = IceLite(local, remote_ufrag)
        elif self._ice.local != local:
            dropped = self._ice.restart(local, remote_ufrag)
            if dropped is not None:
                self._relay.forget(dropped)
        else:
            return
        self._relay.expect(self.handle, local.ufrag)

    def _slots_for(self, offer: Offer, needed: Sequence[Seat]) -> dict[str, tuple[Seat, Slot]]:
        held = {reception.mid: seat for seat, reception in self.receptions.items()}
        receiving = [s for s in offer.sections if s.acceptable and s.direction == "recvonly"]
        slots: dict[str, tuple[Seat, Slot]] = {}
        for section in receiving:
            if section.mid in held and held[section.mid].kind == section.kind:
                seat = held[section.mid]
                slots[section.mid] = (seat, self._slots[seat])
        taken = {seat for seat, _ in slots.values()}
        for section in receiving:
            if section.mid in slots or section.kind == "other":
                continue
            seat = _next_free(section.kind, needed, taken)
            taken.add(seat)
            slots[section.mid] = (seat, self._slot_of(seat))
        return slots

    def _slot_of(self, seat: Seat) -> Slot:
        if seat not in self._slots:
            ssrc, rtx_ssrc = secrets.SystemRandom().sample(range(1, 2**32), 2)
            # One stream for both sections of a person: browsers keep its lips in step (RFC 8830,
            # 2). A screen in it would be held back for a voice that is somebody else's.
            stream = f"{'screen' if seat.source == 'screen' else 'seat'}-{seat.number}"
            self._slots[seat] = Slot(
                ssrc=ssrc,
                rtx_ssrc=rtx_ssrc if seat.kind == "video" else 0,
                stream_id=stream,
                track_id=f"{stream}-{seat.kind}",
                cname=self._cname,
            )
        return self._slots[seat]

    def _follow_publications(self, plan: Plan) -> None:
        offered = {publication.mid: publication for publication in plan.publications}
        for mid, sent in list(self.sent.items()):
            if offered.get(mid) != sent.publication:
                self._relay.remove_track(sent.track)
                del self.sent[mid]
        for mid, publication in offered.items():
            if mid not in self.sent:
                track = self._relay.add_track(
                    self.handle,
                    publication.kind,
                    mid,
                    publication.ssrcs,
                    publication.rtx_ssrcs,
                    nack=publication.nack,
                    rids=publication.rids,
                )
                self.sent[mid] = Sent(publication, track)

    def _follow_slots(self, plan: Plan, slots: Mapping[str, tuple[Seat, Slot]]) -> None:
        active = {seat: (mid, slot) for mid, (seat, slot) in slots.items() if mid in plan.slots}
        for seat, reception in list(self.receptions.items()):
            if active.get(seat) != (reception.mid, reception.slot):
                self._relay.remove_subscription(reception.subscription)
                del self.receptions[seat]
        for seat, (mid, slot) in active.items():
            if seat not in self.receptions:
                subscription = self._relay.add_subscription(
                    self.handle, seat.kind, mid, slot.ssrc, slot.rtx_ssrc
                )
                self.receptions[seat] = Reception(mid, slot, subscription)

    # DTLS

    async def _secure(self) -> None:
        """From the first ClientHello to the end of the association."""
        keys = await self._dtls.handshake(self._fingerprints)
        if self._detached:
            return  # asyncio.wait_for, in aiortc, loses a cancellation that comes with a result
        if keys is None:
            self._set_state("lost")
            return
        self._relay.set_keys(self.handle, keys.profile, keys.receive_key, keys.send_key)
        self._secured = True
        self._set_state("connected")
        await self._dtls.closed()
        self._secured = False
        self._relay.select(self.handle, None)
        self._set_state("lost")

    def _send_dtls(self, data: bytes) -> None:
        if self._ice is not None and self._ice.selected is not None:
            self._relay.send(self._ice.selected, data)

    def _set_state(self, state: PeerState) -> None:
        if state != self._state:
            self._state = state
            self._on_state(state)


def _variant(codec: Codec) -> int:
    """16 bits that tell apart codecs of one family: profiles that cannot decode each other."""
    return crc32(f"{codec.name}/{codec.clock_rate}/{codec.channels} {codec.fmtp}".encode()) & 0xFFFF


def _next_free(kind: Kind, needed: Sequence[Seat], taken: set[Seat]) -> Seat:
    """The seat for a new section: one that is needed, else one to have ready."""
    for seat in needed:
        if seat.kind == kind and seat not in taken:
            return seat
    source: Source = "microphone" if kind == "audio" else "camera"
    return next(seat for n in count() if (seat := Seat(source, n)) not in taken)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("dtls.failed", error_id=secrets.token_hex(4), exc_info=error)
