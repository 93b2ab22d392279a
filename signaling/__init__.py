"""The edge: Socket.IO hub, HTTP, settings, command line and wiring; see README.md."""
