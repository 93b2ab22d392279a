"""The server's secret on disk: made once, readable by its owner only."""

import os
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

FILE_NAME: Final = "secret"
# As long as the digest of HS256 (RFC 7518, 3.2); with less, or nothing, tokens could be forged.
MIN_CHARACTERS: Final = 32
_MAX_BYTES: Final = 4096


class UnusableSecret(OSError):
    """A file of that name which is not a secret of ours; the message says what is wrong."""


def read_secret(data_dir: Path) -> str:
    """The secret of a data directory.

    Raises FileNotFoundError where no server ever ran, UnusableSecret, or another OSError.
    """
    path = data_dir / FILE_NAME
    # Not waited for: a named pipe without a writer would hold up the start for ever.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        content = file.read(_MAX_BYTES) if stat.S_ISREG(mode) else b""
    secret = content.strip().decode("ascii", "replace")
    if len(secret) < MIN_CHARACTERS or not secret.isprintable() or len(content) == _MAX_BYTES:
        raise UnusableSecret(f"{path} does not hold a secret; remove it to have one made")
    if mode & 0o077:
        raise UnusableSecret(f"{path} can be read by others; make it private: chmod 600")
    return secret


def read_or_make_secret(data_dir: Path) -> str:
    """The secret of a data directory, made with it if need be.

    Two servers that start at once agree: a link never replaces, so the first one wins, and
    the file has its whole content and mode 0600 from the moment it has its name.
    """
    try:
        return read_secret(data_dir)
    except FileNotFoundError:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, draft = tempfile.mkstemp(dir=data_dir, prefix=".secret-")  # mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, data_dir / FILE_NAME)
    finally:
        Path(draft).unlink()
    return read_secret(data_dir)
