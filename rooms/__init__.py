"""The life of a session: who is in the room, in what state, and when it is over.

Knows no socket, no HTTP and no media; see README.md.
"""
