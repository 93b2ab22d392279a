"""Accounts: who may sign in, and who has. See README.md."""
