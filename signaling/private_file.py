"""Small files on disk that are made once and are their owner's alone."""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

_MAX_BYTES: Final = 4096


class UnusableFile(OSError):
    """A file of that name which is not what it should be; the message says what is wrong."""


def read_private(path: Path, what: str) -> str:
    """The text of a private file, without space around it; empty for what cannot be one.

    what: for messages, such as "a secret". Raises FileNotFoundError, UnusableFile for one that
    others can read, or another OSError.
    """
    # Not waited for: a named pipe without a writer would hold up the start for ever.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        content = file.read(_MAX_BYTES) if stat.S_ISREG(mode) else b""
    text = content.strip().decode("ascii", "replace")
    if not text or not text.isprintable() or len(content) == _MAX_BYTES:
        raise not_one(path, what)
    if mode & 0o077:
        raise UnusableFile(f"{path} can be read by others; make it private: chmod 600")
    return text


def not_one(path: Path, what: str) -> UnusableFile:
    """The refusal of a file that holds something else."""
    return UnusableFile(f"{path} does not hold {what}; remove it to have one made")


def make_private(path: Path, text: str) -> None:
    """Write the file unless there is one by now.

    Two servers that start at once agree: a link never replaces, so the first one wins, and
    the file has its whole content and mode 0600 from the moment it has its name.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        Path(draft).unlink()
