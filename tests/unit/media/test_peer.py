"""One connection's life: checks, handshake, consent, over a relay that only remembers."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
from aioice import stun
from structlog.testing import capture_logs

from media.dtls import Certificate
from media.ice_lite import CONSENT_S, Address
from media.offer import parse_offer
from media.peer import Peer, PeerState
from media.relay import Relay
from media.seats import Seat
from tests.data.offers.stored import stored
from tests.support.dtls_client import Client, Wire
from tests.support.eventually import eventually
from tests.support.fake_relay import FakePeer, FakeRelay
from tests.support.offers import offer

HOME: Address = ("192.0.2.1", 4000)
CABLE: Address = ("192.0.2.2", 5000)
TCP: Address = ("192.0.2.3", 6000, 7)
PUBLISH = (("audio", "sendonly"), ("video", "sendonly"))
RECEIVE = (("audio", "recvonly"), ("video", "recvonly"))


class Connection:
    """A Peer and the browser at its other end: signed checks, a real DTLS client."""

    def __init__(self, relay: FakeRelay, ufrag: str = "clientUfrag") -> None:
        self.relay = relay
        self.ufrag = ufrag
        self.states: list[PeerState] = []
        self.certificate = Certificate.generateCertificate()
        self.peer = Peer(
            cast(Relay, relay), self.certificate, [("127.0.0.1", 5004)], self.states.append
        )
        self.wire = Wire()
        self.wire.deliver = self.peer.receive_dtls
        self.client = Client(self.wire)
        self.answer = self.offers(*PUBLISH)

    @property
    def in_relay(self) -> FakePeer:
        return self.relay.peers[self.peer.handle]

    def offers(self, *sections: tuple[str, str]) -> str:
        fingerprint = " ".join(self.client.fingerprints()[0])
        sdp = offer(*sections, ufrag=self.ufrag, fingerprint=fingerprint)
        self.answer = self.peer.negotiate(parse_offer(sdp))
        return self.answer

    def check(self, address: Address = HOME, now: float = 0.0) -> None:
        """One signed binding request."""
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self._answered('ice-ufrag')}:{self.ufrag}"
        request.attributes["PRIORITY"] = 1
        request.add_message_integrity(self._answered("ice-pwd").encode())
        self.peer.receive_stun(bytes(request), address, now)

    async def connect(self) -> None:
        self.relay.deliver = lambda _, data: (
            self.wire.inbox.put_nowait(data) if 20 <= data[0] <= 63 else None
        )
        self.check()
        await asyncio.wait_for(self.client.connect(self.certificate.fingerprint), 5)
        await eventually(lambda: self.states[-1:] == ["connected"], "connected")

    def _answered(self, name: str) -> str:
        lines = self.answer.splitlines()
        return next(line.partition(":")[2] for line in lines if line.startswith(f"a={name}:"))


@pytest.fixture
async def browser() -> AsyncIterator[Connection]:
    connection = Connection(FakeRelay())
    yield connection
    connection.peer.detach()
    await connection.client.stop()
    await connection.peer.say_goodbye()


async def test_a_valid_check_binds_and_selects_its_address_and_is_answered(
    browser: Connection,
) -> None:
    browser.check()
    assert browser.in_relay.bound == {HOME}
    assert browser.in_relay.selected == HOME
    assert [address for address, _ in browser.relay.sent] == [HOME]


async def test_the_handshake_hands_its_keys_to_the_relay(browser: Connection) -> None:
    await browser.connect()
    assert browser.in_relay.keys is not None
    assert browser.in_relay.keys[0] == "SRTP_AEAD_AES_128_GCM"


async def test_lost_consent_stops_the_sending_and_a_later_check_brings_it_back(
    browser: Connection,
) -> None:
    await browser.connect()
    browser.peer.check_consent(CONSENT_S - 1)
    assert browser.states == ["connected"]
    browser.peer.check_consent(CONSENT_S + 1)
    assert browser.in_relay.selected is None
    assert browser.states == ["connected", "lost"]

    browser.check(CABLE, now=CONSENT_S + 20)
    assert browser.in_relay.selected == CABLE
    assert browser.states == ["connected", "lost", "connected"]


async def test_a_browser_that_closes_is_lost_at_once(browser: Connection) -> None:
    await browser.connect()
    await browser.client.stop()
    await eventually(lambda: browser.states[-1] == "lost", "lost")
    assert browser.in_relay.selected is None


async def test_a_check_forged_from_an_address_in_use_takes_nothing(browser: Connection) -> None:
    browser.check()
    thief = Connection(browser.relay, ufrag="thiefUfrag")
    answered = len(browser.relay.sent)
    thief.check(HOME)
    assert len(browser.relay.sent) == answered, "a forged check was answered"
    assert browser.in_relay.selected == HOME
    thief.peer.detach()


async def test_after_its_connection_ended_media_goes_where_the_next_check_comes_from(
    browser: Connection,
) -> None:
    browser.check(TCP)
    assert browser.in_relay.selected == TCP
    browser.relay.close(TCP)
    browser.peer.connection_closed(TCP)
    browser.check(CABLE)
    assert browser.in_relay.selected == CABLE


async def test_a_check_whose_connection_is_closed_already_selects_nothing(
    browser: Connection,
) -> None:
    browser.relay.close(TCP)
    answered = len(browser.relay.sent)
    browser.check(TCP)
    assert len(browser.relay.sent) == answered
    assert browser.in_relay.selected is None
    browser.check(CABLE)
    assert browser.in_relay.selected == CABLE


async def test_an_address_that_was_somebody_elses_meanwhile_is_selected_again(
    browser: Connection,
) -> None:
    browser.check()
    browser.relay.select(browser.peer.handle, None)
    browser.check(now=2)
    assert browser.in_relay.selected == HOME


async def test_a_section_that_comes_back_has_the_ssrc_it_had(browser: Connection) -> None:
    browser.offers(*PUBLISH, *RECEIVE)
    before = {seat: held.slot.ssrc for seat, held in browser.peer.receptions.items()}
    assert set(before) == {Seat("microphone", 0), Seat("camera", 0)}
    browser.offers(*PUBLISH, ("audio", "inactive"), ("video", "inactive"))
    assert browser.peer.receptions == {}
    browser.offers(*PUBLISH, *RECEIVE)
    assert {seat: held.slot.ssrc for seat, held in browser.peer.receptions.items()} == before


async def test_a_detached_connection_is_gone_from_the_relay_and_hears_nothing(
    browser: Connection,
) -> None:
    other = Connection(browser.relay)
    await other.connect()
    other.peer.detach()
    assert other.peer.handle not in browser.relay.peers
    await other.peer.say_goodbye()
    assert other.states == ["connected"], "the owner asked for it and is not told"
    await other.client.stop()


@pytest.mark.parametrize("turns", range(8))
async def test_a_connection_removed_as_its_handshake_ends_gets_no_keys_and_fails_nowhere(
    turns: int,
) -> None:
    """At each turn of the loop after the last flight: asyncio.wait_for loses cancellations."""
    relay = FakeRelay()
    browser = Connection(relay)
    flights: list[bytes] = []
    last = asyncio.Event()

    def hold_back_the_last(data: bytes) -> None:
        flights.append(data)
        if len(flights) == 1:  # the ClientHello; the next one ends the handshake
            browser.peer.receive_dtls(data)
        else:
            last.set()

    browser.wire.deliver = hold_back_the_last
    relay.deliver = lambda _, data: (
        browser.wire.inbox.put_nowait(data) if 20 <= data[0] <= 63 else None
    )
    browser.check()
    connecting = asyncio.create_task(browser.client.connect(browser.certificate.fingerprint))
    await asyncio.wait_for(last.wait(), 5)
    with capture_logs() as logs:
        browser.peer.receive_dtls(flights[-1])
        for _ in range(turns):
            await asyncio.sleep(0)
        browser.peer.detach()
        await browser.peer.say_goodbye()
        await asyncio.sleep(0)
    assert logs == []
    connecting.cancel()
    await asyncio.wait([connecting])
    await browser.client.stop()


def test_the_layers_of_a_camera_reach_the_relay_in_the_offers_order() -> None:
    relay = FakeRelay()
    certificate = Certificate.generateCertificate()
    peer = Peer(cast(Relay, relay), certificate, [("127.0.0.1", 5004)], lambda _: None)
    peer.negotiate(parse_offer(stored("chromium/simulcast/1-publish")))
    assert [track.rids for track in relay.tracks.values()] == [(), ("q", "h", "f")]
