"""Receipts: good as they were signed, and not one byte otherwise."""

import base64
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rooms import lifecycle
from rooms.attendance import Interval
from rooms.receipt import BadReceipt, Notary, presence_hash, verify
from rooms.session import Session
from tests.unit.rooms.test_lifecycle import CLIENT, START, THERAPIST, live, seat_of

NOTARY = Notary(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
STAYS = [
    Interval(THERAPIST, "media", START, START + timedelta(minutes=48)),
    Interval(CLIENT, "media", START + timedelta(seconds=3), START + timedelta(minutes=47)),
]


def ended() -> Session:
    session = live()
    at = START + timedelta(minutes=48)
    return lifecycle.end(session, seat_of(session, THERAPIST), at, overlap_s=2817).session


RECEIPT = NOTARY.receipt(ended(), STAYS).encode()


def test_a_receipt_says_what_was_observed_and_no_names() -> None:
    said = verify(RECEIPT, NOTARY.public_key)
    assert said["session"] == "s"
    assert (said["cause"], said["ended_by"]) == ("therapist", THERAPIST)
    assert (said["duration_s"], said["overlap_s"]) == (2880, 2817)
    assert said["ended_at"] == "2026-11-22T10:48:00+00:00"
    assert said["confirmed_at"] is None
    assert said["presence_sha256"] == presence_hash(STAYS)
    assert b"Lena" not in RECEIPT


def test_any_other_byte_anywhere_is_refused() -> None:
    for place in range(len(RECEIPT)):
        for flip in (0x01, 0x20, 0x80):
            changed = bytearray(RECEIPT)
            changed[place] ^= flip
            with pytest.raises(BadReceipt):
                verify(bytes(changed), NOTARY.public_key)


@pytest.mark.parametrize("more", [b" ", b"\n", b"0", b"\x00", b'"', b"\xef\xbb\xbf"])
def test_any_byte_more_or_less_is_refused(more: bytes) -> None:
    for place in range(len(RECEIPT) + 1):
        with pytest.raises(BadReceipt):
            verify(RECEIPT[:place] + more + RECEIPT[place:], NOTARY.public_key)
    for place in range(len(RECEIPT)):
        with pytest.raises(BadReceipt):
            verify(RECEIPT[:place] + RECEIPT[place + 1 :], NOTARY.public_key)


def test_another_key_is_refused_even_if_the_file_names_it() -> None:
    other = Notary(Ed25519PrivateKey.generate())
    forged = other.receipt(ended(), STAYS).encode()
    with pytest.raises(BadReceipt, match="another key"):
        verify(forged, NOTARY.public_key)
    document = json.loads(forged) | {"key": NOTARY.public_key}
    renamed = json.dumps(document, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    with pytest.raises(BadReceipt, match="changed"):
        verify(renamed, NOTARY.public_key)


def test_the_spare_bits_of_the_signature_are_not_free() -> None:
    document = json.loads(RECEIPT)
    signed = document["signature"]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = letters[letters.index(signed[-3]) + 1]
    document["signature"] = signed[:-3] + last + "=="
    assert base64.b64decode(document["signature"]) == base64.b64decode(signed)
    again = json.dumps(document, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    with pytest.raises(BadReceipt, match="changed"):
        verify(again, NOTARY.public_key)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"{}", b"null", b"[" * 100_000, b"\xff", b'{"receipt":1}']
)
def test_what_is_no_receipt_is_refused(text: bytes) -> None:
    with pytest.raises(BadReceipt, match="not a receipt"):
        verify(text, NOTARY.public_key)


@pytest.mark.parametrize("key", ["", "short", "!" * 44, base64.b64encode(bytes(31)).decode()])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(BadReceipt, match="no public key"):
        verify(RECEIPT, key)


def test_a_confirmed_session_says_when() -> None:
    session = ended()
    assert session.ended is not None
    at = START + timedelta(days=1)
    confirmed = replace(session, ended=replace(session.ended, cause="timeout", confirmed_at=at))
    said = verify(NOTARY.receipt(confirmed, STAYS).encode(), NOTARY.public_key)
    assert (said["cause"], said["confirmed_at"]) == ("timeout", "2026-11-23T10:00:00+00:00")


def test_the_presence_hash_is_of_every_interval_in_order() -> None:
    assert presence_hash(STAYS) != presence_hash(STAYS[::-1])
    assert presence_hash(STAYS) != presence_hash(STAYS[:1])
    later = replace(STAYS[0], until=STAYS[0].until + timedelta(microseconds=1))
    assert presence_hash([later, STAYS[1]]) != presence_hash(STAYS)
