"""All tables, as SQLAlchemy Core sees them; the migrations build exactly these.

Instants are aware and in UTC. Ids are random text made by their owners. A secret is stored as
its SHA-256 only.
"""

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """An aware datetime in UTC; SQLite, which knows no zones, gets it without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise TypeError("an instant needs its zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# People

users: Final = Table(
    "users",
    metadata,
    Column("id", Text, primary_key=True),
    Column("email", Text, nullable=False, unique=True),  # in lower case
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    # None: no password was chosen yet; a reset chooses one.
    Column("password_hash", Text),
    Column("created_at", Instant, nullable=False),
    Column("disabled_at", Instant),
    CheckConstraint("role IN ('therapist', 'client', 'support', 'admin')", name="role"),
)

sign_ins: Final = Table(
    "sign_ins",
    metadata,
    Column("id", Text, primary_key=True),  # SHA-256 of the cookie
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
)

sign_in_failures: Final = Table(
    "sign_in_failures",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("account", Text, nullable=False),  # SHA-256 of the e-mail address tried
    Column("address", Text, nullable=False),  # SHA-256 of the network address
    Column("at", Instant, nullable=False),
    Index(None, "account", "address", "at"),
)

password_resets: Final = Table(
    "password_resets",
    metadata,
    Column("id", Text, primary_key=True),  # SHA-256 of the token
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("expires_at", Instant, nullable=False),
)

# Sessions

sessions: Final = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("links_until", Instant, nullable=False),
    Column("max_participants", Integer, nullable=False),
    Column("waiting_room", Boolean, nullable=False),
    Column("status", Text, nullable=False),
    # Grows with every stored change: a change is made to the incarnation it was worked out from.
    Column("incarnation", Integer, nullable=False),
    Column("live_since", Instant),
    Column("ended_at", Instant),
    Column("ended_cause", Text),
    Column("ended_by", Text),
    Column("duration_s", Integer),
    Column("overlap_s", Integer),
    Column("confirmed_at", Instant),
    Column("receipt", Text),
    CheckConstraint("status IN ('scheduled', 'open', 'live', 'ended')", name="status"),
    CheckConstraint(
        "ended_cause IN ('therapist', 'admin', 'timeout', 'no_show')", name="ended_cause"
    ),
    CheckConstraint(
        "(status = 'ended') = (ended_at IS NOT NULL) "
        "AND (status = 'ended') = (ended_cause IS NOT NULL)",
        name="ended_whole",
    ),
    Index(None, "status", "ends_at"),
)

invitations: Final = Table(
    "invitations",
    metadata,
    Column("session_id", ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("participant_id", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    # None: a guest, who comes by a link.
    Column("user_id", ForeignKey("users.id"), index=True),
    Column("admitted", Boolean, nullable=False),
    CheckConstraint("role IN ('therapist', 'client')", name="role"),
)

attendance: Final = Table(
    "attendance",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("session_id", Text, nullable=False),
    Column("participant_id", Text, nullable=False),
    # socket: its page was connected. media: packets came from it.
    Column("kind", Text, nullable=False),
    Column("since", Instant, nullable=False),
    # The last instant at which it was seen; grows while it is there.
    Column("until", Instant, nullable=False),
    UniqueConstraint("session_id", "participant_id", "kind", "since"),
    CheckConstraint("kind IN ('socket', 'media')", name="kind"),
    CheckConstraint("until >= since", name="order"),
)

# Events and what follows from them

events: Final = Table(
    "events",
    metadata,
    Column("position", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("type", Text, nullable=False),
    Column("session_id", Text, index=True),
    Column("at", Instant, nullable=False),
    Column("data", JSON, nullable=False),
)

deliveries: Final = Table(
    "deliveries",
    metadata,
    Column("event_id", ForeignKey("events.id"), primary_key=True),
    Column("hook", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("done_at", Instant),
    Column("error_id", Text),  # where the log tells of the last failure
    CheckConstraint("state IN ('pending', 'done', 'parked')", name="state"),
    Index(None, "state", "due_at"),
)

audit: Final = Table(
    "audit",
    metadata,
    Column("position", Integer, primary_key=True),
    Column("event_id", Text, nullable=False, unique=True),
    Column("at", Instant, nullable=False),
    Column("actor", Text),
    Column("action", Text, nullable=False),
    Column("subject", Text),
    Column("hash", LargeBinary, nullable=False),  # over the row and the hash before it
)
