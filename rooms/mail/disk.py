"""Mail as files in a directory, one a message, for a server that has no mail server."""

import asyncio
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Final

from rooms.vocabulary import EventId

_SUFFIX: Final = ".eml"
_SHOWN_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Mail:
    """One message on disk, as it is shown."""

    id: EventId
    to: str
    subject: str
    at: datetime
    text: str


class Mailbox:
    """The directory: `<event id>.eml`, readable by its owner alone; made with the first mail."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def send(self, event: EventId, message: EmailMessage) -> None:
        """Write the message, whole or not at all; once more writes it over. Raises OSError."""
        await asyncio.to_thread(self._write, event, message.as_bytes())

    async def newest(self) -> Sequence[Mail]:
        """The messages, newest first, up to 200. Raises OSError."""
        return await asyncio.to_thread(self._read)

    def _write(self, event: EventId, content: bytes) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, draft = tempfile.mkstemp(dir=self._directory, prefix=".mail-")  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(draft).replace(self._directory / f"{event}{_SUFFIX}")
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise

    def _read(self) -> list[Mail]:
        files = self._directory.glob(f"[!.]*{_SUFFIX}")
        newest = sorted(files, key=lambda file: file.stat().st_mtime_ns, reverse=True)
        return [_shown(file) for file in newest[:_SHOWN_MAX]]


def _shown(file: Path) -> Mail:
    message = message_from_bytes(file.read_bytes(), EmailMessage, policy=SMTP)
    return Mail(
        EventId(file.stem),
        to=str(message["To"]),
        subject=str(message["Subject"]),
        at=message["Date"].datetime,
        text=message.get_content().replace("\r\n", "\n"),
    )
