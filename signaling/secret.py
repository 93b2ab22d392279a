"""The server's secret on disk: made once, readable by its owner only."""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

FILE_NAME: Final = "secret"


def read_secret(data_dir: Path) -> str:
    """The secret of a data directory. Raises FileNotFoundError where no server ever ran."""
    return (data_dir / FILE_NAME).read_text().strip()


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
