"""A participant without a browser: signaling, ICE and DTLS are real, media is the caller's."""
