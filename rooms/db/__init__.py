"""The one database: SQLite in the data directory, or PostgreSQL. See README.md."""
