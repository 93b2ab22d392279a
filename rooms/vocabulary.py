"""The words that all of `rooms` shares: ids, roles and states."""

from typing import Literal, NewType, TypeAlias

SessionId = NewType("SessionId", str)
ParticipantId = NewType("ParticipantId", str)
UserId = NewType("UserId", str)
EventId = NewType("EventId", str)
# SHA-256 of the secret that the browser keeps, in hex.
SignInId = NewType("SignInId", str)

Role: TypeAlias = Literal["therapist", "client"]
UserRole: TypeAlias = Literal["therapist", "client", "support", "admin"]
Status: TypeAlias = Literal["scheduled", "open", "live", "ended"]
Source: TypeAlias = Literal["microphone", "camera", "screen"]
Media: TypeAlias = Literal["connecting", "connected", "lost"]
Quality: TypeAlias = Literal["good", "fair", "poor"]
EndCause: TypeAlias = Literal["therapist", "admin", "timeout", "no_show"]
