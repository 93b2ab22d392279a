"""Hostile bytes for every parser: `make fuzz`; see README.md."""
