"""Sessions and their attendance in the database: rows to values and back.

Every function works in the caller's transaction.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Row, Select, TextClause, bindparam, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from rooms.attendance import Interval
from rooms.db.schema import attendance, invitations, sessions
from rooms.lifecycle import GRACE, first_version
from rooms.session import Ended, Invitation, Session
from rooms.vocabulary import ParticipantId, SessionId, UserId

# Made once: to put a statement together takes longer than to carry it out.
_SAVE: Final = update(sessions).where(
    sessions.c.id == bindparam("of_session"),
    sessions.c.incarnation == bindparam("of_incarnation"),
)
# All of them as one JSON text: a thousand rows take 6 ms, and 20 ms as that many sets of values,
# during which nothing else runs.
_SAVE_INTERVALS: Final[Mapping[str, TextClause]] = {
    dialect: text(
        "INSERT INTO attendance (session_id, participant_id, kind, since, until)"
        f" SELECT {rows}"
        " ON CONFLICT (session_id, participant_id, kind, since) DO UPDATE"
        " SET until = excluded.until WHERE attendance.until < excluded.until"
    )
    for dialect, rows in {
        "postgresql": "row ->> 0, row ->> 1, row ->> 2,"
        " CAST(row ->> 3 AS timestamp) AT TIME ZONE 'UTC',"
        " CAST(row ->> 4 AS timestamp) AT TIME ZONE 'UTC'"
        " FROM json_array_elements(CAST(:rows AS json)) AS row",
        "sqlite": "value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4"
        " FROM json_each(:rows) WHERE true",  # without a WHERE, its parser takes ON for a join's
    }.items()
}
_ONE: Final = select(sessions).where(sessions.c.id == bindparam("of_session"))
_INVITED: Final = (
    select(invitations)
    .where(invitations.c.session_id.in_(bindparam("of_sessions", expanding=True)))
    .order_by(invitations.c.position)
)
_INTERVALS: Final = (
    select(attendance)
    .where(attendance.c.session_id.in_(bindparam("of_sessions", expanding=True)))
    .order_by(attendance.c.since, attendance.c.participant_id, attendance.c.kind)
)


class Conflict(Exception):
    """Somebody else changed the session: the change is to be worked out again."""


async def add(connection: AsyncConnection, session: Session) -> None:
    """Store a new session."""
    await connection.execute(
        insert(sessions),
        {
            "id": session.id,
            "title": session.title,
            "starts_at": session.starts_at,
            "ends_at": session.ends_at,
            "links_until": session.links_until,
            "max_participants": session.max_participants,
            "waiting_room": session.waiting_room,
            **_changing(session),
        },
    )
    await connection.execute(
        insert(invitations),
        [
            {
                "session_id": session.id,
                "participant_id": one.id,
                "position": position,
                "name": one.name,
                "role": one.role,
                "user_id": one.user,
                "admitted": one.admitted,
            }
            for position, one in enumerate(session.invited)
        ],
    )


async def load(connection: AsyncConnection, session: SessionId) -> Session | None:
    """The session as it is stored, with nobody in the room."""
    found = await _load(connection, _ONE, {"of_session": session})
    return found[0] if found else None


async def of_user(connection: AsyncConnection, user: UserId, since: datetime) -> list[Session]:
    """The sessions a user is invited to that are not over, or ended later than `since`."""
    theirs = select(invitations.c.session_id).where(invitations.c.user_id == user)
    recent = sessions.c.ended_at.is_(None) | (sessions.c.ended_at > since)
    return await _load(
        connection,
        select(sessions).where(sessions.c.id.in_(theirs), recent).order_by(sessions.c.starts_at),
    )


async def save(
    connection: AsyncConnection, before: Session, after: Session, receipt: str | None = None
) -> None:
    """Store a change. Raises Conflict when what is stored is not `before`."""
    values = _changing(after) | ({} if receipt is None else {"receipt": receipt})
    which = {"of_session": before.id, "of_incarnation": before.incarnation}
    done = await connection.execute(_SAVE, values | which)
    if done.rowcount != 1:
        raise Conflict(before.id)
    for one in after.invited:
        if one != before.invitations[one.id]:
            await connection.execute(
                update(invitations)
                .where(invitations.c.session_id == after.id, invitations.c.participant_id == one.id)
                .values(admitted=one.admitted)
            )


async def receipt(connection: AsyncConnection, session: SessionId) -> str | None:
    """The signed receipt of the session's end."""
    found = await connection.execute(select(sessions.c.receipt).where(sessions.c.id == session))
    text: str | None = found.scalar_one_or_none()
    return text


async def due(connection: AsyncConnection, now: datetime) -> list[SessionId]:
    """The sessions that are past their booked end and the grace, and not over."""
    found = await connection.execute(
        select(sessions.c.id).where(sessions.c.status != "ended", sessions.c.ends_at <= now - GRACE)
    )
    return [SessionId(one) for one in found.scalars()]


async def save_intervals(
    connection: AsyncConnection, stays: Iterable[tuple[SessionId, Interval]]
) -> None:
    """Store intervals; of one that is stored already, the later end stays.

    An interval is not to be given twice.
    """
    # In one order everywhere: two transactions with rows in common wait for each other once.
    rows = sorted(
        (session, stay.participant, stay.kind, _text(stay.since), _text(stay.until))
        for session, stay in stays
    )
    if rows:
        statement = _SAVE_INTERVALS[connection.dialect.name]
        await connection.execute(statement, {"rows": json.dumps(rows)})


def _text(instant: datetime) -> str:
    """As SQLite keeps what `schema.Instant` gives it."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


async def intervals(
    connection: AsyncConnection, of: Sequence[SessionId]
) -> dict[SessionId, list[Interval]]:
    """The stored attendance of each of these sessions, by beginning."""
    found = await connection.execute(_INTERVALS, {"of_sessions": of})
    stays: dict[SessionId, list[Interval]] = {session: [] for session in of}
    for row in found:
        stay = Interval(ParticipantId(row.participant_id), row.kind, row.since, row.until)
        stays[SessionId(row.session_id)].append(stay)
    return stays


def _changing(session: Session) -> dict[str, Any]:
    """The columns that change in a session's life."""
    ended = session.ended
    return {
        "status": session.status,
        "incarnation": session.incarnation,
        "live_since": session.live_since,
        "ended_at": None if ended is None else ended.ended_at,
        "ended_cause": None if ended is None else ended.cause,
        "ended_by": None if ended is None else ended.ended_by,
        "duration_s": None if ended is None else ended.duration_s,
        "overlap_s": None if ended is None else ended.overlap_s,
        "confirmed_at": None if ended is None else ended.confirmed_at,
    }


async def _load(
    connection: AsyncConnection, which: Select[Any], values: Mapping[str, Any] | None = None
) -> list[Session]:
    rows = (await connection.execute(which, values)).all()
    invited = await connection.execute(_INVITED, {"of_sessions": [row.id for row in rows]})
    people: dict[str, dict[ParticipantId, Invitation]] = {row.id: {} for row in rows}
    for one in invited:
        participant = ParticipantId(one.participant_id)
        people[one.session_id][participant] = Invitation(
            participant, one.name, one.role, one.user_id, one.admitted
        )
    return [_session(row, people[row.id]) for row in rows]


def _session(row: Row[Any], people: Mapping[ParticipantId, Invitation]) -> Session:
    ended = None
    if row.ended_at is not None:
        by = None if row.ended_by is None else ParticipantId(row.ended_by)
        ended = Ended(
            cause=row.ended_cause,
            ended_by=by,
            name=None if by is None else people[by].name,
            ended_at=row.ended_at,
            duration_s=row.duration_s,
            overlap_s=row.overlap_s,
            confirmed_at=row.confirmed_at,
        )
    return Session(
        id=SessionId(row.id),
        title=row.title,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        links_until=row.links_until,
        invitations=MappingProxyType(dict(people)),
        max_participants=row.max_participants,
        waiting_room=row.waiting_room,
        status=row.status,
        incarnation=row.incarnation,
        version=first_version(row.incarnation),
        live_since=row.live_since,
        ended=ended,
    )
