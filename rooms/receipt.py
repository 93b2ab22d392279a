"""Receipts: what this server observed of a session that ended, signed. Pure.

A receipt is a text file: one line of JSON in its only form (keys sorted, no spaces), so that
not one byte of it can be another and the receipt still be good. Whoever has the public key can
check it, offline and years later. Ids and times only; no names.
Source: RFC 8032 (Ed25519).
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from rooms.attendance import Interval
from rooms.session import Session

VERSION: Final = 1
# What is signed begins with this: a signature for anything else of ours is none for a receipt.
_CONTEXT: Final = b"plumm receipt\n"


class BadReceipt(Exception):
    """Not a receipt of this key, or not as it was signed; the message is one line for a person."""


class Notary:
    """Signs receipts with one key; a `rooms.ports.Notary`."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @property
    def public_key(self) -> str:
        """What receipts are checked with: 32 bytes in base64."""
        return base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def receipt(self, session: Session, attendance: Sequence[Interval], /) -> str:
        """The receipt of a session that is over, as the text of a file."""
        said = _said(session, attendance)
        signature = self._key.sign(_CONTEXT + _only_form(said))
        document = {
            "key": self.public_key,
            "receipt": said,
            "signature": base64.b64encode(signature).decode(),
        }
        return _only_form(document).decode() + "\n"


def verify(text: bytes, public_key: str) -> Mapping[str, Any]:
    """What a receipt says. public_key: as `Notary.public_key` gives it. Raises BadReceipt."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
    except (binascii.Error, ValueError):
        raise BadReceipt("that is no public key for receipts") from None
    try:
        document = json.loads(text)
        # RecursionError, UnicodeDecodeError (a ValueError): whatever a file may hold.
    except (ValueError, RecursionError):
        raise BadReceipt("this is not a receipt") from None
    match document:
        case {"key": str(named), "receipt": dict(said), "signature": str(signed)}:
            pass
        case _:
            raise BadReceipt("this is not a receipt")
    if named != public_key:
        raise BadReceipt("another key signed this receipt")
    if _only_form(document) + b"\n" != text:
        raise BadReceipt("this receipt was changed")
    try:
        signature = base64.b64decode(signed, validate=True)
        if base64.b64encode(signature).decode() != signed:
            raise InvalidSignature  # spare bits of base64 that are not zero
        key.verify(signature, _CONTEXT + _only_form(said))
    except (InvalidSignature, binascii.Error):
        raise BadReceipt("this receipt was changed") from None
    return said


def presence_hash(attendance: Iterable[Interval]) -> str:
    """SHA-256 of the presence record, in hexadecimal: each interval in its order."""
    record = [
        [stay.participant, stay.kind, _instant(stay.since), _instant(stay.until)]
        for stay in attendance
    ]
    return hashlib.sha256(_only_form(record)).hexdigest()


def _said(session: Session, attendance: Sequence[Interval]) -> dict[str, Any]:
    ended = session.ended
    assert ended is not None, "a receipt is for a session that is over"
    return {
        "version": VERSION,
        "session": session.id,
        "incarnation": session.incarnation,
        "cause": ended.cause,
        "ended_by": ended.ended_by,
        "starts_at": _instant(session.starts_at),
        "ends_at": _instant(session.ends_at),
        "live_since": _instant(session.live_since),
        "ended_at": _instant(ended.ended_at),
        # Not null: it timed out, and the therapist said later that it took place.
        "confirmed_at": _instant(ended.confirmed_at),
        "duration_s": ended.duration_s,
        "overlap_s": ended.overlap_s,
        "presence_sha256": presence_hash(attendance),
    }


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _only_form(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
