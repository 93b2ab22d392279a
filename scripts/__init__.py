"""Benchmarks and load for a Plumm server, driven from outside of it."""
