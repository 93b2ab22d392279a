"""Tokens: HS256, each purpose with its own audience and its own key.

A link token lives in the fragment of a room's address; a join token is what it is changed for
at each connection attempt; an admin token makes sessions; a load token, of the load-test key
instead of the secret, makes those of load tests. Algorithm and audience are pinned,
`exp` is required, and there is no leeway: one machine mints and reads them.
Beside them a load proof: what a server says of a nonce to show that it has the load-test key.
Sources: RFC 7519; RFC 8725, 3.1 and 3.9; RFC 2104.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias, get_args

import jwt

from rooms.ports import Clock
from rooms.session import Session
from rooms.vocabulary import ParticipantId, Role, SessionId, SignInId
from signaling.errors import Refused

Purpose: TypeAlias = Literal["link", "join", "admin", "load", "load-proof"]

# Of one door: each attempt to connect takes a token.
JOIN_TOKENS_PER_SECOND: Final = 2
JOIN_TOKENS_BURST: Final = 20

# Long enough for a slow handshake on a bad line; each attempt fetches its own.
JOIN_TOKEN_LIFETIME: Final = timedelta(minutes=2)
ADMIN_TOKEN_LIFETIME: Final = timedelta(minutes=1)
LOAD_TOKEN_LIFETIME: Final = timedelta(minutes=1)

_ALGORITHM: Final = "HS256"
# Ours are about 300 characters; nothing longer is worth decoding.
_LONGEST: Final = 1024


@dataclass(frozen=True, slots=True)
class Grant:
    """Whom a link or join token lets in, where and as what.

    sign_in: what it was given for, if it was to one who is signed in; it ends with that.
    """

    session: SessionId
    participant: ParticipantId
    role: Role
    sign_in: SignInId | None = field(default=None, compare=False)


class Tokens:
    """Mints and reads tokens of one secret."""

    def __init__(self, secret: str, clock: Clock) -> None:
        self._clock = clock
        self._keys = {purpose: _derived_key(secret, purpose) for purpose in get_args(Purpose)}

    def link(self, grant: Grant, expires_at: datetime) -> str:
        """The token of a room's address."""
        return self._mint("link", _claims(grant), expires_at)

    def join(self, grant: Grant) -> str:
        """The token of one connection attempt."""
        return self._mint("join", _claims(grant), self._clock.now() + JOIN_TOKEN_LIFETIME)

    def admin(self) -> str:
        """The token that makes sessions."""
        return self._mint("admin", {}, self._clock.now() + ADMIN_TOKEN_LIFETIME)

    def load(self) -> str:
        """The token of one request of a load test."""
        return self._mint("load", {}, self._clock.now() + LOAD_TOKEN_LIFETIME)

    def load_proof(self, nonce: str, url: str) -> str:
        """What only one who has the key can say of a nonce, in hex. Compare in constant time.

        url: the address it proves to be, so that nobody can pass on another server's proof.
        """
        said = f"{nonce} {url.rstrip('/')}".encode()
        return hmac.new(self._keys["load-proof"], said, hashlib.sha256).hexdigest()

    def read_link(self, token: object) -> Grant:
        """Raises Refused: token.missing, token.invalid, token.expired."""
        return _grant(self._read("link", token))

    def read_join(self, token: object) -> Grant:
        """Raises Refused: token.missing, token.invalid, token.expired."""
        return _grant(self._read("join", token))

    def check_admin(self, token: object) -> None:
        """Raises Refused: token.missing, token.invalid, token.expired."""
        self._read("admin", token)

    def check_load(self, token: object) -> None:
        """Raises Refused: token.missing, token.invalid, token.expired."""
        self._read("load", token)

    def _mint(self, purpose: Purpose, claims: dict[str, str], expires_at: datetime) -> str:
        body = {**claims, "aud": _audience(purpose), "exp": int(expires_at.timestamp())}
        return jwt.encode(body, self._keys[purpose], algorithm=_ALGORITHM)

    def _read(self, purpose: Purpose, token: object) -> dict[str, Any]:
        if token is None or token == "":
            raise Refused("token.missing")
        if not isinstance(token, str) or not token.isascii() or len(token) > _LONGEST:
            raise Refused("token.invalid")
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._keys[purpose],
                algorithms=[_ALGORITHM],
                audience=_audience(purpose),
                # Expiry is checked below, against our clock.
                options={
                    "require": ["exp", "aud"],
                    "strict_aud": True,
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        # RecursionError: a header nested a thousand brackets deep fits into a token.
        except (jwt.InvalidTokenError, RecursionError):
            raise Refused("token.invalid") from None
        expires_at = claims["exp"]
        if not isinstance(expires_at, int):
            raise Refused("token.invalid")
        if self._clock.now().timestamp() >= expires_at:
            raise Refused("token.expired")
        return claims


def _derived_key(secret: str, purpose: Purpose) -> bytes:
    """One key a purpose, so that no token is ever taken for one of another kind."""
    return hmac.new(secret.encode(), _audience(purpose).encode(), hashlib.sha256).digest()


def _audience(purpose: Purpose) -> str:
    return f"plumm-{purpose}"


def _claims(grant: Grant) -> dict[str, str]:
    claims = {"session": grant.session, "sub": grant.participant, "role": grant.role}
    return claims if grant.sign_in is None else claims | {"sid": grant.sign_in}


def _grant(claims: dict[str, Any]) -> Grant:
    match claims:
        case {"session": str(session), "sub": str(participant), "role": "therapist" | "client"}:
            sign_in = claims.get("sid")
            if sign_in is None or isinstance(sign_in, str):
                return Grant(
                    SessionId(session),
                    ParticipantId(participant),
                    claims["role"],
                    None if sign_in is None else SignInId(sign_in),
                )
    raise Refused("token.invalid")


def room_link(url: str, tokens: Tokens, session: Session, grant: Grant) -> str:
    """The address of a room for one participant, of the server at `url`.

    The token is in the fragment, which browsers never send: it is in no log.
    """
    return f"{url}/room/{session.id}#{tokens.link(grant, session.links_until)}"
