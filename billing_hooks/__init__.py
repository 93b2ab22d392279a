"""Money that follows a session's life; see README.md."""
