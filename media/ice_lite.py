"""ICE-lite for one connection: who may send to us, and where its media goes.

Sans-IO: bytes, an address and the time come in, a verdict goes out. The owner (`peer.py`)
sends the reply and tells the relay. No candidate of the browser's is ever needed: a lite agent
answers checks and sends to where they came from (RFC 8445, 2.5).
"""

import secrets
import string
import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

from aioice import stun

# Opaque but for the first two, an IP address and a port: a third names a TCP connection.
Address = tuple[str, int] | tuple[str, int, int]

# RFC 7675, 5.1: consent expires 30 s after the last valid check.
CONSENT_S: Final = 30.0
# A selected address that was checked this lately keeps its place against a nomination of lower
# priority. Firefox repeats its checks every 5 to 6 s, Chromium every 2.5 s.
FRESH_S: Final = 6.0

_ICE_CHARS: Final = string.ascii_letters + string.digits


class Credentials(NamedTuple):
    """One side's ufrag and password (RFC 8839, 5.4)."""

    ufrag: str
    pwd: str

    @classmethod
    def generate(cls) -> "Credentials":
        """Ours: 8 and 24 ice-chars, 47 and 142 bits of chance."""
        return cls(_ice_chars(8), _ice_chars(24))


def _ice_chars(count: int) -> str:
    return "".join(secrets.choice(_ICE_CHARS) for _ in range(count))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one valid check calls for.

    reply: the binding response to send back to the address it came from.
    selected: whether that address is where media goes.
    retired: a local ufrag that is no longer answered.
    """

    reply: bytes
    selected: bool
    retired: str | None = None


@dataclass(slots=True)
class _Generation:
    """The credentials of one ICE session: a restart begins another (RFC 8445, 9)."""

    local: Credentials
    remote_ufrag: str
    nominated_priority: int = -1


class IceLite:
    """The lite agent of one connection. Owned by its Peer, on the event loop."""

    def __init__(self, local: Credentials, remote_ufrag: str) -> None:
        self._generations = [_Generation(local, remote_ufrag)]
        self._selected: Address | None = None
        self._selected_checked_at = 0.0
        self._consent_at: float | None = None

    @property
    def local(self) -> Credentials:
        """What the next answer offers."""
        return self._generations[-1].local

    @property
    def remote_ufrag(self) -> str:
        return self._generations[-1].remote_ufrag

    @property
    def selected(self) -> Address | None:
        """Where media and DTLS go."""
        return self._selected

    def restart(self, local: Credentials, remote_ufrag: str) -> str | None:
        """Begin an ICE restart; the old credentials answer until the new ones are used.

        Returns the local ufrag that is dropped at once: of a restart that never came about.
        """
        dropped = self._generations[1].local.ufrag if len(self._generations) > 1 else None
        self._generations = [self._generations[0], _Generation(local, remote_ufrag)]
        return dropped

    def receive(self, data: bytes, address: Address, now: float) -> Verdict | None:
        """Judge one STUN datagram from `address` at monotonic time `now`, in seconds.

        None for anything but a binding request signed with our password: no reply leaves for
        it, so that nobody is reflected at (RFC 8445, 7.3; RFC 8489, 9.1.3).
        """
        request = _parse_binding_request(data)
        if request is None:
            return None
        generation = self._generation_of(request.attributes.get("USERNAME", ""))
        if generation is None:
            return None
        key = generation.local.pwd.encode()
        if not request.check_message_integrity(key):
            return None

        retired = self._retire_before(generation)
        first = self._selected is None or retired is not None
        nominated = self._follows_nomination(request, generation, address, now)
        if first or nominated:
            self._selected = address
        self._consent_at = now
        if address == self._selected:
            self._selected_checked_at = now
        return Verdict(_response(request, address, key), address == self._selected, retired)

    def consent_expired(self, now: float) -> bool:
        """True once the last valid check is 30 s old (RFC 7675)."""
        return self._consent_at is not None and now - self._consent_at > CONSENT_S

    def lose_consent(self) -> None:
        """The owner stopped sending; the next valid check selects its address anew."""
        self._consent_at = None
        self._selected = None

    def lose_address(self, address: Address) -> None:
        """Nothing can be sent there any more. If it was the selected one, the next valid check
        selects its address, whatever its priority."""
        if address == self._selected:
            self._selected = None
            self._generations[-1].nominated_priority = -1

    def _generation_of(self, username: str) -> _Generation | None:
        """By our half of the name alone: a browser that restarts checks from new ports, under a
        new name of its own, before its offer has told us of it."""
        ours = username.partition(":")[0]
        return next((each for each in self._generations if each.local.ufrag == ours), None)

    def _retire_before(self, used: _Generation) -> str | None:
        """The first valid check of a restart ends the session before it."""
        if len(self._generations) == 1 or used is not self._generations[-1]:
            return None
        return self._generations.pop(0).local.ufrag

    def _follows_nomination(
        self, request: stun.Message, generation: _Generation, address: Address, now: float
    ) -> bool:
        """Firefox nominates each pair it checks, TCP 50 ms after UDP: the higher priority stays."""
        if "USE-CANDIDATE" not in request.attributes or generation is not self._generations[-1]:
            return False
        priority = int(request.attributes.get("PRIORITY", 0))
        fresh = now - self._selected_checked_at <= FRESH_S
        if address != self._selected and priority < generation.nominated_priority and fresh:
            return False
        generation.nominated_priority = priority
        return True


def _parse_binding_request(data: bytes) -> stun.Message | None:
    try:
        message = stun.parse_message(data)
    except (ValueError, struct.error):
        # struct.error: aioice lets an attribute of a wrong length through to unpack().
        return None
    if (message.message_method, message.message_class) != (
        stun.Method.BINDING,
        stun.Class.REQUEST,
    ):
        return None
    return message


def _response(request: stun.Message, address: Address, key: bytes) -> bytes:
    response = stun.Message(
        message_method=stun.Method.BINDING,
        message_class=stun.Class.RESPONSE,
        transaction_id=request.transaction_id,
        attributes={"XOR-MAPPED-ADDRESS": address[:2]},
    )
    response.add_message_integrity(key)
    return bytes(response)
