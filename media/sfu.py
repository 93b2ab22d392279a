"""The facade of the media plane: sessions, participants, who is seen in which seat.

Owned by the event loop. It satisfies `rooms.ports.MediaPlane` without knowing it, and tells
its Listener what changed. Sessions and participants are opaque strings here.

Each participant sees every other one in a seat, and a shared screen in one of its own
(`media.seats`). Which track feeds which seat is derived, never remembered beside the truth:
`_route` compares what should flow with what does.
"""

import asyncio
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, cast

import structlog

from media import census
from media.adaptation import Adaptation
from media.census import Census, Line
from media.dtls import Certificate
from media.errors import BadOffer, ConnectionClosed, StaleOffer
from media.news import Listener, Sections, View
from media.observer import Observer
from media.offer import Offer, parse_offer
from media.participant import Participant, Session
from media.peer import Peer, PeerState
from media.relay import CLOSED, DTLS, Relay
from media.seats import KIND_OF, Source

log = structlog.get_logger(__name__)

# Datagrams handled before other callbacks get the loop: a DTLS step takes 0.5 ms.
_DATAGRAMS_A_TURN: Final = 16
_CONSENT_CHECK_S: Final = 1.0
# A turn of the relay's thread that was waiting takes a tenth of this.
_TURN_S: Final = 0.001


@dataclass(frozen=True, slots=True)
class Negotiated:
    """The answer to one offer."""

    sdp: str
    sections: Sections


class Clock(Protocol):
    def now(self) -> datetime:
        """The present instant, aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""


class Sfu:
    """All sessions of this process. Made by `await Sfu.start(…)`, ended by `await close()`."""

    def __init__(
        self, relay: Relay, advertised: Sequence[str], listener: Listener, clock: Clock
    ) -> None:
        self._relay = relay
        self._candidates = [(ip, relay.port) for ip in advertised]
        self._listener = listener
        self._clock = clock
        self._certificate = Certificate.generateCertificate()
        self._sessions: dict[str, Session] = {}
        self._observer = Observer(relay, self._sessions, listener, clock)
        self._adaptation = Adaptation(relay, self._sessions, listener, clock)
        self._peers: dict[int, Peer] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._consent_timer = self._loop.call_later(_CONSENT_CHECK_S, self._check_consent)

    @classmethod
    async def start(
        cls,
        *,
        relay_host: str,
        port: int,
        advertised: Sequence[str],
        listener: Listener,
        clock: Clock,
        gather_us: int,
        tcp: bool,
    ) -> "Sfu":
        """Open the media port and start the relay.

        advertised: the addresses browsers are told, IPv4 or IPv6 literals.
        tcp: whether they may reach it over TCP, too, on the same port.
        Raises OSError when the port is taken.
        """
        relay = Relay(relay_host, port, gather_us=gather_us, tcp=tcp)
        relay.start()
        sfu = cls(relay, advertised, listener, clock)
        sfu._loop.add_reader(relay.fileno(), sfu._drain)
        return sfu

    @property
    def port(self) -> int:
        """The port all media goes through."""
        return self._relay.port

    def stats(self) -> dict[str, int]:
        """The relay's totals since start; see `Relay.stats`."""
        return self._relay.stats()

    def census(self) -> Census:
        """What there is now."""
        return census.count(self._sessions)

    def lines(self, rooms_at_most: int) -> Mapping[str, Sequence[Line]]:
        """The connections in each room; of more rooms, those with the worst ones."""
        return census.lines(self._relay, self._sessions, rooms_at_most)

    def relay_objects(self) -> dict[str, int]:
        """What the relay holds now; see `Relay.objects`."""
        return self._relay.objects()

    @property
    def relay_busy_s(self) -> float:
        """How long the relay's thread was at work since the start; see `Relay.busy_us`."""
        return self._relay.busy_us / 1_000_000

    async def answers(self, within_s: float) -> bool:
        """Whether the relay's thread makes a turn within this time; not after `close`."""
        if self._closed:
            return False
        turns = self._relay.wake()
        deadline = self._loop.time() + within_s
        while self._relay.turns == turns:
            if self._loop.time() >= deadline:
                return False
            await asyncio.sleep(_TURN_S)
        return True

    async def close(self) -> None:
        """Close every connection, then the port."""
        self._closed = True
        for session in list(self._sessions):
            self.close_session(session)
        self._consent_timer.cancel()
        self._observer.stop()
        self._adaptation.stop()
        if self._closing:
            await asyncio.wait(self._closing)
        self._loop.remove_reader(self._relay.fileno())
        self._relay.stop()

    # Participants

    def join(self, session: str, participant: str) -> Sections:
        """Seat a participant: the others are asked for sections to see it. Idempotent.

        One who was there is told again what of its pictures is watched: it may be a new page.
        """
        members = self._sessions.setdefault(session, {})
        member = members.get(participant)
        if member is None:
            member = Participant(participant)
            for other in members.values():
                other.seating.add(participant)
                member.seating.add(other.id)
                if other.shares_screen:
                    member.seating.add_screen(other.id)
            members[participant] = member
            member.told = member.sections()
            self._route(session)
        elif member.layers is not None:
            self._listener.layers_changed(session, participant, member.layers)
        return member.sections()

    def sections(self, session: str, participant: str) -> Sections:
        """What the participant needs now. Raises ConnectionClosed for one who is not there."""
        return self._member(session, participant).sections()

    def negotiate(
        self,
        session: str,
        participant: str,
        connection: str,
        seq: int,
        sdp: str,
        sources: Mapping[str, str],
    ) -> Negotiated:
        """Answer an offer. A connection id not seen before replaces the participant's connection.

        sources: mid -> "microphone", "camera" or "screen", for each section the browser sends in.
        Raises BadOffer, StaleOffer, ConnectionClosed; then nothing has changed.
        """
        member = self._member(session, participant)
        if connection in member.closed_connections:
            raise ConnectionClosed(connection)
        if connection == member.connection and seq <= member.last_seq:
            raise StaleOffer(seq, member.last_seq)
        offer = parse_offer(sdp)
        mids = _mids_by_source(offer, sources)
        if connection == member.connection and member.peer is not None:
            answer = member.peer.negotiate(offer, member.seating.needed())
        else:
            answer = self._replace_connection(session, member, connection, offer)
        member.last_seq = seq
        member.mids = mids
        for source in KIND_OF:
            self._apply_forwarding(member, source)
        member.told = member.sections()
        self._route(session)
        return Negotiated(answer, member.told)

    def set_forwarding(self, session: str, participant: str, source: str, enabled: bool) -> None:
        """Let "microphone", "camera" or "screen" through or not; holds for connections to come.

        The others are asked for a section to see a screen in, and are shown it no more once it
        is not let through. Of one who is not there, nothing.
        """
        members = self._sessions.get(session, {})
        member = members.get(participant)
        if member is None:
            return
        known = cast(Source, source)
        if enabled:
            member.silenced.discard(known)
        else:
            member.silenced.add(known)
        self._apply_forwarding(member, known)
        if known == "screen":
            for other in members.values():
                if other is member:
                    continue
                if enabled:
                    other.seating.add_screen(participant)
                else:
                    other.seating.remove_screen(participant)
            self._route(session)

    def set_views(self, session: str, participant: str, views: Sequence[View]) -> None:
        """What the participant's page shows, and how large; a picture not listed is hidden.

        Raises ConnectionClosed for one who is not there.
        """
        self._member(session, participant).views = tuple(views)

    def remove_participant(self, session: str, participant: str) -> None:
        """Close its connection and free the seats that showed it. Idempotent."""
        members = self._sessions.get(session, {})
        member = members.pop(participant, None)
        if member is None:
            return
        if member.peer is not None:
            self._retire(member.peer)
        for other in members.values():
            other.seating.remove(participant)
        if members:
            self._route(session)
        else:
            del self._sessions[session]

    def close_session(self, session: str) -> None:
        """Close every connection of the session; no packet flows after it. Idempotent."""
        for member in self._sessions.pop(session, {}).values():
            if member.peer is not None:
                self._retire(member.peer)

    def heard(self, session: str) -> dict[str, float]:
        """How many seconds ago an authentic packet last came from each connected participant."""
        connected = [
            (member.id, member.peer.handle)
            for member in self._sessions.get(session, {}).values()
            if member.peer is not None and member.peer.state == "connected"
        ]
        silences = self._relay.silences_ms([handle for _, handle in connected])
        return {
            who: silence_ms / 1000
            for (who, _), silence_ms in zip(connected, silences, strict=True)
            if silence_ms >= 0
        }

    # Connections

    def _replace_connection(
        self, session: str, member: Participant, connection: str, offer: Offer
    ) -> str:
        """Answer the first offer of a new connection; the one before ends once it is accepted."""
        peer = Peer(
            self._relay,
            self._current_certificate(),
            self._candidates,
            lambda state: self._peer_changed(session, member, connection, state),
        )
        self._peers[peer.handle] = peer
        try:
            answer = peer.negotiate(offer, member.seating.needed())
        except Exception:
            self._retire(peer)
            raise
        if member.peer is not None:
            self._retire(member.peer)
        if member.connection is not None:
            member.closed_connections.append(member.connection)
        member.connection, member.peer, member.fed = connection, peer, {}
        self._listener.media_changed(session, member.id, "connecting")
        return answer

    def _retire(self, peer: Peer) -> None:
        del self._peers[peer.handle]
        peer.detach()
        task = self._loop.create_task(peer.say_goodbye())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _peer_changed(
        self, session: str, member: Participant, connection: str, state: PeerState
    ) -> None:
        if member.connection == connection:
            self._listener.media_changed(session, member.id, state)

    def _current_certificate(self) -> Certificate:
        if self._certificate.expires_soon(self._clock.now()):
            self._certificate = Certificate.generateCertificate()
        return self._certificate

    def _drain(self) -> None:
        """Hand the relay's datagrams to their peers; what is left wakes the loop again."""
        now = self._clock.monotonic()
        for kind, handle, address, data in self._relay.poll(_DATAGRAMS_A_TURN):
            peer = self._peers.get(handle)
            if peer is None:
                continue  # removed while the datagram waited
            try:
                if kind == DTLS:
                    peer.receive_dtls(data)
                elif kind == CLOSED:
                    peer.connection_closed(address)
                else:
                    peer.receive_stun(data, address, now)
            except Exception as failure:  # the others' datagrams go on
                log.error("datagram.failed", error_id=secrets.token_hex(4), exc_info=failure)

    def _check_consent(self) -> None:
        self._consent_timer = self._loop.call_later(_CONSENT_CHECK_S, self._check_consent)
        now = self._clock.monotonic()
        for peer in list(self._peers.values()):
            peer.check_consent(now)

    # Routing

    def _member(self, session: str, participant: str) -> Participant:
        member = self._sessions.get(session, {}).get(participant)
        if member is None:
            raise ConnectionClosed(participant)
        return member

    def _apply_forwarding(self, member: Participant, source: Source) -> None:
        track = member.track(source)
        if track is not None:
            self._relay.set_forwarding(track, source not in member.silenced)

    def _route(self, session: str) -> None:
        """Make every seat show whom it should, and tell whoever needs other sections now."""
        members = self._sessions[session]
        for viewer in members.values():
            feeds = dict(_wanted_feeds(viewer, members))
            for subscription, track in feeds.items():
                if viewer.fed.get(subscription) != track:
                    self._relay.set_source(subscription, track)
            viewer.fed = feeds
            sections = viewer.sections()
            if sections != viewer.told:
                viewer.told = sections
                self._listener.sections_changed(session, viewer.id, sections)


def _wanted_feeds(viewer: Participant, members: Session) -> Iterator[tuple[int, int | None]]:
    """(subscription, track that should feed it) for each seat of the viewer's."""
    if viewer.peer is None:
        return
    for seat, reception in viewer.peer.receptions.items():
        shown = members.get(viewer.seating.shown(seat) or "")
        track = None if shown is None else shown.track(seat.source)
        yield reception.subscription, track


def _mids_by_source(offer: Offer, sources: Mapping[str, str]) -> dict[Source, str]:
    """source -> mid of the section that carries it; BadOffer where the two do not fit."""
    mids: dict[Source, str] = {}
    for section in offer.sections:
        if not (section.acceptable and section.sends):
            continue
        source = cast(Source | None, sources.get(section.mid))
        if source is None or KIND_OF.get(source) != section.kind:
            raise BadOffer(
                f"sources names no {section.kind} source", section.index + 1, section.mid
            )
        if source in mids:
            raise BadOffer(f"a second {source}", section.index + 1, section.mid)
        mids[source] = section.mid
    return mids
