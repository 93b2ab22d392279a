"""What Opus does by itself passes through the relay: silence costs few packets (DTX), and a lost
frame is repaired from the next one (in-band FEC)."""

import re
from pathlib import Path
from typing import Any, Final

import pytest

from tests.browser.conftest import OpenRoom
from tests.browser.room import Room
from tests.support.eventually import eventually
from tests.support.lossy_hop import LossyHop
from tests.support.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")

# A microphone that hums, or is perfectly silent; Opus alone, of these parameters.
_MICROPHONE: Final = """
(() => {
  const capture = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async constraints => {
    const stream = await capture(constraints);
    if (!stream.getAudioTracks().length) return stream;
    const context = new AudioContext();
    const voice = new OscillatorNode(context, {type: 'sawtooth', frequency: 150});
    const volume = new GainNode(context, {gain: 0.3});
    const sound = context.createMediaStreamDestination();
    voice.connect(volume).connect(sound);
    voice.start();
    window.hum = async on => { await context.resume(); volume.gain.value = on ? 0.3 : 0; };
    return new MediaStream([...stream.getVideoTracks(), ...sound.stream.getAudioTracks()]);
  };
  const describe = RTCPeerConnection.prototype.setLocalDescription;
  RTCPeerConnection.prototype.setLocalDescription = async function () {
    const {codecs} = RTCRtpReceiver.getCapabilities('audio');
    for (const each of this.getTransceivers())
      if (each.receiver.track.kind === 'audio')
        each.setCodecPreferences(codecs.filter(({mimeType}) => mimeType === 'audio/opus'));
    const {type, sdp} = await this.createOffer();
    return describe.call(this, {type, sdp: sdp.replaceAll('useinbandfec=1', '%s')});
  };
})();
"""
_SOUND: Final = """
async () => {
  for (const report of (await window.connections.at(-1).getStats()).values())
    if (report.type === 'inbound-rtp' && report.kind === 'audio')
      return {
        at_ms: report.timestamp,
        packets: report.packetsReceived,
        lost: report.packetsLost,
        repaired: report.fecPacketsReceived,
      };
}
"""


async def sound(room: Room) -> dict[str, Any]:
    """What was received since the start."""
    seen: dict[str, Any] = await room.page.evaluate(_SOUND)
    return seen


async def packets_a_second(room: Room) -> float:
    """Over one second."""
    before = await sound(room)
    await room.page.wait_for_timeout(1000)
    after = await sound(room)
    rate: float = (after["packets"] - before["packets"]) * 1000 / (after["at_ms"] - before["at_ms"])
    return rate


async def answered_opus(room: Room) -> list[str]:
    """The parameters of Opus in each section of the answer."""
    sdp = await room.page.evaluate("window.connections.at(-1).remoteDescription.sdp")
    return re.findall(r"a=fmtp:111 (\S+)", sdp)


async def call(
    server: Server, open_room: OpenRoom, opus: str, further: str = ""
) -> tuple[Room, Room]:
    """Who speaks, and who hears."""
    session = server.demo()
    rooms = [
        await open_room(url, script=_MICROPHONE % opus + further)
        for url in (session.therapist_url, session.client_url)
    ]
    for room in rooms:
        await room.join()
    speaker, listener = rooms
    await speaker.sees(within=20)
    await speaker.page.evaluate("hum(true)")
    await listener.hears()
    return speaker, listener


async def test_silence_costs_few_packets_and_sound_is_there_when_it_ends(
    server: Server, open_room: OpenRoom
) -> None:
    speaker, listener = await call(server, open_room, "useinbandfec=1;usedtx=1")
    assert all("usedtx=1" in each for each in await answered_opus(speaker))
    assert await packets_a_second(listener) > 40

    async def is_quiet() -> bool:
        rate = await packets_a_second(listener)
        assert rate < 10, rate
        return True

    offers = await speaker.offers(), await listener.offers()
    await speaker.page.evaluate("hum(false)")
    await eventually(is_quiet, "few packets of silence")
    # For longer than it takes a page, or the relay, to believe that a sender is gone.
    await listener.page.wait_for_timeout(5000)
    assert await packets_a_second(listener) < 10
    await speaker.page.evaluate("hum(true)")
    await listener.hears(within=2)
    assert await packets_a_second(listener) > 40
    assert (await sound(listener))["lost"] == 0
    assert (await speaker.offers(), await listener.offers()) == offers


async def test_without_dtx_silence_costs_as_many_packets_as_sound(
    server: Server, open_room: OpenRoom
) -> None:
    speaker, listener = await call(server, open_room, "useinbandfec=1")
    await speaker.page.evaluate("hum(false)")
    await listener.page.wait_for_timeout(1000)
    assert await packets_a_second(listener) > 40


async def test_frames_carry_what_repairs_the_one_before_once_packets_are_lost(
    tmp_path: Path, open_room: OpenRoom
) -> None:
    with Server(tmp_path) as server:
        media = ("127.0.0.1", server.media_port)
        # Opus leaves a steady sound without repairs until more than 8 % are lost.
        async with LossyHop(media, loss=0.2, delay_s=0.02) as hop:
            speaker, listener = await call(server, open_room, "useinbandfec=1", hop.script)
            assert all("useinbandfec=1" in each for each in await answered_opus(speaker))

            async def repaired() -> bool:
                seen = await sound(listener)
                assert seen["repaired"] > 20, seen
                return True

            await eventually(repaired, "frames repaired by the next one", within=20)
