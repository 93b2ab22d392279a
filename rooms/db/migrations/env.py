"""Alembic's environment: always handed an open connection by `rooms.db.migrate`."""

from alembic import context

from rooms.db.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite alters a table by copying it.
    render_as_batch=True,
)
context.run_migrations()
