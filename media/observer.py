"""Looks at the relay's figures in passing: who speaks in each session, how good each line is.

Owned by the Sfu, on the event loop; changes nothing. What it sees is told only when it is
another: who speaks at most twice a second, a connection's quality at most every two seconds.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from media import quality, speaking
from media.news import Listener
from media.participant import Participant, Session
from media.peer import Peer
from media.quality import Figures, Score
from media.relay import Relay
from media.rounds import Rounds
from media.speaking import Conversation

# Opus, which is what browsers send, at 48 kHz.
_SOUND_TICKS_A_MS: Final = 48


class Clock(Protocol):
    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""


class Observer:
    """Watches all sessions from its making until `stop`."""

    def __init__(
        self,
        relay: Relay,
        sessions: Mapping[str, Session],
        listener: Listener,
        clock: Clock,
    ) -> None:
        self._relay = relay
        self._sessions = sessions
        self._listener = listener
        self._clock = clock
        self._conversations: dict[str, Conversation] = {}
        # By handle. A round finds who is there; the others are forgotten with its end.
        self._lines: dict[int, _Line] = {}
        self._lines_found: dict[int, _Line] = {}
        self._rounds = Rounds(
            quality.INTERVAL_S, sessions, self._measure_session, self._forget_the_gone
        )
        self._loop = asyncio.get_running_loop()
        self._listen_timer = self._loop.call_later(speaking.INTERVAL_S, self._listen_on)

    def stop(self) -> None:
        self._listen_timer.cancel()
        self._rounds.stop()

    def listen(self) -> None:
        """Hear the last interval of every session of more than one."""
        heard = [
            (session, member.id, track)
            for session, members in self._sessions.items()
            if len(members) > 1
            for member in members.values()
            if (track := member.track("microphone")) is not None
        ]
        levels: dict[str, dict[str, int]] = {session: {} for session in self._conversations}
        loudest = self._relay.audio_levels([track for *_, track in heard]) if heard else []
        for (session, who, _), level in zip(heard, loudest, strict=True):
            levels.setdefault(session, {})[who] = level
        now = self._clock.monotonic()
        for session, voices in levels.items():
            conversation = self._conversations.setdefault(session, Conversation())
            before = conversation.speaker
            if conversation.hear(voices, now) != before:
                self._listener.speaker_changed(session, conversation.speaker)
            if not voices:
                del self._conversations[session]

    def measure(self) -> None:
        """Take the figures of the last second of every connection."""
        self._rounds.go_round()

    def _measure_session(self, session: str, members: Session) -> None:
        for member in members.values():
            word = member.figures = None
            if member.peer is not None and member.peer.state == "connected":
                handle = member.peer.handle
                line = self._lines_found[handle] = self._lines.get(handle) or _Line()
                member.figures = line.figures(self._relay, member, member.peer)
                word = line.score.add(member.figures)
            if word != member.quality:
                member.quality = word
                self._listener.quality_changed(session, member.id, word)

    def _forget_the_gone(self) -> None:
        self._lines, self._lines_found = self._lines_found, {}

    def _listen_on(self) -> None:
        self._listen_timer = self._loop.call_later(speaking.INTERVAL_S, self._listen_on)
        self.listen()


@dataclass(slots=True)
class _Line:
    """One connection's score, and the counters that its next figures are told from."""

    score: Score = field(default_factory=Score)
    _before: dict[tuple[str, int], int] = field(default_factory=dict)

    def figures(self, relay: Relay, member: Participant, peer: Peer) -> Figures:
        totals = relay.peer_stats(peer.handle)
        arrived = self._since("arrived", peer.handle, totals["packets_in"])
        received, lost, jitter_ms = self._from_it(relay, member)
        sent, lost_256 = self._to_it(relay, peer)
        return Figures(
            arrived=arrived,
            received=received,
            lost=lost,
            loss_down=lost_256 / sent / 256 if sent else None,
            jitter_ms=jitter_ms,
            round_trip_ms=(
                totals["round_trip_us"] / 1000 if totals["round_trip_us"] >= 0 else None
            ),
        )

    def _from_it(self, relay: Relay, member: Participant) -> tuple[int, int, float | None]:
        """Packets received and lost, and jitter: of sound, else of the camera.

        Sound flows steadily. A picture's packets come in bursts, which is not the line's jitter.
        """
        microphone, camera = member.track("microphone"), member.track("camera")
        if microphone is not None:
            figures = relay.track_stats(microphone)
            received = self._since("received", microphone, figures["packets"])
            lost = self._since("lost", microphone, figures["lost"])
            if received:
                return received, lost, figures["jitter"] / _SOUND_TICKS_A_MS
        if camera is not None:
            figures = relay.track_stats(camera)
            received = self._since("received", camera, figures["packets"])
            return received, self._since("lost", camera, figures["lost"]), None
        return 0, 0, None

    def _to_it(self, relay: Relay, peer: Peer) -> tuple[int, int]:
        """Packets sent, and 256 times those lost, as its last reports tell."""
        sent = lost_256 = 0
        for reception in peer.receptions.values():
            figures = relay.subscription_stats(reception.subscription)
            packets = self._since("sent", reception.subscription, figures["packets"])
            sent += packets
            lost_256 += packets * figures["fraction_lost"]
        return sent, lost_256

    def _since(self, counter: str, handle: int, total: int) -> int:
        """How much a counter grew; the first time, and where it began anew, nothing."""
        before = self._before.get((counter, handle), total)
        self._before[counter, handle] = total
        return max(0, total - before)
