"""The server's secret on disk: made once, readable by its owner only."""

import secrets
from pathlib import Path
from typing import Final

from signaling.private_file import make_private, not_one, read_private

FILE_NAME: Final = "secret"
# As long as the digest of HS256 (RFC 7518, 3.2); with less, or nothing, tokens could be forged.
MIN_CHARACTERS: Final = 32


def read_secret(data_dir: Path) -> str:
    """The secret of a data directory.

    Raises FileNotFoundError where no server ever ran, UnusableFile, or another OSError.
    """
    path = data_dir / FILE_NAME
    secret = read_private(path, "a secret")
    if len(secret) < MIN_CHARACTERS:
        raise not_one(path, "a secret")
    return secret


def read_or_make_secret(data_dir: Path) -> str:
    """The secret of a data directory, made with it if need be."""
    try:
        return read_secret(data_dir)
    except FileNotFoundError:
        make_private(data_dir / FILE_NAME, secrets.token_urlsafe(48))
    return read_secret(data_dir)
