"""The one table of error codes: what each is over HTTP, and what it says to a person.

`Refused` is how this package refuses; refusals by `rooms` and `media` carry codes of the
same table. A code is part of the protocol: PROTOCOL.md lists every one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One code's HTTP status and message. The message blames nobody and holds no data."""

    status: int
    message: str


ERRORS: Final[dict[str, ErrorKind]] = {
    "token.missing": ErrorKind(401, "A token is needed here."),
    "token.invalid": ErrorKind(401, "This link is not valid here."),
    "token.expired": ErrorKind(401, "This link has expired."),
    "origin.forbidden": ErrorKind(403, "This page may not talk to this server."),
    "session.unknown": ErrorKind(404, "There is no such session."),
    "session.ended": ErrorKind(410, "This session has ended."),
    "session.not_open": ErrorKind(409, "This room opens later."),
    "session.not_over": ErrorKind(409, "This session is not over yet."),
    "session.not_confirmable": ErrorKind(409, "Nothing about this session is to be confirmed."),
    "room.full": ErrorKind(409, "The room is full."),
    "room.not_joined": ErrorKind(409, "Join the room first."),
    "room.replaced": ErrorKind(409, "You joined this room from somewhere else."),
    "sign_in.refused": ErrorKind(401, "The e-mail address or the password is not right."),
    "sign_in.required": ErrorKind(401, "Sign in first."),
    "password.weak": ErrorKind(
        400, "A password has 12 characters or more, and is not the e-mail address."
    ),
    "user.unknown": ErrorKind(404, "Nobody has this e-mail address."),
    "role.forbidden": ErrorKind(403, "Your role may not do that."),
    "message.malformed": ErrorKind(400, "The message is not understood."),
    "message.unknown_event": ErrorKind(400, "There is no such event."),
    "message.binary": ErrorKind(400, "Binary messages are not spoken here."),
    "message.too_large": ErrorKind(413, "The message is too large."),
    "rate.limited": ErrorKind(429, "That is too much at once; wait a moment."),
    "busy": ErrorKind(503, "The server has no room for more people; try again in a moment."),
    "storage.unavailable": ErrorKind(503, "This could not be stored; try again in a moment."),
    "media.unavailable": ErrorKind(503, "The media relay does not run."),
    "outbox.unavailable": ErrorKind(503, "What follows from events is not carried out."),
    "rtc.bad_offer": ErrorKind(400, "The offer cannot be answered."),
    "rtc.stale_offer": ErrorKind(409, "A newer offer was answered already."),
    "rtc.connection_closed": ErrorKind(409, "This connection was replaced or closed."),
    "internal": ErrorKind(500, "Something went wrong on our side."),
}


class Refused(Exception):
    """This package's refusal, with a code of ERRORS.

    detail: more, about form only, for the client's developer. error_id: with `internal`.
    more: what else the one who is refused may know, as JSON: `ended` with `session.ended`,
    `opens_at` with `session.not_open`, `retry_after` with `busy`.
    """

    def __init__(
        self,
        code: str,
        detail: str | None = None,
        *,
        error_id: str | None = None,
        more: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        super().__init__(code if detail is None else f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.error_id = error_id
        self.more = more


def error_body(refused: Refused) -> dict[str, Any]:
    """The `{code, message, id?, …}` of an ack, a refused connection or an HTTP answer."""
    message = ERRORS[refused.code].message
    body: dict[str, Any] = {
        "code": refused.code,
        "message": message if refused.detail is None else f"{message} ({refused.detail})",
    }
    if refused.error_id is not None:
        body["id"] = refused.error_id
    return body | dict(refused.more)
