"""Who was there with media, as a server has stored it by now in its data directory."""

from pathlib import Path

from rooms import store
from rooms.attendance import Interval
from rooms.db.engine import Database, sqlite_url
from rooms.vocabulary import ParticipantId, SessionId


async def media_stays(data_dir: Path, session: str) -> dict[ParticipantId, list[Interval]]:
    """The stays of each participant who had any, in their order."""
    database = await Database.open(sqlite_url(data_dir / "plumm.sqlite3"))
    try:
        async with database.reading() as connection:
            found = (await store.intervals(connection, [SessionId(session)]))[SessionId(session)]
    finally:
        await database.close()
    stays: dict[ParticipantId, list[Interval]] = {}
    for stay in found:
        if stay.kind == "media":
            stays.setdefault(stay.participant, []).append(stay)
    return stays
