"""Secrets that people carry, in a cookie or a link: random, and stored as their hash only."""

import hashlib
import secrets
from typing import Final

_BYTES: Final = 32


def new_secret() -> str:
    """256 bits of chance, as URL-safe text."""
    return secrets.token_urlsafe(_BYTES)


def sha256_of(text: str) -> str:
    """What is stored in place of a secret or an address. Any text may come: it is hashed whole."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
